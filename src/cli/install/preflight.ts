/** What is looked at before anything is installed. */
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { KubeClient, KubeObject } from "../../runtime/kube";
import { CommandError } from "../failure";
import { findMeshes, type FoundMesh } from "../mesh-found";

/** ValidatingAdmissionPolicy, which keeps pods without sidecar out, is in every cluster from here on. */
const OLDEST_MINOR = 30;

interface Right {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly namespace?: string;
}

/** Rights without which installing stops half way. */
const RIGHTS: readonly Right[] = [
  { verb: "create", group: "", resource: "namespaces" },
  { verb: "patch", group: "", resource: "secrets", namespace: PEPR_NAMESPACE },
  { verb: "patch", group: "apps", resource: "deployments", namespace: PEPR_NAMESPACE },
  { verb: "patch", group: "rbac.authorization.k8s.io", resource: "clusterroles" },
  { verb: "escalate", group: "rbac.authorization.k8s.io", resource: "clusterroles" },
  { verb: "patch", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings" },
];

interface Review extends KubeObject {
  readonly spec: unknown;
  readonly status?: { readonly allowed?: boolean };
}

async function isAllowed(kube: KubeClient, right: Right): Promise<boolean> {
  const review = await kube.create<Omit<Review, "metadata">>(
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes: right },
    },
  );
  return review.status?.allowed === true;
}

async function checkRights(kube: KubeClient): Promise<void> {
  const allowed = await Promise.all(RIGHTS.map(right => isAllowed(kube, right)));
  const missing = RIGHTS.filter((_, n) => allowed[n] !== true);
  if (missing.length === 0) return;
  const words = missing.map(
    ({ verb, resource, group, namespace }) =>
      `${verb} ${resource}${group === "" ? "" : `.${group}`}${namespace === undefined ? "" : ` in ${namespace}`}`,
  );
  throw new CommandError(`you may not: ${words.join(", ")}; a cluster administrator may`);
}

/** The server's version, like `v1.34.4`. Throws {@link CommandError} when it is too old for the mesh. */
async function checkVersion(kube: KubeClient): Promise<string> {
  const version = await kube.get<{ major: string; minor: string; gitVersion: string }>("/version");
  const minor = Number.parseInt(version.minor, 10);
  if (Number(version.major) > 1 || minor >= OLDEST_MINOR) return version.gitVersion;
  throw new CommandError(`Kubernetes is ${version.gitVersion}; the mesh needs 1.${OLDEST_MINOR} or newer`);
}

function checkMeshes(meshes: readonly FoundMesh[], upgrade: string | undefined): void {
  const classic = meshes.find(({ product }) => product === "osm");
  if (classic !== undefined)
    throw new CommandError(
      `Open Service Mesh ${classic.version} runs as mesh ${classic.name} in ${classic.namespace}; osm migrate check says what carries over`,
    );
  const [mine] = meshes;
  if (upgrade === undefined) {
    if (mine === undefined) return;
    throw new CommandError(`mesh ${mine.name} runs in this cluster already; osm mesh upgrade changes it`);
  }
  if (mine === undefined) throw new CommandError("no mesh runs in this cluster; osm install makes one");
  if (mine.name !== upgrade)
    throw new CommandError(
      `mesh ${upgrade} does not run in this cluster, ${mine.name} does; --mesh-name says which`,
    );
}

/**
 * Looks whether the cluster can take the mesh: version, rights, other meshes; with `upgrade`, whether that mesh is there. Gives the
 * server's version. Rejects with {@link CommandError} for the first thing in the way; nothing has been changed then.
 */
export async function preflight(kube: KubeClient, upgrade?: string): Promise<string> {
  const version = await checkVersion(kube);
  checkMeshes(await findMeshes(kube), upgrade);
  await checkRights(kube);
  return version;
}
