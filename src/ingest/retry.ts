import { parseDuration } from "../model/duration";
import type { Retry, RetryTerms } from "../model/traffic";
import type { Json } from "./fields";
import { asObject, asText } from "./fields";
import { asNumber, headOf, identityOf, policyIngest } from "./policy-object";

/** Envoy's default number of retries. */
const DEFAULT_RETRIES = 1;

/** A Retry. */
export const ingestRetry = policyIngest<Retry>({
  group: "policy.openservicemesh.io",
  kind: "Retry",
  itemLists: ["destinations"],
  read: reading => ({
    ...headOf(reading),
    source: identityOf(asObject(reading.body["source"]), reading.namespace),
    destinations: reading
      .items("destinations")
      .map(({ json }) => `${asText(json["namespace"]) ?? reading.namespace}/${asText(json["name"]) ?? ""}`),
    terms: termsOf(asObject(reading.body["retryPolicy"])),
  }),
});

function termsOf(policy: Json): RetryTerms {
  const written = (asText(policy["retryOn"]) ?? "")
    .split(",")
    .map(condition => condition.trim())
    .filter(condition => condition !== "");
  const codes = written.filter(isStatus).map(Number);
  const conditions = written.filter(condition => !isStatus(condition));
  return {
    // A status code is a condition of its own in OSM; Envoy wants to be told that codes count.
    retryOn: [...new Set([...conditions, ...(codes.length > 0 ? ["retriable-status-codes"] : [])])],
    statusCodes: [...new Set(codes)],
    perTryTimeoutMs: parseDuration(asText(policy["perTryTimeout"]) ?? ""),
    numRetries: asNumber(policy["numRetries"]) ?? DEFAULT_RETRIES,
    backoffBaseMs: parseDuration(asText(policy["retryBackoffBaseInterval"]) ?? ""),
  };
}

function isStatus(condition: string): boolean {
  return /^[1-5]\d\d$/.test(condition);
}
