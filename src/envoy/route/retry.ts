import type { RetryTerms } from "../../model/traffic";
import type { RetryPolicy } from "../api/generated/envoy/config/route/v3/route_components";
import { PreviousHostsPredicate } from "../api/generated/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts";
import { pack } from "../any";
import { milliseconds } from "../duration";

const UNSEEN = ["connect-failure", "refused-stream", "reset-before-request"];

/** Another endpoint than those that have failed already, as long as there is one. */
const ELSEWHERE: Pick<RetryPolicy, "retryHostPredicate" | "hostSelectionRetryMaxAttempts"> = {
  retryHostPredicate: [
    {
      name: "envoy.retry_host_predicates.previous_hosts",
      configType: { $case: "typedConfig", value: pack(PreviousHostsPredicate, {}) },
    },
  ],
  hostSelectionRetryMaxAttempts: 3,
};

/**
 * A request that no server has seen is sent again, to another endpoint: the endpoint refused the connection or the stream,
 * or went away before the request left. So a pod that goes is not noticed; nothing is ever done twice.
 */
export const RETRY_UNSEEN: RetryPolicy = { retryOn: UNSEEN.join(","), numRetries: 2, ...ELSEWHERE };

function conditions({ retryOn, statusCodes }: RetryTerms): string {
  const byStatus = statusCodes.length > 0 ? ["retriable-status-codes"] : [];
  return [...new Set([...retryOn, ...byStatus, ...UNSEEN])].join(",");
}

/** What a policy asks for, and still whatever no server has seen. Waits grow up to ten times the first one. */
export function retryPolicy(terms: RetryTerms): RetryPolicy {
  const { backoffBaseMs, perTryTimeoutMs } = terms;
  return {
    retryOn: conditions(terms),
    numRetries: terms.numRetries,
    retriableStatusCodes: [...terms.statusCodes],
    ...ELSEWHERE,
    ...(perTryTimeoutMs === undefined ? {} : { perTryTimeout: milliseconds(perTryTimeoutMs) }),
    ...(backoffBaseMs === undefined
      ? {}
      : {
          retryBackOff: {
            baseInterval: milliseconds(backoffBaseMs),
            maxInterval: milliseconds(backoffBaseMs * 10),
          },
        }),
  };
}
