import type { FaultTerms } from "../model/traffic";
import { pack } from "./any";
import type { Any } from "./api/generated/google/protobuf/any";
import { HTTPFault } from "./api/generated/envoy/extensions/filters/http/fault/v3/fault";
import {
  type FractionalPercent,
  FractionalPercent_DenominatorType,
} from "./api/generated/envoy/type/v3/percent";
import { milliseconds } from "./duration";

/** Percent of 0 to 100 in steps of a ten-thousandth, the finest that Envoy counts in. */
function share(percent: number): FractionalPercent {
  return { numerator: Math.round(percent * 10_000), denominator: FractionalPercent_DenominatorType.MILLION };
}

/** A route's own faults: the delay comes first, then the abort, each for its share of the requests. */
export function routeFault({ delay, abort }: FaultTerms): Any {
  return pack(HTTPFault, {
    ...(delay === undefined
      ? {}
      : {
          delay: {
            faultDelaySecifier: { $case: "fixedDelay", value: milliseconds(delay.ms) },
            percentage: share(delay.percent),
          },
        }),
    ...(abort === undefined
      ? {}
      : {
          abort: {
            errorType: { $case: "httpStatus", value: abort.status },
            percentage: share(abort.percent),
          },
        }),
  });
}
