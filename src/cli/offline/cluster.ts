/** Lists of a running cluster, with the rights of the user. */
import { createProjectors } from "../../ingest/index";
import { MESH_CONFIG_NAME } from "../../model/mesh-words";
import { asArray, asObject, asText } from "../../ingest/fields";
import type { KubeClient } from "../../runtime/kube";
import { KubeError } from "../../runtime/kube";
import { withQuery } from "../../runtime/kube/client";
import { CommandError } from "../failure";
import type { KubeDocument } from "./documents";

/** Objects in one answer; a cluster of thousands of pods answers in several. */
const PAGE = "500";
/** Kinds without which nothing can be said. */
const NEEDED = new Set(["Namespace", "Service", "EndpointSlice", "Pod"]);

/** What was read, and what was not. */
export interface ClusterObjects {
  readonly documents: readonly KubeDocument[];
  /** What the user may not see, one sentence each. */
  readonly notes: readonly string[];
}

/** A kind to be listed. */
interface Listed {
  readonly kind: string;
  readonly apiPath: string;
}

/** Where the mesh is. */
export interface MeshPlace {
  readonly meshName: string;
  readonly osmNamespace: string;
}

/** Workloads, for those who compare them with files. */
export const WORKLOADS: readonly Listed[] = ["Deployment", "StatefulSet", "DaemonSet"].map(kind => ({
  kind,
  apiPath: `/apis/apps/v1/${kind.toLowerCase()}s`,
}));

/**
 * Everything that the mesh is computed from, and `more`. Kinds that are not installed have no objects; what the user may not
 * list is told, or throws {@link CommandError} where nothing can be said without it.
 */
export async function readCluster(
  kube: KubeClient,
  { meshName, osmNamespace }: MeshPlace,
  more: readonly Listed[] = [],
): Promise<ClusterObjects> {
  const kinds: readonly Listed[] = [...Object.values(createProjectors(meshName)), ...more];
  const answers = await Promise.all(
    kinds.map(async ({ kind, apiPath }) => {
      const only = kind === "MeshConfig" ? `/namespaces/${osmNamespace}` : "";
      const path = apiPath.replace(/\/([^/]+)$/, `${only}/$1`);
      const query = kind === "MeshConfig" ? { fieldSelector: `metadata.name=${MESH_CONFIG_NAME}` } : {};
      return listed(kube, { kind, apiPath: withQuery(path, query) });
    }),
  );
  return {
    documents: answers.flatMap(({ documents }) => documents),
    notes: answers.flatMap(({ notes }) => notes),
  };
}

async function listed(kube: KubeClient, { kind, apiPath }: Listed): Promise<ClusterObjects> {
  const documents: KubeDocument[] = [];
  let next = "";
  try {
    do {
      const page = { limit: PAGE, ...(next === "" ? {} : { continue: next }) };
      const list = asObject(await kube.get<unknown>(withQuery(apiPath, page)));
      const apiVersion = asText(list["apiVersion"]) ?? "";
      for (const item of asArray(list["items"])) {
        documents.push({ ...asObject(item), apiVersion, kind } as KubeDocument);
      }
      next = asText(asObject(list["metadata"])["continue"]) ?? "";
    } while (next !== "");
  } catch (error) {
    return { documents: [], notes: [refusalOf(kind, error)].filter(note => note !== "") };
  }
  return { documents, notes: [] };
}

/** A kind that is not there has no objects; what may not be seen is told. */
function refusalOf(kind: string, error: unknown): string {
  if (!(error instanceof KubeError)) throw error;
  if (error.status === 404) return "";
  if (error.status !== 403) throw error;
  const fault = `you may not list ${kind} objects of all namespaces`;
  if (NEEDED.has(kind))
    throw new CommandError(`${fault}, without which nothing can be said: ${error.message}`);
  return `${fault}: taken as if there were none`;
}
