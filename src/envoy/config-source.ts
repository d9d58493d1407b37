import { ApiVersion, type ConfigSource } from "./api/generated/envoy/config/core/v3/config_source";

/**
 * Configuration from the ADS stream. It is the same value everywhere: Envoy does not ask again for a secret whose name it
 * knows under a source of other bytes, and the listener then goes live without a certificate (envoy issue 47309).
 */
export const ADS: ConfigSource = {
  configSourceSpecifier: { $case: "ads", value: {} },
  resourceApiVersion: ApiVersion.V3,
};
