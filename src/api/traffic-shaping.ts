import * as is from "./field";

/** A share in percent, with fractions. */
const percentage: is.Check = (value, place) => {
  if (typeof value === "number" && value >= 0 && value <= 100) return;
  place.error(`must be a number from 0 to 100; it is ${is.quote(value)}`);
};

/** Delays and aborts of an UpstreamTrafficSetting. */
export const faults = is.object({
  delay: is.object({ duration: is.duration(1), percentage }, ["duration"]),
  abort: is.object({ httpStatus: is.integer(200, 599), percentage }, ["httpStatus"]),
});

/** Outlier detection of an UpstreamTrafficSetting. */
export const outlierDetection = is.object({
  consecutiveErrors: is.integer(1, 4_294_967_295),
  interval: is.duration(1),
  baseEjectionTime: is.duration(1),
  maxEjectionPercent: is.integer(0, 100),
});

const POLICIES = ["RoundRobin", "LeastRequest", "Random", "HeaderHash", "SourceAddress"] as const;

/** Load balancing of an UpstreamTrafficSetting. */
export const loadBalancing = is.all(
  is.object({ policy: is.word(...POLICIES), header: is.headerName }, ["policy"]),
  (value, place) => {
    const { policy, header } = is.fieldsOf(value);
    const given = header !== undefined && header !== null;
    if (policy === "HeaderHash" && !given) place.at("header").error("is required for policy HeaderHash");
    if (policy !== "HeaderHash" && given)
      place.at("header").warn(`has no effect with policy ${is.quote(policy)}`, is.NO_EFFECT);
  },
);
