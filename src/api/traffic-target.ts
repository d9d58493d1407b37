import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** Who calls or is called. */
export interface TrafficSubject {
  /** Only in v1alpha4. */
  readonly group?: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  /** Only in v1alpha1 and v1alpha2, of the destination. */
  readonly port?: number;
}

/** What may be called; without `matches`, everything the named object matches. */
export interface TrafficRule {
  readonly kind: "HTTPRouteGroup" | "TCPRoute" | "UDPRoute";
  readonly name: string;
  readonly matches?: readonly string[];
}

/** TrafficTarget (`access.smi-spec.io`, v1alpha2 to v1alpha4): which identities may call which, and how. */
export interface TrafficTargetSpec {
  readonly destination: TrafficSubject;
  readonly rules?: readonly TrafficRule[];
  readonly sources: readonly TrafficSubject[];
}

/** Version v1alpha1 has no `spec`: the fields stand at the top and the rules are called `specs`. */
export interface TrafficTargetV1Alpha1 {
  readonly destination: TrafficSubject;
  readonly specs?: readonly TrafficRule[];
  readonly sources: readonly TrafficSubject[];
}

const subjectOf = is.object(
  { kind: is.text(63), name: is.objectName, namespace: is.labelName, port: is.port },
  ["kind", "name"],
);

const rule = is.object(
  {
    kind: is.word("HTTPRouteGroup", "TCPRoute", "UDPRoute"),
    name: is.objectName,
    matches: is.list(is.text(253)),
  },
  ["kind", "name"],
);

const body = is.object(
  { destination: subjectOf, sources: is.list(subjectOf), rules: is.list(rule), specs: is.list(rule) },
  ["destination", "sources"],
);

const check: is.Check = (value, place) => {
  const { metadata, spec } = is.fieldsOf(value);
  const top = spec === undefined || spec === null;
  const at = top ? place : place.at("spec");
  body(top ? value : spec, at);
  const { destination } = is.fieldsOf(top ? value : spec);
  const own = is.fieldsOf(metadata)["namespace"];
  const given = is.fieldsOf(destination)["namespace"];
  // Only the owner of the destination may open it; absent means the object's own namespace.
  if (given === undefined || own === undefined || given === own) return;
  at.at("destination")
    .at("namespace")
    .error(`must be ${is.textOf(own) ?? ""}, the namespace of the TrafficTarget`);
};

/** What is wrong with the fields of a TrafficTarget of any version. */
export function validateTrafficTarget(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
