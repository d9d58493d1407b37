/** Which field of which object decides. */
import type { MeshNamespace } from "../../model/workload";
import { ANNOTATION_INBOUND_PLAINTEXT, ANNOTATION_PERMISSIVE } from "../../model/mesh-words";
import type { ObjectRef } from "../../model/object-ref";
import type { Difference } from "../../policy/permits";
import { asArray, asObject } from "../../ingest/fields";
import { present } from "../offline/present";
import type { MeshWorld } from "../offline/world";
import type { Decider, End } from "./request";
import { grantName, refText } from "./words";

/** What else is known of a call when its end is put down to objects. */
export interface DecidingFacts {
  readonly world: MeshWorld;
  /** Namespace of the pod that is called, where one is. */
  readonly serverNamespace: string | undefined;
  /** The caller has a sidecar. */
  readonly meshed: boolean;
  /** The caller's sidecar is not told of what is called, though it is of the mesh. */
  readonly untold: boolean;
  /** A pod's own address is called at a port that Services lead to, none of them headless. */
  readonly unpicked: boolean;
}

const FIELDS = {
  path: "pathRegex",
  method: "methods",
  header: "headers",
} as const;

/** The objects and fields that an end comes from, most telling first. */
export function decidersOf(end: End, facts: DecidingFacts): readonly Decider[] {
  const { outcome } = end;
  if (outcome === "delivered") return deliveredBy(end, facts);
  if (outcome === "forbidden") return forbiddenBy(end, facts);
  if (outcome === "refused" && facts.untold)
    return [{ ...meshConfig(facts.world), field: "spec.traffic.clientScope" }, modeOf(facts)];
  if (outcome === "passthrough" || outcome === "refused") return letOutBy(end, facts);
  if (outcome === "malformed")
    return [{ ...meshConfig(facts.world), field: "spec.traffic.pathWithEscapedSlashes" }];
  return named(end.by, "TrafficSplit", "spec.backends");
}

function letOutBy({ by }: End, facts: DecidingFacts): readonly Decider[] {
  const address = { ...meshConfig(facts.world), field: "spec.traffic.podAddresses" };
  return [
    ...(facts.unpicked ? [address] : []),
    ...(facts.meshed ? named(by, "MeshConfig", "spec.traffic.enableEgress") : closedToPlain(facts)),
  ];
}

function deliveredBy(end: End, facts: DecidingFacts): readonly Decider[] {
  const { rule, by } = end;
  return rule === undefined ? openBy(end, facts) : granted(by, rule, { world: facts.world, differs: [] });
}

/** The objects, those of one kind with a field. */
function named(by: readonly ObjectRef[], kind: string, field: string): readonly Decider[] {
  return by.map(ref => ({ object: refText(ref), ...(ref.kind === kind ? { field } : {}) }));
}

function forbiddenBy({ nearest }: End, facts: DecidingFacts): readonly Decider[] {
  if (nearest === undefined) return [...(facts.meshed ? [] : closedToPlain(facts)), modeOf(facts)];
  const { by, grant, differs } = nearest;
  return granted(by, grant, { world: facts.world, differs });
}

function meshConfig({ compiler }: MeshWorld): { readonly object: string } {
  return { object: refText(compiler.inputs.meshConfigRef) };
}

function granted(
  by: readonly ObjectRef[],
  name: string,
  about: { readonly world: MeshWorld; readonly differs: readonly Difference[] },
): readonly Decider[] {
  const parts = grantName(name);
  return by.map((ref): Decider => {
    const object = refText(ref);
    switch (ref.kind) {
      case "TrafficTarget":
        return {
          object,
          field: about.differs.includes("identity") ? "spec.sources" : `spec.rules[${parts?.rule ?? 0}]`,
        };
      case "HTTPRouteGroup":
        return { object, ...present({ field: matchField(ref, parts?.match, about) }) };
      default:
        return { object };
    }
  });
}

/** The match of an HTTPRouteGroup, and the part of it that a request is unlike. */
function matchField(
  ref: ObjectRef,
  match: string | undefined,
  { world, differs }: { readonly world: MeshWorld; readonly differs: readonly Difference[] },
): string | undefined {
  const index = matchIndex(world, ref, match);
  if (index < 0) return undefined;
  const [part, ...others] = differs.flatMap(each => (each === "identity" ? [] : [FIELDS[each]]));
  return `spec.matches[${index}]${part === undefined || others.length > 0 ? "" : `.${part}`}`;
}

function matchIndex({ documents }: MeshWorld, ref: ObjectRef, match: string | undefined): number {
  const group = documents.get(`${ref.kind}/${ref.namespace}/${ref.name}`);
  const matches = asArray(asObject(group?.["spec"])["matches"] ?? group?.["matches"]);
  return matches.findIndex(each => asObject(each)["name"] === match);
}

function namespaceOf({ world, serverNamespace }: DecidingFacts): MeshNamespace | undefined {
  return serverNamespace === undefined
    ? undefined
    : world.compiler.inputs.namespaces.rows.get(serverNamespace);
}

/** Who says that nothing in particular is asked for. */
function openBy(end: End, facts: DecidingFacts): readonly Decider[] {
  const ingress = end.by.filter(({ kind }) => kind === "IngressBackend");
  if (ingress.length > 0) return ingress.map(ref => ({ object: refText(ref) }));
  return [...(facts.meshed ? [] : closedToPlain(facts)), modeOf(facts)];
}

function modeOf(facts: DecidingFacts): Decider {
  const namespace = namespaceOf(facts);
  if (namespace?.permissive !== undefined)
    return { object: `Namespace ${namespace.name}`, field: `metadata.annotations[${ANNOTATION_PERMISSIVE}]` };
  return { ...meshConfig(facts.world), field: "spec.traffic.enablePermissiveTrafficPolicyMode" };
}

function closedToPlain(facts: DecidingFacts): readonly Decider[] {
  const namespace = namespaceOf(facts);
  if (namespace === undefined) return [];
  return [
    { object: `Namespace ${namespace.name}`, field: `metadata.annotations[${ANNOTATION_INBOUND_PLAINTEXT}]` },
  ];
}
