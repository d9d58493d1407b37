import type { Party } from "../model/owner";
import {
  RUNTIME_COUNT_REQUESTS,
  SELF_VARIABLES,
  STAT_DURATION,
  STAT_PREFIX,
  STAT_TOTAL,
} from "../model/request-metrics";
import { pack } from "./any";
import type { AccessLog, AccessLogFilter } from "./api/generated/envoy/config/accesslog/v3/accesslog";
import type { Metadata } from "./api/generated/envoy/config/core/v3/base";
import {
  Config,
  Config_Histogram_Unit,
  type Config_Tag,
} from "./api/generated/envoy/extensions/access_loggers/stats/v3/stats";
import { grpcCodeRules } from "./grpc-code";
import { both, contentType } from "./log-filter";

/** Between whom requests of a listener are, and how their outcome is told. Absent where it is used: nothing is counted. */
export interface Counting {
  /** `self`: this pod calls. `unknown`: callers have no identity in the mesh (ingress, migration). */
  readonly source: "self" | "unknown";
  /** `endpoint`: as the endpoint that was chosen says of itself. `self`: this pod. Otherwise always the one. */
  readonly destination: "endpoint" | "self" | Party;
  /** The outcome of gRPC requests is their gRPC status, as the HTTP code of the same meaning. */
  readonly grpc: boolean;
}

type Part = keyof Party;
const PARTS: readonly Part[] = ["namespace", "kind", "name", "pod"];

/** Namespace and keys of the endpoint metadata that says whose pod it is; short, as every endpoint carries them. */
const METADATA = "osm";
const KEYS: Readonly<Record<Part, string>> = { namespace: "s", kind: "k", name: "n", pod: "p" };

/** How OSM's series call an end that is not known. */
const UNKNOWN = "unknown";

/** Series that one Service port may make in one sidecar; what would be more is not counted. */
const MOST_COUNTERS = 4000;
const MOST_HISTOGRAMS = 1000;

/** The metadata of an endpoint, from which its callers know whom they call. */
export function partyMetadata(party: Party): Metadata {
  return { filterMetadata: { [METADATA]: Object.fromEntries(PARTS.map(part => [KEYS[part], party[part]])) } };
}

/** Literals stand as they are: names and kinds that `controllerOf` lets pass hold no percent sign. */
function formatOf(side: Counting["destination"] | Counting["source"], part: Part): string {
  switch (side) {
    case "self":
      return `%ENVIRONMENT(${SELF_VARIABLES[part]})%`;
    case "endpoint":
      return `%UPSTREAM_METADATA(${METADATA}:${KEYS[part]})%`;
    case "unknown":
      return UNKNOWN;
    default:
      return side[part];
  }
}

function tagsOf({ source, destination }: Counting): Config_Tag[] {
  return [
    ...PARTS.map(part => ({ name: `source_${part}`, valueFormat: formatOf(source, part) })),
    ...PARTS.map(part => ({ name: `destination_${part}`, valueFormat: formatOf(destination, part) })),
  ];
}

/** Not every sidecar is scraped; in those that are not nothing is counted. */
const SWITCHED_ON: AccessLogFilter = {
  filterSpecifier: { $case: "runtimeFilter", value: { runtimeKey: RUNTIME_COUNT_REQUESTS } },
};

function logger(filter: AccessLogFilter, stats: Pick<Config, "counters" | "histograms">): AccessLog {
  const config: Config = {
    // No scope is shared by name: Envoy 1.40.0 ends with a fault at its exit when one is.
    statsScope: {
      prefix: STAT_PREFIX,
      maxCounters: MOST_COUNTERS,
      maxHistograms: MOST_HISTOGRAMS,
      enableEviction: true,
    },
    ...stats,
  };
  return {
    name: "envoy.access_loggers.stats",
    filter,
    configType: { $case: "typedConfig", value: pack(Config, config) },
  };
}

/** What counts the requests of a listener: those that got no answer, or none of the server's, as well. */
export function requestMetrics(counting: Counting | undefined): AccessLog[] {
  if (counting === undefined) return [];
  const tags = tagsOf(counting);
  const counters = (code: Omit<Config_Tag, "name">): Pick<Config, "counters"> => ({
    counters: [
      { stat: { name: STAT_TOTAL, tags: [{ name: "response_code", ...code }, ...tags] }, valueFixed: 1 },
    ],
  });
  const histograms = [
    {
      stat: { name: STAT_DURATION, tags },
      unit: Config_Histogram_Unit.Milliseconds,
      valueFormat: "%DURATION%",
    },
  ];
  const http = counters({ valueFormat: "%RESPONSE_CODE%" });
  if (!counting.grpc) return [logger(SWITCHED_ON, { ...http, histograms })];
  return [
    logger(SWITCHED_ON, { histograms }),
    logger(both(SWITCHED_ON, contentType(false)), http),
    logger(both(SWITCHED_ON, contentType(true)), counters(grpcCodeRules())),
  ];
}
