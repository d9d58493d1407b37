import type { MeshConfigSpec } from "../api/mesh-config";
import type { ServiceIdentity } from "../model/identity";
import type {
  Egress,
  ExtensionService,
  HttpRouteGroup,
  IdentityBinding,
  IngressBackend,
  Retry,
  TcpRoute,
  Telemetry,
  TrafficSplit,
  TrafficTarget,
  UdpRoute,
  UpstreamTrafficSetting,
} from "../model/traffic";
import type { MeshEndpointSlice, MeshNamespace, MeshPod, MeshService } from "../model/workload";
import { apiKind } from "../api/kinds";
import type { Compiled } from "../model/diagnostic";
import { ingestIdentityBinding, ingestTrafficTarget } from "./access";
import { ingestEgress, ingestExtensionService } from "./egress";
import { ingestEndpointSlice } from "./endpoint-slice";
import { ingestExternalWorkload } from "./external-workload";
import { metaOf, objectKey } from "./fields";
import { CONFIG_GROUP, ingestMeshConfig } from "./mesh-config";
import { ingestIngressBackend } from "./ingress-backend";
import { ingestNamespace } from "./namespace";
import { ingestPod } from "./pod";
import type { Projector } from "./projector";
import { clean } from "./projector";
import { ingestRetry } from "./retry";
import { ingestHttpRouteGroup, ingestTcpRoute, ingestUdpRoute } from "./routes";
import { ingestService } from "./service";
import { ingestTelemetry } from "./telemetry";
import { ingestTrafficSplit } from "./traffic-split";
import { ingestUpstreamTrafficSetting } from "./upstream-traffic-setting";

export type { Projector } from "./projector";

/** Model value of each kind of policy; undefined: findings void the object as a whole. */
export interface PolicyOf {
  readonly TrafficTarget: TrafficTarget | undefined;
  readonly IdentityBinding: IdentityBinding | undefined;
  readonly HTTPRouteGroup: HttpRouteGroup | undefined;
  readonly TCPRoute: TcpRoute | undefined;
  readonly UDPRoute: UdpRoute | undefined;
  readonly TrafficSplit: TrafficSplit | undefined;
  readonly Egress: Egress | undefined;
  readonly IngressBackend: IngressBackend | undefined;
  readonly Retry: Retry | undefined;
  readonly UpstreamTrafficSetting: UpstreamTrafficSetting | undefined;
  readonly Telemetry: Telemetry | undefined;
  readonly ExtensionService: ExtensionService | undefined;
}

/** Model value of each kind that is watched. */
export interface ModelOf extends PolicyOf {
  readonly Namespace: MeshNamespace;
  readonly Service: MeshService;
  readonly EndpointSlice: MeshEndpointSlice;
  readonly Pod: MeshPod;
  readonly ServiceAccount: ServiceIdentity;
  /** As a pod whose proxy runs elsewhere; undefined: its fields are wrong. */
  readonly ExternalWorkload: MeshPod | undefined;
  /** Only the mesh's one object must be fed; undefined: it is not valid, and the last good one stays in force. */
  readonly MeshConfig: MeshConfigSpec | undefined;
}

/** Kinds that are watched. */
export type IngestKind = keyof ModelOf;

/** One projector per kind. */
export type Projectors = { readonly [K in IngestKind]: Projector<ModelOf[K]> };

/** The projectors of a mesh; `meshName` is what the monitored-by label of its namespaces says. */
export function createProjectors(meshName: string): Projectors {
  return {
    Namespace: {
      kind: "Namespace",
      apiPath: "/api/v1/namespaces",
      key: objectKey,
      project: object => ingestNamespace(object, meshName),
    },
    Service: { kind: "Service", apiPath: "/api/v1/services", key: objectKey, project: ingestService },
    EndpointSlice: {
      kind: "EndpointSlice",
      apiPath: "/apis/discovery.k8s.io/v1/endpointslices",
      key: objectKey,
      project: ingestEndpointSlice,
    },
    Pod: { kind: "Pod", apiPath: "/api/v1/pods", key: objectKey, project: ingestPod },
    ServiceAccount: {
      kind: "ServiceAccount",
      apiPath: "/api/v1/serviceaccounts",
      key: objectKey,
      project: object => {
        const { namespace, name } = metaOf(object);
        return clean({ namespace, serviceAccount: name });
      },
    },
    MeshConfig: {
      kind: "MeshConfig",
      apiPath: `/apis/${CONFIG_GROUP}/v1alpha2/meshconfigs`,
      key: objectKey,
      project: ingestMeshConfig,
    },
    ExternalWorkload: {
      kind: "ExternalWorkload",
      apiPath: `/apis/${CONFIG_GROUP}/v1alpha2/externalworkloads`,
      key: objectKey,
      project: ingestExternalWorkload,
    },
    ...POLICY_PROJECTORS,
  };
}

/** The projector of a policy kind, watched under the version in which the mesh also writes its status. */
function policy<K extends keyof PolicyOf>(
  kind: K,
  project: (object: unknown) => Compiled<PolicyOf[K]>,
): Projector<PolicyOf[K]> {
  const row = apiKind(kind);
  const path = row === undefined ? "" : `/apis/${row.group}/${row.version}/${row.plural}`;
  return { kind, apiPath: path, key: objectKey, project };
}

const POLICY_PROJECTORS: { readonly [K in keyof PolicyOf]: Projector<PolicyOf[K]> } = {
  TrafficTarget: policy("TrafficTarget", ingestTrafficTarget),
  IdentityBinding: policy("IdentityBinding", ingestIdentityBinding),
  HTTPRouteGroup: policy("HTTPRouteGroup", ingestHttpRouteGroup),
  TCPRoute: policy("TCPRoute", ingestTcpRoute),
  UDPRoute: policy("UDPRoute", ingestUdpRoute),
  TrafficSplit: policy("TrafficSplit", ingestTrafficSplit),
  Egress: policy("Egress", ingestEgress),
  IngressBackend: policy("IngressBackend", ingestIngressBackend),
  Retry: policy("Retry", ingestRetry),
  UpstreamTrafficSetting: policy("UpstreamTrafficSetting", ingestUpstreamTrafficSetting),
  Telemetry: policy("Telemetry", ingestTelemetry),
  ExtensionService: policy("ExtensionService", ingestExtensionService),
};

/** Kinds of policy: those that have a projector above. */
export const POLICY_KINDS = Object.keys(POLICY_PROJECTORS) as readonly (keyof PolicyOf)[];
