import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** Retry (`policy.openservicemesh.io/v1alpha1`): how often and when a client repeats requests to some services. */
export interface RetrySpec {
  readonly source: { readonly kind: "ServiceAccount"; readonly name: string; readonly namespace: string };
  readonly destinations: readonly {
    readonly kind: "Service";
    readonly name: string;
    readonly namespace: string;
  }[];
  readonly retryPolicy: {
    /** Conditions of Envoy's `x-envoy-retry-on` and `x-envoy-retry-grpc-on`, separated by commas. */
    readonly retryOn?: string;
    readonly perTryTimeout?: string;
    /** Envoy's default is 1. */
    readonly numRetries?: number;
    /** First wait, Envoy's default 25 ms; later ones double up to ten times of it. */
    readonly retryBackoffBaseInterval?: string;
  };
}

/** Envoy 1.40's conditions; a status code stands for `retriable-status-codes`. */
const CONDITIONS: readonly string[] = [
  "5xx",
  "gateway-error",
  "reset",
  "reset-before-request",
  "connect-failure",
  "envoy-ratelimited",
  "retriable-4xx",
  "refused-stream",
  "retriable-status-codes",
  "retriable-headers",
  "http3-post-connect-failure",
  "cancelled",
  "deadline-exceeded",
  "internal",
  "resource-exhausted",
  "unavailable",
];

const retryOn: is.Check = (value, place) => {
  is.text(1_024)(value, place);
  for (const condition of (is.textOf(value) ?? "").split(",").map(part => part.trim())) {
    if (condition === "" || CONDITIONS.includes(condition) || /^[1-5]\d\d$/.test(condition)) continue;
    place.error(`has the unknown condition ${is.quote(condition)}; known are ${CONDITIONS.join(", ")}`);
  }
};

const reference = (kind: string): is.Check =>
  is.object({ kind: is.word(kind), name: is.objectName, namespace: is.labelName }, [
    "kind",
    "name",
    "namespace",
  ]);

/** How a client repeats requests is its own namespace's affair. */
const ownSource: is.Check = (value, place) => {
  const own = is.namespaceOf(value);
  const { source } = is.fieldsOf(is.fieldsOf(value)["spec"]);
  const namespace = is.textOf(is.fieldsOf(source)["namespace"]);
  if (namespace === undefined || own === undefined || namespace === own) return;
  place
    .at("spec")
    .at("source")
    .at("namespace")
    .error(`must be ${own}, the namespace of the Retry; it is ${is.quote(namespace)}`);
};

const someReason: is.Check = (value, place) => {
  const { retryOn: given, numRetries } = is.fieldsOf(value);
  if (given === undefined || given === null || given === "")
    place.at("retryOn").warn("is not given, so nothing is repeated", is.NO_EFFECT);
  else if (numRetries === 0) place.at("numRetries").warn("is 0, so nothing is repeated", is.NO_EFFECT);
};

const spec = is.specOf(
  is.object(
    {
      source: reference("ServiceAccount"),
      destinations: is.list(reference("Service"), 0, 128),
      retryPolicy: is.all(
        is.object({
          retryOn,
          perTryTimeout: is.duration(),
          numRetries: is.count,
          retryBackoffBaseInterval: is.duration(1),
        }),
        someReason,
      ),
    },
    ["source", "destinations", "retryPolicy"],
  ),
);

const check = is.all(spec, ownSource);

/** What is wrong with the fields of a Retry. */
export function validateRetry(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
