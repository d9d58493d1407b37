import type { MeshConfigSpec } from "../api/mesh-config";
import { DEFAULT_MESH_CONFIG } from "../api/mesh-config";
import { MESH_CONFIG_NAME } from "../model/mesh-words";
import type { InstallSettings } from "./names";
import { meshLabels } from "./names";
import type { InstallObject } from "./object";

/** What the installer may preset in the first MeshConfig; absent fields keep OSM's defaults. */
export interface MeshConfigPreset {
  readonly permissive?: boolean;
  readonly egress?: boolean;
  readonly sidecarLogLevel?: MeshConfigSpec["sidecar"]["logLevel"];
  readonly osmLogLevel?: MeshConfigSpec["observability"]["osmLogLevel"];
}

/**
 * The MeshConfig of a fresh installation. An existing one is the operator's and is never touched, so values survive
 * upgrades.
 */
export function defaultMeshConfig(settings: InstallSettings, preset: MeshConfigPreset): InstallObject {
  const base = DEFAULT_MESH_CONFIG;
  return meshConfigOf(settings, {
    ...base,
    sidecar: { ...base.sidecar, logLevel: preset.sidecarLogLevel ?? base.sidecar.logLevel },
    traffic: {
      ...base.traffic,
      enableEgress: preset.egress ?? base.traffic.enableEgress,
      enablePermissiveTrafficPolicyMode: preset.permissive ?? base.traffic.enablePermissiveTrafficPolicyMode,
    },
    observability: {
      ...base.observability,
      osmLogLevel: preset.osmLogLevel ?? base.observability.osmLogLevel,
      tracing: {
        ...base.observability.tracing,
        address: `jaeger.${settings.osmNamespace}.svc.cluster.local`,
      },
    },
  });
}

/** The MeshConfig with this spec, as it is written to the API. */
export function meshConfigOf(settings: InstallSettings, spec: MeshConfigSpec): InstallObject {
  const { ingressGateway, ...certificate } = spec.certificate;
  const { port, ...authorization } = spec.traffic.inboundExternalAuthorization;
  return {
    apiVersion: "config.openservicemesh.io/v1alpha2",
    kind: "MeshConfig",
    metadata: { name: MESH_CONFIG_NAME, namespace: settings.osmNamespace, labels: meshLabels(settings) },
    spec: {
      ...spec,
      certificate: { ...certificate, ...(ingressGateway === undefined ? {} : { ingressGateway }) },
      // 0 stands for "not given", which the API's schema does not know.
      traffic: {
        ...spec.traffic,
        inboundExternalAuthorization: { ...authorization, ...(port === 0 ? {} : { port }) },
      },
    },
  };
}
