import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** TrafficSplit (`split.smi-spec.io`, v1alpha1 to v1alpha4): shares of the requests to one service that others get. */
export interface TrafficSplitSpec {
  /** Root service: `service`, `service.namespace` or a longer form. */
  readonly service: string;
  readonly backends: readonly {
    readonly service: string;
    /** A number; in v1alpha1 a quantity like `500m`. Absent is 0. */
    readonly weight?: number | string;
  }[];
  /** HTTPRouteGroups whose requests are split (v1alpha3 and later); absent means all. */
  readonly matches?: readonly { readonly apiGroup?: string; readonly kind: string; readonly name: string }[];
}

const weight: is.Check = (value, place) => {
  const share = is.quantityOf(value);
  if (share !== undefined && share >= 0) return;
  place.error(`must be a number that is not negative, or a quantity like 500m; it is ${is.quote(value)}`);
};

const total: is.Check = (value, place) => {
  const weights = is.itemsOf(value).map(item => is.quantityOf(is.fieldsOf(item)["weight"]) ?? 0);
  if (weights.length > 0 && weights.every(share => share === 0)) {
    place.warn("have no weight at all: requests to the root service are refused");
  }
};

const check = is.specOf(
  is.object(
    {
      service: is.host,
      backends: is.all(is.list(is.object({ service: is.host, weight }, ["service"]), 1), total),
      matches: is.list(is.object({ kind: is.word("HTTPRouteGroup"), name: is.objectName }, ["kind", "name"])),
    },
    ["service", "backends"],
  ),
);

/** What is wrong with the fields of a TrafficSplit of any version. */
export function validateTrafficSplit(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
