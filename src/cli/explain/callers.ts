/** Who calls: a pod, a workload's pods, or those of a ServiceAccount, as a person names them. */
import { metaOf } from "../../ingest/fields";
import { ingestPod } from "../../ingest/pod";
import type { ServiceIdentity } from "../../model/identity";
import { documentKey, type KubeDocument } from "../offline/documents";
import { CommandError } from "../failure";
import { workloadKey } from "../offline/workloads";
import type { MeshWorld } from "../offline/world";

/** Somebody who calls. */
export interface Caller {
  /** Like `ServiceAccount bookbuyer/bookbuyer`. */
  readonly what: string;
  readonly namespace: string;
  /** Empty: no pod runs as it. */
  readonly pods: readonly KubeDocument[];
  /** Whom a pod would run as, where there is none. */
  readonly account?: ServiceIdentity;
}

const KINDS: Readonly<Record<string, string>> = {
  po: "Pod",
  pod: "Pod",
  pods: "Pod",
  sa: "ServiceAccount",
  serviceaccount: "ServiceAccount",
  serviceaccounts: "ServiceAccount",
  deploy: "Deployment",
  deployment: "Deployment",
  deployments: "Deployment",
  sts: "StatefulSet",
  statefulset: "StatefulSet",
  statefulsets: "StatefulSet",
  ds: "DaemonSet",
  daemonset: "DaemonSet",
  daemonsets: "DaemonSet",
  job: "Job",
  rs: "ReplicaSet",
};

/** Without a kind they are tried in this order. */
const TRIED = ["Pod", "ServiceAccount", "Deployment", "StatefulSet", "DaemonSet", "Job"];

/** A name as it may be written: `[kind/]name[.namespace]` or `[kind/]namespace/name`. */
interface Named {
  readonly kind: string | undefined;
  readonly namespace: string;
  readonly name: string;
}

/** Names of the namespaces that anything stands in. */
export function namespacesOf({ documents }: MeshWorld): ReadonlySet<string> {
  return new Set(
    [...documents.values()].flatMap(({ kind, metadata }) =>
      kind === "Namespace" ? metadata.name : (metadata.namespace ?? []),
    ),
  );
}

/** `name[.namespace]`: the longest part behind a dot that is a namespace counts as one. */
export function splitName(
  text: string,
  known: ReadonlySet<string>,
  namespace: string,
): { readonly name: string; readonly namespace: string } {
  const dots = [...text.matchAll(/\./g)].map(({ index }) => index);
  const at = dots.find(index => known.has(text.slice(index + 1)));
  return at === undefined
    ? { name: text, namespace }
    : { name: text.slice(0, at), namespace: text.slice(at + 1) };
}

function readName(text: string, world: MeshWorld, namespace: string): Named {
  const parts = text.split("/");
  const kind = parts.length > 1 ? KINDS[(parts[0] ?? "").toLowerCase()] : undefined;
  const rest = kind === undefined ? parts : parts.slice(1);
  const [first = "", second] = rest;
  if (rest.length > 2 || first === "" || second === "")
    throw new CommandError(
      `--from ${text}: expected POD, SA or deploy/NAME, with .NAMESPACE or NAMESPACE/ in front`,
    );
  if (second !== undefined) return { kind, namespace: first, name: second };
  return { kind, ...splitName(first, namespacesOf(world), namespace) };
}

/** The caller that a text means; throws {@link CommandError} when there is none, and says what there is. */
export function findCaller(world: MeshWorld, text: string, namespace: string): Caller {
  const named = readName(text, world, namespace);
  for (const kind of named.kind === undefined ? TRIED : [named.kind]) {
    const found = callerOf(world, { ...named, kind });
    if (found !== undefined) return found;
  }
  const what = named.kind ?? "Pod, ServiceAccount or workload";
  const names = podsOf(world).filter(pod => pod.metadata.namespace === named.namespace);
  const there = [...new Set(names.map(pod => workloadName(pod)))].sort();
  const hint =
    there.length > 0
      ? `; in that namespace run ${there.join(", ")}`
      : `; namespaces with pods: ${[...new Set(podsOf(world).map(pod => pod.metadata.namespace ?? ""))].sort().join(", ")}`;
  throw new CommandError(`--from ${text}: there is no ${what} ${named.namespace}/${named.name}${hint}`);
}

function podsOf({ documents }: MeshWorld): readonly KubeDocument[] {
  return [...documents.values()].filter(({ kind }) => kind === "Pod");
}

function workloadName(pod: KubeDocument): string {
  const { workload } = ingestPod(pod).value;
  return `${workload.kind.toLowerCase()}/${workload.name}`;
}

function callerOf(
  world: MeshWorld,
  { kind, namespace, name }: Named & { readonly kind: string },
): Caller | undefined {
  const key = `${kind}/${namespace}/${name}`;
  const what = `${kind} ${namespace}/${name}`;
  const live = podsOf(world).filter(pod => !ingestPod(pod).value.terminated);
  if (kind === "Pod") {
    const pods = podsOf(world).filter(pod => documentKey(pod) === key);
    return pods.length === 0 ? undefined : { what, namespace, pods };
  }
  if (kind === "ServiceAccount") {
    const pods = live.filter(pod => {
      const { identity } = ingestPod(pod).value;
      return identity.namespace === namespace && identity.serviceAccount === name;
    });
    if (pods.length > 0) return { what, namespace, pods };
    if (!world.documents.has(key)) return undefined;
    return { what, namespace, pods, account: { namespace, serviceAccount: name } };
  }
  const pods = live.filter(pod => workloadKey(pod) === key);
  return pods.length === 0 ? undefined : { what, namespace, pods };
}

/** A pod that would run as an account, to be added to the objects of a world. */
export function assumedPod({ namespace, serviceAccount }: ServiceIdentity): KubeDocument {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: `assumed-${serviceAccount}`, namespace },
    spec: { serviceAccountName: serviceAccount, containers: [{ name: "app" }] },
  };
}

/** `namespace/name` of a pod. */
export function podLabel(pod: KubeDocument): string {
  const { namespace, name } = metaOf(pod);
  return `${namespace}/${name}`;
}
