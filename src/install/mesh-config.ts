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
 * The MeshConfig that is created when there is none. An existing one is the operator's and is never touched, so values
 * survive upgrades.
 */
export function defaultMeshConfig(settings: InstallSettings, preset: MeshConfigPreset): InstallObject {
  const base = DEFAULT_MESH_CONFIG;
  const { serviceCertValidityDuration, certKeyBitSize } = base.certificate;
  const { enable, statPrefix, timeout, failureModeAllow } = base.traffic.inboundExternalAuthorization;
  const spec = {
    ...base,
    certificate: { serviceCertValidityDuration, certKeyBitSize },
    sidecar: { ...base.sidecar, logLevel: preset.sidecarLogLevel ?? base.sidecar.logLevel },
    traffic: {
      ...base.traffic,
      inboundExternalAuthorization: { enable, statPrefix, timeout, failureModeAllow },
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
  };
  return {
    apiVersion: "config.openservicemesh.io/v1alpha2",
    kind: "MeshConfig",
    metadata: { name: MESH_CONFIG_NAME, namespace: settings.osmNamespace, labels: meshLabels(settings) },
    spec,
  };
}
