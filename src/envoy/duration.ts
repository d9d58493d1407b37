import { LONGEST_DURATION_MS } from "../model/duration";
import type { Duration } from "./api/generated/google/protobuf/duration";

/**
 * A duration in milliseconds, at least 0, to the nanosecond; beyond {@link LONGEST_DURATION_MS} it is that. Fractions of
 * milliseconds are no whole nanoseconds in floating point (1001 ms of `1.001s` are 1000.9999…), and a message with such a part
 * cannot be encoded.
 */
export function milliseconds(ms: number): Duration {
  const nanos = Math.round(Math.min(ms, LONGEST_DURATION_MS) * 1_000_000);
  return { seconds: Math.floor(nanos / 1_000_000_000), nanos: nanos % 1_000_000_000 };
}

/** No limit, where Envoy reads zero as "off". */
export const NO_LIMIT: Duration = { seconds: 0, nanos: 0 };
