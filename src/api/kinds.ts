import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import { validateEgress } from "./egress";
import { validateExtensionService } from "./extension-service";
import { validateExternalWorkload } from "./external-workload";
import { fieldsOf, textOf } from "./field";
import { validateHttpRouteGroup } from "./http-route-group";
import { validateIdentityBinding } from "./identity-binding";
import { validateIngressBackend } from "./ingress-backend";
import { validateMeshConfig } from "./mesh-config-rules";
import { validateMeshRootCertificate } from "./mesh-root-certificate";
import { validateRetry } from "./retry";
import { validateTcpRoute } from "./tcp-route";
import { validateTelemetry } from "./telemetry";
import { validateTrafficSplit } from "./traffic-split";
import { validateTrafficTarget } from "./traffic-target";
import { validateUdpRoute } from "./udp-route";
import { validateUpstreamTrafficSetting } from "./upstream-traffic-setting";

/** A custom kind that the mesh reads. */
export interface ApiKind {
  readonly kind: string;
  readonly group: string;
  /** The version under which the mesh reads it and writes its status. */
  readonly version: string;
  readonly plural: string;
  /** What is wrong with an object of this kind, of any served version. Never throws. */
  readonly validate: (subject: ObjectRef, object: unknown) => readonly Diagnostic[];
}

const CONFIG = { group: "config.openservicemesh.io", version: "v1alpha2" };
const POLICY = { group: "policy.openservicemesh.io", version: "v1alpha1" };
const SPECS = { group: "specs.smi-spec.io", version: "v1alpha4" };

/** All custom kinds, one row each. */
export const API_KINDS: readonly ApiKind[] = [
  { ...CONFIG, kind: "MeshConfig", plural: "meshconfigs", validate: validateMeshConfig },
  {
    ...CONFIG,
    kind: "MeshRootCertificate",
    plural: "meshrootcertificates",
    validate: validateMeshRootCertificate,
  },
  { ...CONFIG, kind: "ExtensionService", plural: "extensionservices", validate: validateExtensionService },
  { ...CONFIG, kind: "ExternalWorkload", plural: "externalworkloads", validate: validateExternalWorkload },
  { ...POLICY, kind: "Egress", plural: "egresses", validate: validateEgress },
  { ...POLICY, kind: "IngressBackend", plural: "ingressbackends", validate: validateIngressBackend },
  { ...POLICY, kind: "Retry", plural: "retries", validate: validateRetry },
  {
    ...POLICY,
    kind: "UpstreamTrafficSetting",
    plural: "upstreamtrafficsettings",
    validate: validateUpstreamTrafficSetting,
  },
  { ...POLICY, kind: "Telemetry", plural: "telemetries", validate: validateTelemetry },
  {
    group: "access.smi-spec.io",
    version: "v1alpha3",
    kind: "TrafficTarget",
    plural: "traffictargets",
    validate: validateTrafficTarget,
  },
  {
    group: "access.smi-spec.io",
    version: "v1alpha4",
    kind: "IdentityBinding",
    plural: "identitybindings",
    validate: validateIdentityBinding,
  },
  { ...SPECS, kind: "HTTPRouteGroup", plural: "httproutegroups", validate: validateHttpRouteGroup },
  { ...SPECS, kind: "TCPRoute", plural: "tcproutes", validate: validateTcpRoute },
  { ...SPECS, kind: "UDPRoute", plural: "udproutes", validate: validateUdpRoute },
  {
    group: "split.smi-spec.io",
    version: "v1alpha2",
    kind: "TrafficSplit",
    plural: "trafficsplits",
    validate: validateTrafficSplit,
  },
];

const BY_KIND = new Map(API_KINDS.map(row => [row.kind, row]));

/** The row of a kind; undefined when it is not one of the mesh's. */
export function apiKind(kind: string): ApiKind | undefined {
  return BY_KIND.get(kind);
}

/** What is wrong with a custom object of the mesh, whatever its kind; nothing for kinds that are not the mesh's. */
export function validateCustomObject(kind: string, object: unknown): readonly Diagnostic[] {
  const row = BY_KIND.get(kind);
  if (row === undefined) return [];
  const metadata = fieldsOf(fieldsOf(object)["metadata"]);
  const subject: ObjectRef = {
    group: row.group,
    kind,
    namespace: textOf(metadata["namespace"]) ?? "",
    name: textOf(metadata["name"]) ?? "",
  };
  return row.validate(subject, object);
}
