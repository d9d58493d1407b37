import type { Tracing } from "../policy/types";
import { pack } from "./any";
import { OpenTelemetryConfig } from "./api/generated/envoy/config/trace/v3/opentelemetry";
import type { Tracing_Http } from "./api/generated/envoy/config/trace/v3/http_tracer";
import {
  ZipkinConfig,
  ZipkinConfig_CollectorEndpointVersion,
  ZipkinConfig_TraceContextOption,
} from "./api/generated/envoy/config/trace/v3/zipkin";
import type { HttpConnectionManager_Tracing } from "./api/generated/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { EnvironmentResourceDetectorConfig } from "./api/generated/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector";
import { ParentBasedSamplerConfig } from "./api/generated/envoy/extensions/tracers/opentelemetry/samplers/v3/parent_based_sampler";
import { TraceIdRatioBasedSamplerConfig } from "./api/generated/envoy/extensions/tracers/opentelemetry/samplers/v3/trace_id_ratio_based_sampler";
import { FractionalPercent_DenominatorType } from "./api/generated/envoy/type/v3/percent";
import { rpcTo } from "./grpc-service";

/** How long the collector may take to answer for a batch of spans; they are lost after it. */
const EXPORT_TIMEOUT_MS = 5_000;

function zipkin(tracing: Tracing): Tracing_Http {
  const config: ZipkinConfig = {
    collectorCluster: tracing.cluster,
    collectorEndpoint: tracing.endpoint,
    collectorEndpointVersion: ZipkinConfig_CollectorEndpointVersion.HTTP_JSON,
    collectorHostname: tracing.address,
    traceId128bit: true,
    // An application that hands on `traceparent` alone keeps its traces together as well.
    traceContextOption: ZipkinConfig_TraceContextOption.USE_B3_WITH_W3C_PROPAGATION,
  };
  return {
    name: "envoy.tracers.zipkin",
    configType: { $case: "typedConfig", value: pack(ZipkinConfig, config) },
  };
}

/**
 * A trace that comes with a request keeps its decision; others are taken by their id. (Envoy's own decision is by `x-request-id`,
 * which applications with OpenTelemetry do not hand on, and without a sampler it is asked as well.)
 */
function sampler({ samplingPercentage }: Tracing): OpenTelemetryConfig["sampler"] {
  const ratio: TraceIdRatioBasedSamplerConfig = {
    samplingPercentage: {
      numerator: Math.round(samplingPercentage * 100),
      denominator: FractionalPercent_DenominatorType.TEN_THOUSAND,
    },
  };
  const wrappedSampler = {
    name: "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
    typedConfig: pack(TraceIdRatioBasedSamplerConfig, ratio),
  };
  return {
    name: "envoy.tracers.opentelemetry.samplers.parent_based",
    typedConfig: pack(ParentBasedSamplerConfig, { wrappedSampler }),
  };
}

/** The service is called as the environment of the sidecar says: listeners are the same for all callers of a Service. */
function openTelemetry(tracing: Tracing): Tracing_Http {
  const config: OpenTelemetryConfig = {
    grpcService: rpcTo(tracing.cluster, EXPORT_TIMEOUT_MS),
    sampler: sampler(tracing),
    resourceDetectors: [
      {
        name: "envoy.tracers.opentelemetry.resource_detectors.environment",
        typedConfig: pack(EnvironmentResourceDetectorConfig, {}),
      },
    ],
  };
  return {
    name: "envoy.tracers.opentelemetry",
    configType: { $case: "typedConfig", value: pack(OpenTelemetryConfig, config) },
  };
}

/** How an HTTP connection manager traces: the share of traces that it begins, and where their spans go. */
export function tracingOf(tracing: Tracing): HttpConnectionManager_Tracing {
  return {
    // A header of Envoy's own would let any caller have itself traced, whatever the share.
    clientSampling: { value: 0 },
    verbose: true,
    ...(tracing.protocol === "otlp"
      ? { randomSampling: { value: 100 }, provider: openTelemetry(tracing) }
      : { randomSampling: { value: tracing.samplingPercentage }, provider: zipkin(tracing) }),
  };
}
