/**
 * UpstreamTrafficSettings: how clients use a Service (connections, outliers, load balancing, time limits, faults), and what its
 * servers take (rate limits). Of several settings of one Service the oldest counts.
 */
import type { Compiled, Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import type { RouteTerms, UpstreamTrafficSetting } from "../model/traffic";
import { rateLimitClusterName } from "./names";
import type { PathReading } from "./path-pattern";
import { pathMatch } from "./path-pattern";
import { narrowed } from "./path-intersection";
import type {
  ExternalClusterLeaf,
  HttpMatch,
  HttpRule,
  InboundPort,
  RouteTableLeaf,
  UpstreamClusterLeaf,
} from "./types";

/** The setting of a Service out of all that name it, as given by `oldestFirst`. */
export function chooseSetting(
  settings: readonly UpstreamTrafficSetting[],
): Compiled<UpstreamTrafficSetting | undefined> {
  const [winner, ...losers] = settings;
  return {
    value: winner,
    diagnostics: losers.map(({ ref }) => ({
      severity: "error",
      code: "Conflicted",
      subject: ref,
      field: "spec.host",
      message: `UpstreamTrafficSetting ${winner?.ref.name ?? ""} is older and speaks of the same host; this one has no effect`,
    })),
  };
}

function isSaid(terms: object): boolean {
  return Object.values(terms).some(value => value !== undefined);
}

/** Parts of a cluster of the Service that the setting says, with the setting as origin; nothing when it says none. */
export function clusterTerms(
  setting: UpstreamTrafficSetting | undefined,
  { balanced }: { /** The mesh chooses the endpoint. */ readonly balanced: boolean },
): Partial<Pick<UpstreamClusterLeaf, "connection" | "outlier" | "loadBalancing">> & {
  readonly by: readonly ObjectRef[];
} {
  if (setting === undefined) return { by: [] };
  const { connection, outlier, loadBalancing } = setting;
  const terms = {
    ...(isSaid(connection) ? { connection } : {}),
    ...(outlier === undefined ? {} : { outlier }),
    ...(loadBalancing === undefined || !balanced ? {} : { loadBalancing }),
  };
  return { ...terms, by: isSaid(terms) ? [setting.ref] : [] };
}

/** Terms of a client's rule. */
type ClientTerms = Pick<HttpRule, "timeoutMs" | "fault" | "hashHeader" | "hashSource">;

function hashTerms({ loadBalancing }: UpstreamTrafficSetting): ClientTerms {
  if (loadBalancing?.kind === "hash") return { hashHeader: loadBalancing.header };
  return loadBalancing?.kind === "source-address" ? { hashSource: true } : {};
}

function clientTerms(
  setting: UpstreamTrafficSetting,
  { timeoutMs, fault }: Pick<RouteTerms, "timeoutMs" | "fault">,
): ClientTerms {
  return {
    ...hashTerms(setting),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(fault === undefined ? {} : { fault }),
  };
}

/** Rules of a client's route table with what a setting says of them: those of its paths come before each. */
export function withClientTerms(
  rules: readonly HttpRule[],
  setting: UpstreamTrafficSetting | undefined,
  reading: PathReading,
): readonly HttpRule[] {
  if (setting === undefined) return rules;
  const special = setting.routes.filter(
    ({ timeoutMs, fault }) => timeoutMs !== undefined || fault !== undefined,
  );
  const all = clientTerms(setting, setting);
  return rules.flatMap(rule => [
    ...special.flatMap((route): HttpRule[] => {
      const terms = clientTerms(setting, {
        timeoutMs: route.timeoutMs ?? setting.timeoutMs,
        fault: route.fault ?? setting.fault,
      });
      const matches = narrowed(rule.matches, pathMatch(route.path, reading));
      if (matches.length === 0) return [];
      return [{ ...withTerms(rule, setting, terms), matches, name: `${rule.name} ${route.path}` }];
    }),
    withTerms(rule, setting, all),
  ]);
}

function withTerms(rule: HttpRule, { ref }: UpstreamTrafficSetting, terms: ClientTerms): HttpRule {
  return isSaid(terms) ? { ...rule, ...terms, origins: [...rule.origins, ref] } : rule;
}

/** Whether a setting says anything about what servers take. */
function limitsServers({
  localTcp,
  localHttp,
  globalTcp,
  globalHttp,
  routes,
}: UpstreamTrafficSetting): boolean {
  const ofServers = [localTcp, localHttp, globalTcp, globalHttp];
  return (
    ofServers.some(limit => limit !== undefined) ||
    routes.some(({ localLimit, descriptors }) => localLimit !== undefined || descriptors.length > 0)
  );
}

/** The setting whose limits hold at a container port: the first of those given that has any. */
export function servingSetting(
  settings: readonly UpstreamTrafficSetting[],
): UpstreamTrafficSetting | undefined {
  return settings.find(limitsServers);
}

type PortTerms = Pick<InboundPort, "localLimit" | "globalTcpLimit" | "globalHttpLimit">;

/** What the inbound listener holds callers of a port to. */
export function portTerms(
  setting: UpstreamTrafficSetting | undefined,
  { http }: { readonly http: boolean },
): PortTerms {
  if (setting === undefined) return {};
  const { localTcp, globalTcp, globalHttp } = setting;
  return {
    ...(localTcp === undefined ? {} : { localLimit: localTcp }),
    ...(globalTcp === undefined
      ? {}
      : {
          globalTcpLimit: { ...globalTcp, cluster: rateLimitClusterName(globalTcp.host, globalTcp.port) },
        }),
    ...(globalHttp === undefined || !http ? {} : { globalHttpLimit: httpLimitService(globalHttp) }),
  };
}

function httpLimitService(
  limit: NonNullable<UpstreamTrafficSetting["globalHttp"]>,
): NonNullable<InboundPort["globalHttpLimit"]> {
  const { host, port, domain, timeoutMs, failOpen, xRateLimitHeaders, status } = limit;
  const cluster = rateLimitClusterName(host, port);
  return { cluster, domain, timeoutMs, failOpen, xRateLimitHeaders, status };
}

/** The rate limit services of settings, each once. */
export function rateLimitClusters(
  settings: readonly UpstreamTrafficSetting[],
): readonly ExternalClusterLeaf[] {
  const found = new Map<string, ExternalClusterLeaf>();
  for (const { ref, globalTcp, globalHttp } of settings) {
    for (const limit of [globalTcp, globalHttp]) {
      if (limit === undefined) continue;
      const name = rateLimitClusterName(limit.host, limit.port);
      const origins = [...(found.get(name)?.origins ?? []).filter(other => other !== ref), ref];
      found.set(name, {
        kind: "external-cluster",
        name,
        origins,
        address: limit.host,
        port: limit.port,
        http2: true,
      });
    }
  }
  return [...found.values()];
}

/** A server's route table, held to a setting: rules of its paths come before each. */
export function withServerLimits(
  table: RouteTableLeaf,
  setting: UpstreamTrafficSetting | undefined,
  reading: PathReading,
): RouteTableLeaf {
  if (setting === undefined) return table;
  const { ref, localHttp, globalHttp } = setting;
  const routes = setting.routes.filter(
    ({ localLimit, descriptors }) => localLimit !== undefined || descriptors.length > 0,
  );
  if (localHttp === undefined && globalHttp === undefined && routes.length === 0) return table;
  // Without a service to ask, descriptors are of no use.
  const describes = (own: RouteTerms["descriptors"]): Pick<HttpRule, "descriptors"> => {
    const descriptors = own.length > 0 ? own : (globalHttp?.descriptors ?? []);
    return globalHttp === undefined || descriptors.length === 0 ? {} : { descriptors };
  };
  const held = (
    rule: HttpRule,
    route?: RouteTerms,
    matches: readonly HttpMatch[] = rule.matches,
  ): HttpRule => {
    const terms = {
      ...(route?.localLimit === undefined ? {} : { localLimit: route.localLimit }),
      ...describes(route?.descriptors ?? []),
    };
    const name = route === undefined ? rule.name : `${rule.name} ${route.path}`;
    return isSaid(terms) ? { ...rule, ...terms, name, matches, origins: [...rule.origins, ref] } : rule;
  };
  return {
    ...table,
    origins: [...table.origins, ref],
    ...(localHttp === undefined ? {} : { localLimit: localHttp }),
    rules: table.rules.flatMap(rule => [
      ...routes.flatMap(route => {
        const matches = narrowed(rule.matches, pathMatch(route.path, reading));
        return matches.length === 0 ? [] : [held(rule, route, matches)];
      }),
      held(rule),
    ]),
  };
}

/** What the owner of a setting should know about its host. */
export function settingFindings(
  { ref, service, localHttp, globalHttp, fault, timeoutMs, routes }: UpstreamTrafficSetting,
  facts: {
    /** The Service is of the mesh. */
    readonly served: boolean;
    /** It has a port that is carried as HTTP. */
    readonly http: boolean;
    /** Egresses that refer to the setting. */
    readonly referred: boolean;
  },
): readonly Diagnostic[] {
  const tell = (field: string, message: string, code = "NoEffect"): Diagnostic => ({
    severity: "warning",
    code,
    subject: ref,
    field,
    message,
  });
  // A name of two labels may be a host of the outside as well as a Service.
  if (facts.referred) return [];
  if (service === undefined)
    return [tell("spec.host", "it is no Service of the namespace, and no Egress refers to this setting")];
  if (!facts.served) {
    return [
      {
        ...tell("spec.host", `Service ${service} is not of the mesh`, "UnresolvedReference"),
        severity: "error",
      },
    ];
  }
  const found: Diagnostic[] = [];
  const ofHttp = [localHttp, globalHttp, fault, timeoutMs].some(term => term !== undefined);
  if (!facts.http && (ofHttp || routes.length > 0))
    found.push(tell("spec", `Service ${service} has no HTTP port; what is said of requests has no effect`));
  if (globalHttp === undefined && routes.some(({ descriptors }) => descriptors.length > 0))
    found.push(
      tell("spec.httpRoutes", "descriptors have no effect without the service of spec.rateLimit.global.http"),
    );
  return found;
}
