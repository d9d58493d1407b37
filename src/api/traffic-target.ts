import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** Who calls or is called. */
export interface TrafficSubject {
  /** Only in v1alpha4. */
  readonly group?: string;
  /** `ServiceAccount`; `IdentityBinding` is of v1alpha4. */
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

/** API group of each kind of subject; v1alpha4 may name it. */
const GROUPS: ReadonlyMap<unknown, string> = new Map([
  ["ServiceAccount", ""],
  ["IdentityBinding", "access.smi-spec.io"],
]);

const subjectOf = is.all(
  is.object(
    {
      kind: is.word("ServiceAccount", "IdentityBinding"),
      name: is.objectName,
      namespace: is.labelName,
      port: is.port,
    },
    ["kind", "name"],
  ),
  (value, place) => {
    const { kind, group } = is.fieldsOf(value);
    const wanted = GROUPS.get(kind);
    if (wanted === undefined || group === undefined || group === null || group === "" || group === wanted)
      return;
    place
      .at("group")
      .error(`must be ${is.quote(wanted)} for kind ${is.quote(kind)}; it is ${is.quote(group)}`);
  },
);

const rule = is.object(
  {
    kind: is.word("HTTPRouteGroup", "TCPRoute", "UDPRoute"),
    name: is.objectName,
    matches: is.list(is.text(253), 0, 200),
  },
  ["kind", "name"],
);

const rules = is.list(rule, 0, 200);

const body = is.object({ destination: subjectOf, sources: is.list(subjectOf, 0, 200), rules, specs: rules }, [
  "destination",
  "sources",
]);

/** Only the owner of the destination may open it; absent means the object's own namespace. */
const ownDestination: (own: string | undefined) => is.Check = own => (value, place) => {
  const given = is.fieldsOf(value)["namespace"];
  if (given === undefined || own === undefined || given === own) return;
  place.at("namespace").error(`must be ${own}, the namespace of the TrafficTarget`);
};

/** A target without rules is valid in no version and allows nothing, as one that names none would. */
const allowsSomething: is.Check = (value, place) => {
  const { rules: later, specs: first, sources } = is.fieldsOf(value);
  if (is.itemsOf(later).length + is.itemsOf(first).length === 0)
    place.at("rules").warn("has no item, so nothing is allowed", is.NO_EFFECT);
  if (Array.isArray(sources) && sources.length === 0)
    place.at("sources").warn("has no item, so nobody is allowed", is.NO_EFFECT);
};

const check: is.Check = (value, place) => {
  const { spec } = is.fieldsOf(value);
  const top = spec === undefined || spec === null;
  const at = top ? place : place.at("spec");
  const given = top ? value : spec;
  body(given, at);
  ownDestination(is.namespaceOf(value))(is.fieldsOf(given)["destination"], at.at("destination"));
  allowsSomething(given, at);
};

/** What is wrong with the fields of a TrafficTarget of any version. */
export function validateTrafficTarget(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
