/** What an ACK or NACK means for the client's content. */
import { findResource, TYPE_URLS, type EncodedResource } from "./resource";
import type { ClientContent, InFlight, Rejection, TypeState } from "./type-state";

function withoutTaken(
  rejected: TypeState["rejected"],
  taken: readonly EncodedResource[],
): TypeState["rejected"] {
  if (rejected.size === 0) return rejected;
  const rest = new Map(rejected);
  for (const { name } of taken) rest.delete(name);
  return rest;
}

/** The client has taken the response in flight. */
export function acknowledge(state: TypeState, inFlight: InFlight): TypeState {
  return {
    ...state,
    content: inFlight.after,
    inFlight: undefined,
    rejected: withoutTaken(state.rejected, inFlight.resources),
  };
}

/** A name goes on before this point. */
const ENDS_IN_NAME = /[A-Za-z0-9_|/.-]$/;
/** A name goes on after this point; a dot or colon counts only when more of a name follows. */
const STARTS_IN_NAME = /^([A-Za-z0-9_|/-]|[.:][A-Za-z0-9])/;

/** Whether `name` occurs in `message` as a whole name. */
function mentions(message: string, name: string): boolean {
  if (name === "") return false;
  for (let at = message.indexOf(name); at >= 0; at = message.indexOf(name, at + 1)) {
    const end = at + name.length;
    const before = message.slice(Math.max(0, at - 1), at);
    if (!ENDS_IN_NAME.test(before) && !STARTS_IN_NAME.test(message.slice(end, end + 2))) return true;
  }
  return false;
}

/** The resources of a rejected response that are to blame; empty when the message does not tell. */
function culprits(resources: readonly EncodedResource[], message: string): readonly EncodedResource[] {
  if (resources.length === 1) return resources;
  return resources.filter(resource => mentions(message, resource.name));
}

/** Envoy applies the good clusters and listeners of a rejected response, and none for sure of other types. */
function appliesTheRest(state: TypeState): boolean {
  return state.typeUrl === TYPE_URLS.cluster || state.typeUrl === TYPE_URLS.listener;
}

function withoutCulprits(
  state: TypeState,
  inFlight: InFlight,
  guilty: readonly EncodedResource[],
): ClientContent {
  const deviations = new Map(inFlight.after.deviations);
  for (const { name } of guilty) {
    const deviation = state.content.deviations.get(name);
    const held = state.content.set && findResource(state.content.set, name)?.version;
    deviations.set(name, deviation === undefined ? (held ?? null) : deviation);
  }
  return { set: inFlight.after.set, deviations };
}

/**
 * The client has refused the response in flight. Whoever is named in the message is set aside in that version, with the
 * last good one kept; when nobody can be named, smaller responses corner the culprit.
 */
export function refuse(
  state: TypeState,
  inFlight: InFlight,
  message: string,
): { readonly state: TypeState; readonly rejections: readonly Rejection[] } {
  const guilty = culprits(inFlight.resources, message);
  if (inFlight.resources.length === 0) return { state: acknowledge(state, inFlight), rejections: [] };
  if (guilty.length === 0) {
    const limit = Math.ceil(inFlight.resources.length / 2);
    return { state: { ...state, inFlight: undefined, limit }, rejections: [] };
  }
  const rejections = guilty.map(({ name, version, origins }) => ({ name, version, message, origins }));
  const rejected = new Map(state.rejected);
  for (const rejection of rejections) rejected.set(rejection.name, rejection);
  const content = appliesTheRest(state) ? withoutCulprits(state, inFlight, guilty) : state.content;
  return { state: { ...state, content, inFlight: undefined, rejected, limit: undefined }, rejections };
}
