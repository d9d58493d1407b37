/** What else meets a call on its way: faults, retries, limits. Whether they strike is a matter of chance and load, so it is said and not judged. */
import { matches } from "../../policy/matching";
import type { ObjectRef } from "../../model/object-ref";
import type {
  ConnectionTerms,
  FaultTerms,
  LocalHttpLimit,
  LocalLimit,
  OutlierTerms,
  RetryTerms,
} from "../../model/traffic";
import type { HttpRule, InboundPort, RouteTableLeaf } from "../../policy/types";
import type { HttpRequest } from "../../policy/decide";
import type { Step } from "./request";
import { listText, refText } from "./words";

/** Kinds of objects that such terms come from. */
const KINDS = new Set(["UpstreamTrafficSetting", "Retry"]);

const seconds = (ms: number): string => `${ms / 1_000} s`;

function faultText({ delay, abort }: FaultTerms): readonly string[] {
  return [
    ...(delay === undefined
      ? []
      : [`${delay.percent} % of such requests are held up for ${seconds(delay.ms)}`]),
    ...(abort === undefined
      ? []
      : [`${abort.percent} % of such requests get HTTP ${abort.status} as a fault`]),
  ];
}

function retryText({ retryOn, statusCodes, numRetries, perTryTimeoutMs }: RetryTerms): string {
  const on = listText([...retryOn, ...statusCodes.map(String)], "or");
  const each = perTryTimeoutMs === undefined ? "" : `, each try for ${seconds(perTryTimeoutMs)} at most`;
  return `it is sent again up to ${numRetries} times on ${on}${each}`;
}

function connectionText(terms: ConnectionTerms): readonly string[] {
  const most: readonly (readonly [number | undefined, string])[] = [
    [terms.maxConnections, "connections"],
    [terms.maxPendingRequests, "requests that wait"],
    [terms.maxRequests, "requests at once"],
    [terms.maxRetries, "retries at once"],
  ];
  const parts = most.flatMap(([count, what]) => (count === undefined ? [] : [`${count} ${what}`]));
  return parts.length === 0 ? [] : [`circuit breaker: a sidecar has at most ${listText(parts)}`];
}

function outlierText({ consecutiveErrors, baseEjectionMs }: OutlierTerms): string {
  return `a pod is left out for ${seconds(baseEjectionMs)} after ${consecutiveErrors} errors in a row`;
}

function limitText({ count, unitMs, burst }: LocalLimit, what: string): string {
  const more = burst === 0 ? "" : `, ${burst} more at once`;
  return `rate limit: each pod takes ${count} ${what}${count === 1 ? "" : "s"} in ${seconds(unitMs)}${more}`;
}

const httpLimitText = (limit: LocalHttpLimit): string =>
  `${limitText(limit, "request")}, then HTTP ${limit.status}`;

const ruleFor = (table: RouteTableLeaf | undefined, http: HttpRequest): HttpRule | undefined =>
  table?.rules.find(rule => rule.matches.some(match => matches(match, http)));

/** What is said of a term that is there. */
function said<T>(term: T | undefined, words: (term: T) => readonly string[] | string): readonly string[] {
  return term === undefined ? [] : [words(term)].flat();
}

/** Terms of the client's side: of the rule, and of the destination. */
export function clientTerms(
  rule: Pick<HttpRule, "fault" | "retry" | "timeoutMs"> | undefined,
  cluster: { readonly connection?: ConnectionTerms; readonly outlier?: OutlierTerms } | undefined,
): readonly string[] {
  return [
    ...said(rule?.fault, faultText),
    ...said(rule?.timeoutMs, ms => `it may take ${seconds(ms)} in all`),
    ...said(rule?.retry, retryText),
    ...said(cluster?.connection, connectionText),
    ...said(cluster?.outlier, outlierText),
  ];
}

/** Terms of the pod that is called. `http` undefined: a connection. */
export function serverTerms(
  port: InboundPort,
  table: RouteTableLeaf | undefined,
  http: HttpRequest | undefined,
): readonly string[] {
  const rule = http === undefined ? undefined : ruleFor(table, http);
  const local = rule?.localLimit ?? (rule === undefined ? undefined : table?.localLimit);
  const asked = rule?.descriptors !== undefined ? port.globalHttpLimit : undefined;
  const asksService = ({ domain }: { readonly domain: string }): string =>
    `a rate limit service is asked (domain ${domain})`;
  return [
    ...said(port.localLimit, limit => limitText(limit, "connection")),
    ...said(local, httpLimitText),
    ...said(port.globalTcpLimit, asksService),
    ...said(asked, asksService),
  ];
}

/** A step for each term, with the objects that they come from. */
export function termSteps(terms: readonly string[], origins: readonly ObjectRef[]): readonly Step[] {
  const objects = [...new Set(origins.filter(({ kind }) => KINDS.has(kind)).map(refText))];
  const by = [...(objects.length === 0 ? [] : [listText(objects)]), "not judged"].join(", ");
  return terms.map(term => ({ at: "terms", text: `${term} (${by})` }));
}
