import type { Duration } from "./api/generated/google/protobuf/duration";

/** A duration of whole milliseconds, at least 0. */
export function milliseconds(ms: number): Duration {
  return { seconds: Math.trunc(ms / 1000), nanos: (ms % 1000) * 1_000_000 };
}

/** No limit, where Envoy reads zero as "off". */
export const NO_LIMIT: Duration = { seconds: 0, nanos: 0 };
