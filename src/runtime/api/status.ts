import { X509Certificate } from "node:crypto";
import { externalKey } from "../../catalog/inputs";
import { trustDomainsOf } from "../../model/identity";
import type { ObjectRef } from "../../model/object-ref";
import type { MeshPod } from "../../model/workload";
import { subjectOfKey, type Progress } from "../control-plane/progress";
import type { RootView } from "../control-plane/root-keeper";
import type { Engine } from "../engine";
import type { Fleet } from "../ledger/fleet";
import { GIVEN, type RefusedRow, type ReplicaRows } from "../ledger/rows";
import type { Clock } from "../ports";
import type { Settings } from "../settings";
import type {
  MeshLine,
  ObjectLine,
  ProxyLine,
  RefusedLine,
  ReplicaLine,
  RootsLine,
  StatusPage,
} from "./pages";

/** What the status is read from. */
export interface StatusSources {
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly roots: () => RootView | undefined;
  readonly progress: Progress["of"];
  readonly settings: Settings;
  readonly version: string;
  readonly clock: Pick<Clock, "now">;
}

/** What is known of proxies, replicas, objects and roots, all replicas summed. */
export function statusPage(sources: StatusSources): StatusPage {
  const { engine, fleet, clock } = sources;
  const view = fleet.view();
  const links = fleet.replicas();
  const refused = view.replicas.flatMap(rows => [...rows.refused.values()].map(refusedLine));
  const roots = rootsLine(sources.roots());
  return {
    at: clock.now(),
    mesh: meshLine(sources),
    complete: view.complete,
    replicas: links.map(({ replica: { name, ready }, rows }): ReplicaLine => {
      const version = rows?.about.get(GIVEN)?.version;
      const own = version === undefined ? {} : { version };
      return { name, ready, known: rows !== undefined, proxies: rows?.proxy.size ?? 0, ...own };
    }),
    proxies: proxyLines(sources, view.missing),
    uninjected: [...engine.inventory.pods].flatMap(([pod, { meshed, terminated, workload, namespace }]) =>
      meshed || terminated || engine.namespaces().get(namespace)?.meshed !== true
        ? []
        : [{ pod, workload: `${workload.kind}/${workload.name}` }],
    ),
    refused,
    objects: objectLines(sources),
    ...(roots === undefined ? {} : { roots }),
  };
}

function meshLine({ engine, settings, version }: StatusSources): MeshLine {
  const { sidecar, traffic } = engine.meshConfig();
  return {
    name: settings.meshName,
    namespace: settings.osmNamespace,
    version,
    trustDomain: trustDomainsOf(engine.trustDomain())[0] ?? "",
    permissive: traffic.enablePermissiveTrafficPolicyMode,
    egress: traffic.enableEgress,
    sidecarImage: sidecar.envoyImage === "" ? settings.images.envoy : sidecar.envoyImage,
  };
}

const shortType = (typeUrl: string): string => typeUrl.split(".").at(-1) ?? typeUrl;
const objectText = ({ kind, namespace, name }: ObjectRef): string => `${kind} ${namespace}/${name}`;

function refusedLine({ typeUrl, name, message, origins, count, proxy }: RefusedRow): RefusedLine {
  const resource = `${shortType(typeUrl)} ${name}`;
  return { resource, message, objects: origins.map(objectText), count, proxy };
}

/** Each live proxy once; of one that two replicas know, what the one says that it came to last. */
function proxyLines(
  { engine, fleet }: StatusSources,
  missing: ReadonlyMap<string, string>,
): readonly ProxyLine[] {
  const { pods } = engine.inventory;
  const lines = new Map<string, ProxyLine>();
  const put = (name: string, rest: Partial<ProxyLine>): void => {
    const external = pods.get(externalKey(name));
    const before = lines.get(name)?.since ?? -1;
    if (before > (rest.since ?? 0)) return;
    lines.set(name, { pod: name, ...whose(pods.get(name) ?? external), ...rest });
  };
  for (const { replica, rows } of fleet.replicas()) {
    for (const [uid, { name, config }] of rows?.proxy ?? [])
      put(name, { replica: replica.name, config, ...standing(rows, uid) });
  }
  for (const name of missing.values()) put(name, {});
  return [...lines.values()].sort((a, b) => (a.pod < b.pod ? -1 : 1));
}

function whose(pod: MeshPod | undefined): Pick<ProxyLine, "workload" | "identity" | "external"> {
  if (pod === undefined) return { workload: "", identity: "" };
  const { workload, identity, external } = pod;
  return {
    workload: `${workload.kind}/${workload.name}`,
    identity: `${identity.namespace}/${identity.serviceAccount}`,
    ...(external === undefined ? {} : { external: true }),
  };
}

function standing(rows: ReplicaRows | undefined, uid: string): Partial<ProxyLine> {
  const { refused, ...stand } = rows?.stand.get(uid) ?? {};
  if (refused === undefined) return stand;
  const texts = refused.flatMap(key => {
    const row = rows?.refused.get(key);
    return row === undefined ? [] : `${shortType(row.typeUrl)} ${row.name}: ${row.message}`;
  });
  return { ...stand, refused: texts };
}

/** Every object of policy and all others about which something was found. */
function objectLines({ engine, progress }: StatusSources): readonly ObjectLine[] {
  const found = engine.diagnostics();
  const lines = [...new Set([...engine.generations().keys(), ...found.keys()])].sort().map(key => {
    const subject = subjectOfKey(key);
    const counted = subject && progress(subject, engine.generations().get(key) ?? 0);
    const [type = "", ...path] = key.split("/");
    return {
      kind: type.split(".")[0] ?? "",
      object: path.join("/"),
      ...(counted === undefined
        ? {}
        : {
            affected: counted.affected,
            programmed: counted.programmed,
            behind: counted.behind,
            ...(counted.refusal === undefined ? {} : { refusal: counted.refusal }),
          }),
      findings: (found.get(key) ?? []).map(({ severity, code, message }) => ({ severity, code, message })),
    };
  });
  const isWell = ({ affected, programmed, findings }: ObjectLine): boolean =>
    affected === programmed && findings.length === 0;
  return [...lines.filter(line => !isWell(line)), ...lines.filter(isWell)];
}

function rootsLine(view: RootView | undefined): RootsLine | undefined {
  if (view === undefined) return undefined;
  const { enabled, errors, step } = view;
  const { state, text, next, proof } = step;
  const nameOf = ({ owner }: { readonly owner: string | undefined }): string => owner ?? "built-in";
  const counts = proof && { proxies: proof.proxies, ready: proof.ready, waiting: proof.waiting };
  return {
    enabled,
    text,
    roots: state.roots.map(root => ({
      name: nameOf(root),
      fingerprint: root.fingerprint,
      ...(root.trustDomain === undefined ? {} : { trustDomain: root.trustDomain }),
      issuing: root.fingerprint === state.issuing,
      notAfter: Date.parse(new X509Certificate(root.anchorsPem).validTo),
    })),
    ...(next === undefined ? {} : { next: { kind: next.kind, root: nameOf(next.root), ...counts } }),
    errors: Object.fromEntries(errors),
  };
}
