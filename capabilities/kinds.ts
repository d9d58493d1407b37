import type { GroupVersionKind } from "kubernetes-fluent-client";

const config = (kind: string, plural: string): GroupVersionKind => ({
  group: "config.openservicemesh.io",
  version: "v1alpha2",
  kind,
  plural,
});
const policy = (kind: string, plural: string): GroupVersionKind => ({
  group: "policy.openservicemesh.io",
  version: "v1alpha1",
  kind,
  plural,
});
const smi = (group: string, version: string, kind: string, plural: string): GroupVersionKind => ({
  group: `${group}.smi-spec.io`,
  version,
  kind,
  plural,
});

/** The object that steers the mesh. */
export const MESH_CONFIG = config("MeshConfig", "meshconfigs");
/** Where the mesh's root comes from. */
export const MESH_ROOT_CERTIFICATE = config("MeshRootCertificate", "meshrootcertificates");
/**
 * Policies of users, each in its storage version: the API server converts requests for another one (match policy
 * Equivalent), so one binding sees them all.
 */
export const POLICY_KINDS: readonly GroupVersionKind[] = [
  config("ExtensionService", "extensionservices"),
  policy("Egress", "egresses"),
  policy("IngressBackend", "ingressbackends"),
  policy("Retry", "retries"),
  policy("UpstreamTrafficSetting", "upstreamtrafficsettings"),
  policy("Telemetry", "telemetries"),
  smi("access", "v1alpha3", "TrafficTarget", "traffictargets"),
  smi("specs", "v1alpha4", "HTTPRouteGroup", "httproutegroups"),
  smi("specs", "v1alpha4", "TCPRoute", "tcproutes"),
  smi("specs", "v1alpha4", "UDPRoute", "udproutes"),
  smi("split", "v1alpha4", "TrafficSplit", "trafficsplits"),
];
