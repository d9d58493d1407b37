import type {
  GlobalHttpLimit,
  LocalLimit,
  RouteTerms,
  UpstreamTrafficSetting,
} from "../../src/model/traffic";

/** An UpstreamTrafficSetting of the shop as it is read, that says nothing but what it is told to. */
export function settingTerms(
  name: string,
  more: Partial<UpstreamTrafficSetting> = {},
): UpstreamTrafficSetting {
  return {
    ref: { group: "policy.openservicemesh.io", kind: "UpstreamTrafficSetting", namespace: "shop", name },
    createdAt: 0,
    host: name,
    service: `shop/${name}`,
    connection: {
      maxConnections: undefined,
      connectTimeoutMs: undefined,
      maxRequests: undefined,
      maxPendingRequests: undefined,
      maxRetries: undefined,
      maxRequestsPerConnection: undefined,
    },
    localTcp: undefined,
    localHttp: undefined,
    globalTcp: undefined,
    globalHttp: undefined,
    routes: [],
    fault: undefined,
    outlier: undefined,
    loadBalancing: undefined,
    timeoutMs: undefined,
    ...more,
  };
}

/** A limit of one a second. */
export const ONE_A_SECOND: LocalLimit = { count: 1, unitMs: 1_000, burst: 0 };

/** A rate limit service that is asked about requests. */
export const ASKED_OF_REQUESTS: GlobalHttpLimit = {
  host: "limits.example",
  port: 8081,
  domain: "shop",
  timeoutMs: 20,
  failOpen: true,
  descriptors: [],
  xRateLimitHeaders: false,
  status: 429,
};

/** Terms of a path that say nothing but what they are told to. */
export function routeTerms(path: string, more: Partial<RouteTerms> = {}): RouteTerms {
  return { path, localLimit: undefined, descriptors: [], fault: undefined, timeoutMs: undefined, ...more };
}
