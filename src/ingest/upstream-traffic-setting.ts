import { parseDuration } from "../model/duration";
import { parseServiceHost } from "../model/service-host";
import type {
  ConnectionTerms,
  FaultTerms,
  LoadBalancing,
  OutlierTerms,
  RouteTerms,
  UpstreamTrafficSetting,
} from "../model/traffic";
import type { Json } from "./fields";
import { asArray, asObject, asText } from "./fields";
import { asNumber, headOf, policyIngest } from "./policy-object";
import {
  descriptorsOf,
  globalHttpLimitOf,
  globalTcpLimitOf,
  localHttpLimitOf,
  localTcpLimitOf,
} from "./rate-limit";

/** An UpstreamTrafficSetting. */
export const ingestUpstreamTrafficSetting = policyIngest<UpstreamTrafficSetting>({
  group: "policy.openservicemesh.io",
  kind: "UpstreamTrafficSetting",
  read: reading => {
    const { body, namespace } = reading;
    const host = (asText(body["host"]) ?? "").toLowerCase().replace(/[.]$/, "");
    const local = asObject(asObject(body["rateLimit"])["local"]);
    const global = asObject(asObject(body["rateLimit"])["global"]);
    return {
      ...headOf(reading),
      host,
      service: serviceOf(host, namespace),
      connection: connectionOf(asObject(body["connectionSettings"])),
      localTcp: localTcpLimitOf(local["tcp"]),
      localHttp: localHttpLimitOf(local["http"]),
      globalTcp: globalTcpLimitOf(global["tcp"]),
      globalHttp: globalHttpLimitOf(global["http"]),
      routes: asArray(body["httpRoutes"]).map(asObject).map(routeOf),
      fault: faultOf(body["faults"]),
      outlier: outlierOf(body["outlierDetection"]),
      loadBalancing: loadBalancingOf(body["loadBalancing"]),
      timeoutMs: millisecondsOf(body["timeout"]),
    };
  },
});

/** A host that names no Service of the namespace is one outside the mesh; validation has refused those of other namespaces. */
function serviceOf(host: string, namespace: string): string | undefined {
  const service = parseServiceHost(host, namespace);
  return service?.namespace === namespace ? `${namespace}/${service.name}` : undefined;
}

function millisecondsOf(value: unknown): number | undefined {
  return parseDuration(asText(value) ?? "");
}

function connectionOf(settings: Json): ConnectionTerms {
  const tcp = asObject(settings["tcp"]);
  const http = asObject(settings["http"]);
  return {
    maxConnections: asNumber(tcp["maxConnections"]),
    connectTimeoutMs: millisecondsOf(tcp["connectTimeout"]),
    maxRequests: asNumber(http["maxRequests"]),
    maxPendingRequests: asNumber(http["maxPendingRequests"]),
    maxRetries: asNumber(http["maxRetries"]),
    maxRequestsPerConnection: asNumber(http["maxRequestsPerConnection"]),
  };
}

function routeOf(route: Json): RouteTerms {
  const limit = asObject(route["rateLimit"]);
  return {
    path: asText(route["path"]) ?? "",
    localLimit: localHttpLimitOf(limit["local"]),
    descriptors: descriptorsOf(asObject(limit["global"])["descriptors"]),
    fault: faultOf(route["faults"]),
    timeoutMs: millisecondsOf(route["timeout"]),
  };
}

function faultOf(faults: unknown): FaultTerms | undefined {
  if (faults === undefined || faults === null) return undefined;
  const delay = asObject(asObject(faults)["delay"]);
  const abort = asObject(asObject(faults)["abort"]);
  const ms = millisecondsOf(delay["duration"]);
  const status = asNumber(abort["httpStatus"]);
  return {
    delay: ms === undefined ? undefined : { ms, percent: asNumber(delay["percentage"]) ?? 100 },
    abort: status === undefined ? undefined : { status, percent: asNumber(abort["percentage"]) ?? 100 },
  };
}

/** Envoy's defaults stand for what is not said. */
function outlierOf(detection: unknown): OutlierTerms | undefined {
  if (detection === undefined || detection === null) return undefined;
  const given = asObject(detection);
  return {
    consecutiveErrors: asNumber(given["consecutiveErrors"]) ?? 5,
    intervalMs: millisecondsOf(given["interval"]) ?? 10_000,
    baseEjectionMs: millisecondsOf(given["baseEjectionTime"]) ?? 30_000,
    maxEjectionPercent: asNumber(given["maxEjectionPercent"]) ?? 10,
  };
}

function loadBalancingOf(written: unknown): LoadBalancing | undefined {
  const { policy, header } = asObject(written);
  switch (policy) {
    case "RoundRobin":
      return { kind: "round-robin" };
    case "LeastRequest":
      return { kind: "least-request" };
    case "Random":
      return { kind: "random" };
    case "HeaderHash":
      return { kind: "hash", header: (asText(header) ?? "").toLowerCase() };
    case "SourceAddress":
      return { kind: "source-address" };
    default:
      return undefined;
  }
}
