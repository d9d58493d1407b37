import { pack } from "./any";
import type { Any } from "./api/generated/google/protobuf/any";
import type { Config_Tag } from "./api/generated/envoy/extensions/access_loggers/stats/v3/stats";
import { TransformStat } from "./api/generated/envoy/extensions/matching/actions/transform_stat/v3/transform_stat";
import { StatTagValueInput } from "./api/generated/envoy/extensions/matching/common_inputs/stats/v3/stats";
import type { Matcher_OnMatch } from "./api/generated/xds/type/matcher/v3/matcher";

/** The HTTP code of each gRPC status (google.rpc.Code), by number. */
const HTTP_CODES: readonly number[] = [
  200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
];

/** A caller that ends a stream before its status has come (a watch, say) is no failure of the server's. */
const GONE_CALLERS = ["2/DC", "2/DR"];
const CLIENT_CLOSED = 499;

function becomes(code: number): Matcher_OnMatch {
  const typedConfig: Any = pack(TransformStat, { updateTag: { newTagValue: String(code) } });
  return { onMatch: { $case: "action", value: { name: "code", typedConfig } } };
}

/**
 * The tag value that tells a gRPC request's outcome: every gRPC response is a 200, so the status is told as the HTTP code
 * that means the same. Envoy takes the longest prefix that fits.
 */
export function grpcCodeRules(): Omit<Config_Tag, "name"> {
  const statuses = HTTP_CODES.map((code, status) => [`${status}/`, becomes(code)] as const);
  const gone = GONE_CALLERS.map(prefix => [prefix, becomes(CLIENT_CLOSED)] as const);
  return {
    valueFormat: "%GRPC_STATUS_NUMBER%/%RESPONSE_FLAGS%",
    rules: {
      matcherType: {
        $case: "matcherTree",
        value: {
          input: { name: "value", typedConfig: pack(StatTagValueInput, {}) },
          treeType: {
            $case: "prefixMatchMap",
            value: { map: Object.fromEntries([...statuses, ...gone]) },
          },
        },
      },
    },
  };
}
