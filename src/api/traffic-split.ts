import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import { parseServiceHost } from "../model/service-host";
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

/** Shares of one route that Envoy can add up. */
const MAX_TOTAL = 4_294_967_295;

const weight: is.Check = (value, place) => {
  const share = is.quantityOf(value);
  if (share !== undefined && share >= 0) return;
  place.error(`must be a number that is not negative, or a quantity like 500m; it is ${is.quote(value)}`);
};

const total: is.Check = (value, place) => {
  const weights = is.itemsOf(value).map(item => is.quantityOf(is.fieldsOf(item)["weight"]) ?? 0);
  if (weights.length > 0 && weights.every(share => share === 0))
    place.warn("have no weight at all: requests to the root service are refused");
  // Fractions are carried in thousandths.
  const unit = weights.every(Number.isInteger) ? 1 : 1_000;
  const sum = weights.reduce((all, share) => all + share * unit, 0);
  if (sum > MAX_TOTAL) place.error(`have weights of ${sum} together; at most ${MAX_TOTAL} are possible`);
};

/** Services of the object's own namespace: its owner has no say about the traffic of others. */
const ownService =
  (own: string | undefined): is.Check =>
  (value, place) => {
    is.host(value, place);
    const host = is.textOf(value);
    if (host === undefined || own === undefined) return;
    const service = parseServiceHost(host, own);
    if (service?.namespace === own) return;
    const form = `<service>, <service>.${own} or <service>.${own}.svc.<cluster domain>`;
    place.error(`must be ${form}, a service of the TrafficSplit's namespace; it is ${is.quote(value)}`);
  };

const specs = is.all(
  is.object({ kind: is.word("HTTPRouteGroup"), name: is.objectName }, ["kind", "name"]),
  (value, place) => {
    const { apiGroup } = is.fieldsOf(value);
    if (apiGroup === undefined || apiGroup === null || apiGroup === "") return;
    is.textLike("specs.smi-spec.io", text => text.split("/")[0] === "specs.smi-spec.io")(
      apiGroup,
      place.at("apiGroup"),
    );
  },
);

const check: is.Check = (value, place) => {
  const service = ownService(is.namespaceOf(value));
  const backend = is.object({ service, weight }, ["service"]);
  is.specOf(
    is.object({ service, backends: is.all(is.list(backend, 1, 64), total), matches: is.list(specs, 0, 64) }, [
      "service",
      "backends",
    ]),
  )(value, place);
};

/** What is wrong with the fields of a TrafficSplit of any version. */
export function validateTrafficSplit(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
