import type { MeshConfigSpec } from "../api/mesh-config";
import type { ServiceIdentity } from "../model/identity";
import type { MeshEndpointSlice, MeshNamespace, MeshPod, MeshService } from "../model/workload";
import { ingestEndpointSlice } from "./endpoint-slice";
import { metaOf, objectKey } from "./fields";
import { CONFIG_GROUP, ingestMeshConfig } from "./mesh-config";
import { ingestNamespace } from "./namespace";
import { ingestPod } from "./pod";
import type { Projector } from "./projector";
import { clean } from "./projector";
import { ingestService } from "./service";

export type { Projector } from "./projector";

/** Model value of each kind that is watched. */
export interface ModelOf {
  readonly Namespace: MeshNamespace;
  readonly Service: MeshService;
  readonly EndpointSlice: MeshEndpointSlice;
  readonly Pod: MeshPod;
  readonly ServiceAccount: ServiceIdentity;
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
  };
}
