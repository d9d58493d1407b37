/**
 * The mesh as it is made of objects alone: what a cluster adds is made up where it is missing, and said; the rest is the
 * control plane's own ingest and compiler.
 */
import type { MeshConfigSpec } from "../../api/mesh-config";
import { DEFAULT_MESH_CONFIG } from "../../api/mesh-config";
import { encodeLeaf } from "../../envoy/encode";
import { objectKey } from "../../ingest/fields";
import { createProjectors, type IngestKind } from "../../ingest/index";
import { firstMeshConfig } from "../../ingest/mesh-config";
import type { Compiled } from "../../model/diagnostic";
import {
  ANNOTATION_INJECTION,
  LABEL_MONITORED_BY,
  MESH_CONFIG_NAME,
  PEPR_NAMESPACE,
} from "../../model/mesh-words";
import { createCompiler, type Compiler } from "../../runtime/engine/compiler";
import type { EngineEvent } from "../../runtime/engine/events";
import type { Addresses } from "./addresses";
import { documentKey, type KubeDocument } from "./documents";
import { accountsOf, hasSlices, membersOf, type Members } from "./members";
import { readinessIn, serviceOfSlice, slicesFor, withAddress, withoutPods } from "./services";
import { type MeshOfPods, whyNoSidecar } from "./sidecar";

/** What a world is made of. */
export interface WorldOptions {
  readonly meshName: string;
  readonly osmNamespace: string;
  readonly addresses: Addresses;
  /**
   * Keys ({@link documentKey}) of objects that only stand in files, while all others are a cluster's. Absent: all stand in
   * files.
   */
  readonly plan?: ReadonlySet<string>;
}

/** A compiled mesh, and the objects that it is made of. */
export interface MeshWorld {
  readonly compiler: Compiler;
  /** By {@link documentKey}, with all that was made up. */
  readonly documents: ReadonlyMap<string, KubeDocument>;
  readonly mesh: MeshOfPods;
  /** Keys of pods that do not run. */
  readonly planned: ReadonlySet<string>;
  /** What was made up, one sentence each. */
  readonly notes: readonly string[];
  /** Why a pod (by its document's key) has no sidecar; undefined: it has one. */
  readonly whyNoSidecar: (pod: string) => string | undefined;
}

/** Compiles objects. Of several with one key the last counts. */
export function createMeshWorld(given: readonly KubeDocument[], options: WorldOptions): MeshWorld {
  const { plan } = options;
  const isPlan = (document: KubeDocument): boolean => plan === undefined || plan.has(documentKey(document));
  const unique = [...new Map(given.map(document => [documentKey(document), document])).values()];
  const namespaces = plan === undefined ? missingNamespaces(unique, options) : NO_DOCUMENTS;
  const documents = [...unique, ...namespaces];
  const { meshConfig, note } = meshConfigOf(documents, options);
  const mesh: MeshOfPods = {
    ...options,
    meshConfig,
    namespaces: new Map(
      documents.filter(({ kind }) => kind === "Namespace").map(each => [each.metadata.name, each]),
    ),
  };
  const members = membersOf({ mesh, addresses: options.addresses, documents, isPlan });
  const services = documents
    .filter(({ kind }) => kind === "Service")
    .map(service => (isPlan(service) ? withAddress(service, options.addresses) : service));
  const complete = [
    ...accountsOf(members.pods),
    ...documents.filter(({ kind }) => !REMADE.has(kind)),
    ...services,
    ...members.pods,
    ...slicesOf({ documents, services, members, isPlan, fromFiles: plan === undefined }),
  ];
  const byKey = new Map(complete.map(document => [documentKey(document), document]));
  return {
    compiler: compiled([...byKey.values()], options, meshConfig),
    documents: byKey,
    mesh,
    planned: members.planned,
    notes: [...note, ...namespaces.map(missingNamespaceNote), ...members.notes],
    whyNoSidecar: key => {
      const pod = byKey.get(key);
      return pod && (members.without.get(key) ?? whyNoSidecar(pod, mesh));
    },
  };
}

const NO_DOCUMENTS: readonly KubeDocument[] = [];
/** Kinds whose objects are made anew. */
const REMADE = new Set(["Service", "Pod", "EndpointSlice"]);
/** Kinds whose namespace matters to the mesh. */
const PLACED = new Set([
  "Pod",
  "Deployment",
  "StatefulSet",
  "DaemonSet",
  "ReplicaSet",
  "Job",
  "CronJob",
  "Service",
]);

/** Namespaces that workloads stand in and that nobody has written down: taken as the mesh's. */
function missingNamespaces(
  documents: readonly KubeDocument[],
  { meshName, osmNamespace }: WorldOptions,
): readonly KubeDocument[] {
  const known = new Set(documents.filter(({ kind }) => kind === "Namespace").map(each => each.metadata.name));
  const named = documents.flatMap(({ kind, metadata }) =>
    PLACED.has(kind) ? (metadata.namespace ?? []) : [],
  );
  return [...new Set(named)]
    .filter(name => !known.has(name) && name !== osmNamespace && name !== PEPR_NAMESPACE)
    .filter(name => !name.startsWith("kube-"))
    .sort()
    .map(name => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name,
        labels: { [LABEL_MONITORED_BY]: meshName },
        annotations: { [ANNOTATION_INJECTION]: "enabled" },
      },
    }));
}

function missingNamespaceNote({ metadata }: KubeDocument): string {
  return `Namespace/${metadata.name} is not among the objects: taken as one of the mesh, with injection`;
}

function meshConfigOf(
  documents: readonly KubeDocument[],
  { osmNamespace, plan }: WorldOptions,
): { readonly meshConfig: MeshConfigSpec; readonly note: readonly string[] } {
  const found = documents.find(
    ({ kind, metadata }) =>
      kind === "MeshConfig" && metadata.name === MESH_CONFIG_NAME && metadata.namespace === osmNamespace,
  );
  if (found !== undefined || plan !== undefined) return { meshConfig: firstMeshConfig(found), note: [] };
  const note = `MeshConfig/${osmNamespace}/${MESH_CONFIG_NAME} is not among the objects: OSM's defaults count (permissive mode and egress are on)`;
  return { meshConfig: DEFAULT_MESH_CONFIG, note: [note] };
}

interface SliceSources {
  readonly documents: readonly KubeDocument[];
  readonly services: readonly KubeDocument[];
  readonly members: Members;
  readonly isPlan: (document: KubeDocument) => boolean;
  readonly fromFiles: boolean;
}

/** EndpointSlices as they are, without pods that go and with pods that come; those of Services that change are made anew. */
function slicesOf({
  documents,
  services,
  members,
  isPlan,
  fromFiles,
}: SliceSources): readonly KubeDocument[] {
  const slices = documents.filter(({ kind }) => kind === "EndpointSlice");
  const ready = readinessIn(slices);
  const planned = members.pods.filter(pod => members.planned.has(documentKey(pod)));
  const remade = new Set<string>();
  const made = services.flatMap(service => {
    const { namespace = "", name } = service.metadata;
    const key = `${namespace}/${name}`;
    const anew = isPlan(service) && !(fromFiles && hasSlices(documents));
    if (anew) remade.add(key);
    return slicesFor(service, anew ? members.pods : planned, ready);
  });
  const kept = slices.filter(slice => !remade.has(serviceOfSlice(slice)));
  return [...kept.map(slice => withoutPods(slice, members.gone)), ...made];
}

function compiled(
  documents: readonly KubeDocument[],
  { meshName, osmNamespace }: WorldOptions,
  meshConfig: MeshConfigSpec,
): Compiler {
  const compiler = createCompiler({ osmNamespace }, encodeLeaf);
  const projectors = createProjectors(meshName);
  compiler.writer.apply({
    kind: "MeshConfig",
    type: "upsert",
    key: `${osmNamespace}/${MESH_CONFIG_NAME}`,
    compiled: { value: meshConfig, diagnostics: [] },
  });
  for (const kind of Object.keys(projectors) as IngestKind[]) {
    const items = new Map<string, Compiled<unknown>>();
    for (const object of documents) {
      if (object.kind === kind) items.set(objectKey(object), projectors[kind].project(object));
    }
    compiler.writer.apply({ kind, type: "reset", items } as EngineEvent);
  }
  return compiler;
}
