/** Words that the mesh tells owners by (conditions, events) and those of OSM's codes that a user may still look up. */

/** A code and what to do about it. */
export interface ErrorInfo {
  readonly code: string;
  readonly meaning: string;
}

/** Reasons of conditions and events; docs/reference/status.md tells more. */
const REASONS: Readonly<Record<string, string>> = {
  InvalidField: "A field of the object is wrong; the message names it. What depends on it has no effect.",
  UnresolvedReference: "The object names something that is not there; the message says what happens instead.",
  Conflicted: "Another object says otherwise, and the older one wins; the message names both.",
  NoEffect: "The field is understood and does nothing here; the message says why.",
  WiderThanLabels: "A rule for some pods of a ServiceAccount holds for all of them.",
  UnknownAppProtocol: "appProtocol of the Service's port is none that the mesh knows; it is carried as TCP.",
  ProtocolConflict: "Two Services say different protocols of one port of the same pods.",
  RefusedByProxy: "A proxy refused its configuration; the note names proxy, resource and Envoy's words.",
  ReplicaUnreachable:
    "A replica of the control plane cannot be asked: on how many proxies it is in force is not known.",
  Progressing: "Not all affected proxies have it yet; the message names who is waited for.",
  SidecarNotInjected: "A pod of an injecting namespace got no sidecar; the event says why.",
  HostNetwork: "A pod on the node's network cannot have a sidecar.",
  OptedOut: "The pod's own annotation keeps the sidecar away.",
};

/** OSM's codes, by their ranges, and where the same is told here. */
const OF_OSM: readonly (readonly [from: number, to: number, meaning: string])[] = [
  [1000, 1006, "OSM's start. Here: the control plane's log names variable and value."],
  [
    2000,
    2011,
    "OSM's policies. Here: conditions Accepted, ResolvedRefs and Conflicted of the object itself.",
  ],
  [
    3000,
    3003,
    "OSM's reading of Kubernetes objects. Here: the object's condition Accepted, or the control plane's log.",
  ],
  [
    4000,
    4016,
    "OSM's certificates. Here: condition ResolvedRefs of the MeshRootCertificate, and gauge osm_cert_waiting_count.",
  ],
  [4100, 4100, "OSM's internal messages. There is nothing of the kind here."],
  [4150, 4153, "OSM's MeshConfig. Here: its condition Accepted; the last good one stays in force."],
  [
    5000,
    5030,
    "OSM's talk with proxies. Here: osm status, and reason RefusedByProxy on the object it comes from.",
  ],
  [
    6100,
    6114,
    "OSM's injector. Here: event SidecarNotInjected, or the admission policy's refusal of the pod.",
  ],
  [6700, 6703, "OSM's validating webhook. Here: its answer names field and reason."],
  [7000, 7005, "OSM's reconciler. Here: the watcher's log."],
];

const listed: readonly ErrorInfo[] = [
  ...Object.entries(REASONS).map(([code, meaning]) => ({ code, meaning })),
  ...OF_OSM.map(([from, to, meaning]) => ({ code: from === to ? `E${from}` : `E${from}-E${to}`, meaning })),
];

/** What a code means; all codes, those of OSM's by their ranges, for undefined. Empty: there is no such code. */
export function errorInfo(code: string | undefined): readonly ErrorInfo[] {
  if (code === undefined) return listed;
  const number = Number(/^e(\d{4})$/i.exec(code)?.[1] ?? Number.NaN);
  const range = OF_OSM.find(([from, to]) => number >= from && number <= to);
  if (range !== undefined) return [{ code: code.toUpperCase(), meaning: range[2] }];
  return listed.filter(one => one.code.toLowerCase() === code.toLowerCase());
}
