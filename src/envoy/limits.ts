import type {
  DescriptorEntry,
  DescriptorHeader,
  Descriptor,
  LocalHttpLimit,
  LocalLimit,
} from "../model/traffic";
import type { InboundPort } from "../policy/types";
import { pack } from "./any";
import type { Any } from "./api/generated/google/protobuf/any";
import { ApiVersion } from "./api/generated/envoy/config/core/v3/config_source";
import type { RuntimeFractionalPercent } from "./api/generated/envoy/config/core/v3/base";
import type { Filter } from "./api/generated/envoy/config/listener/v3/listener_components";
import type { RateLimitServiceConfig } from "./api/generated/envoy/config/ratelimit/v3/rls";
import type {
  HeaderMatcher,
  RateLimit as RouteLimit,
  RateLimit_Action,
} from "./api/generated/envoy/config/route/v3/route_components";
import { LocalRateLimit as LocalHttp } from "./api/generated/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit";
import {
  RateLimit as GlobalHttp,
  RateLimit_XRateLimitHeadersRFCVersion,
} from "./api/generated/envoy/extensions/filters/http/ratelimit/v3/rate_limit";
import { LocalRateLimit as LocalTcp } from "./api/generated/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit";
import { RateLimit as GlobalTcp } from "./api/generated/envoy/extensions/filters/network/ratelimit/v3/rate_limit";
import { FractionalPercent_DenominatorType } from "./api/generated/envoy/type/v3/percent";
import type { TokenBucket } from "./api/generated/envoy/type/v3/token_bucket";
import { milliseconds } from "./duration";
import { rpcTo } from "./grpc-service";
import { exact, regex } from "./route/route-match";

/** What Envoy counts tokens with; a bucket of that size is none that somebody empties. */
const MAX_TOKENS = 0xff_ff_ff_ff;

/** Full at the start: what a burst may take above the rate is there from the first moment. */
function bucket({ count, burst, unitMs }: LocalLimit): TokenBucket {
  return {
    maxTokens: Math.min(count + burst, MAX_TOKENS),
    tokensPerFill: count,
    fillInterval: milliseconds(unitMs),
  };
}

const ALWAYS: RuntimeFractionalPercent = {
  defaultValue: { numerator: 100, denominator: FractionalPercent_DenominatorType.HUNDRED },
};

/** The local limit of a route or of all routes of a virtual host. */
export function localHttpLimit(limit: LocalHttpLimit): Any {
  return pack(LocalHttp, {
    statPrefix: "http_local_rate_limiter",
    status: { code: limit.status },
    tokenBucket: bucket(limit),
    // Without these two Envoy counts, and lets everything pass.
    filterEnabled: ALWAYS,
    filterEnforced: ALWAYS,
    responseHeadersToAdd: limit.headers.map(({ name, value }) => ({ header: { key: name, value } })),
  });
}

/** The filter in the chain limits nothing: limits stand in routes. */
export function localHttpFilter(): Any {
  return pack(LocalHttp, { statPrefix: "http_local_rate_limiter" });
}

function server(cluster: string): RateLimitServiceConfig {
  return { grpcService: rpcTo(cluster), transportApiVersion: ApiVersion.V3 };
}

/** Asks the port's rate limit server about requests whose route has descriptors. */
export function globalHttpFilter(limit: NonNullable<InboundPort["globalHttpLimit"]>): Any {
  return pack(GlobalHttp, {
    domain: limit.domain,
    timeout: milliseconds(limit.timeoutMs),
    failureModeDeny: !limit.failOpen,
    rateLimitService: server(limit.cluster),
    rateLimitedStatus: { code: limit.status },
    enableXRatelimitHeaders: limit.xRateLimitHeaders
      ? RateLimit_XRateLimitHeadersRFCVersion.DRAFT_VERSION_03
      : RateLimit_XRateLimitHeadersRFCVersion.OFF,
  });
}

function descriptorHeader({ name, kind, value }: DescriptorHeader): HeaderMatcher {
  const lower = name.toLowerCase();
  const header = lower === "host" ? ":authority" : lower;
  switch (kind) {
    case "present":
      return { name: header, headerMatchSpecifier: { $case: "presentMatch", value: value === "true" } };
    case "exact":
      return { name: header, headerMatchSpecifier: { $case: "stringMatch", value: exact(value) } };
    case "regex":
      return { name: header, headerMatchSpecifier: { $case: "stringMatch", value: regex(value) } };
    case "prefix":
    case "suffix":
    case "contains":
      return {
        name: header,
        headerMatchSpecifier: {
          $case: "stringMatch",
          value: { matchPattern: { $case: kind, value } },
        },
      };
  }
}

function action(entry: DescriptorEntry): NonNullable<RateLimit_Action["actionSpecifier"]> {
  switch (entry.kind) {
    case "genericKey":
      return {
        $case: "genericKey",
        value: {
          descriptorValue: entry.value,
          ...(entry.key === undefined ? {} : { descriptorKey: entry.key }),
        },
      };
    case "remoteAddress":
      return { $case: "remoteAddress", value: {} };
    case "requestHeader":
      return { $case: "requestHeaders", value: { headerName: entry.name, descriptorKey: entry.key } };
    case "headerValueMatch":
      return {
        $case: "headerValueMatch",
        value: {
          descriptorValue: entry.value,
          ...(entry.key === undefined ? {} : { descriptorKey: entry.key }),
          expectMatch: entry.expectMatch,
          headers: entry.headers.map(descriptorHeader),
        },
      };
  }
}

/** What the rate limit server is asked for requests of a route. */
export function routeLimits(descriptors: readonly Descriptor[]): RouteLimit[] {
  return descriptors.map(entries => ({
    actions: entries.map(entry => ({ actionSpecifier: action(entry) })),
  }));
}

function networkFilter(name: string, value: Any): Filter {
  return { name, configType: { $case: "typedConfig", value } };
}

/**
 * Limits of new connections, in front of everything else of a chain: a connection too many is closed before its TLS
 * handshake costs anything. All chains of a port draw from one bucket.
 */
export function connectionLimits(inbound: InboundPort): Filter[] {
  const { port, localLimit: local, globalTcpLimit: global } = inbound;
  const statPrefix = `inbound|${port}`;
  return [
    ...(local === undefined
      ? []
      : [
          networkFilter(
            "envoy.filters.network.local_ratelimit",
            pack(LocalTcp, { statPrefix, tokenBucket: bucket(local), shareKey: statPrefix }),
          ),
        ]),
    ...(global === undefined
      ? []
      : [
          networkFilter(
            "envoy.filters.network.ratelimit",
            pack(GlobalTcp, {
              statPrefix,
              domain: global.domain,
              descriptors: global.descriptors.map(entries => ({
                entries: entries.map(({ key, value }) => ({ key, value })),
              })),
              timeout: milliseconds(global.timeoutMs),
              failureModeDeny: !global.failOpen,
              rateLimitService: server(global.cluster),
            }),
          ),
        ]),
  ];
}
