/** What the MeshRootCertificates of a mesh ask for, taken together. */
import type { RootRole } from "../api/mesh-root-certificate";
import type { RotationState, TrustedRoot, WantedRoots } from "./root-rotation";

/** A MeshRootCertificate as far as it is understood. */
export interface RootRequest {
  /** Name of the object. */
  readonly name: string;
  readonly role: RootRole;
  /** `metadata.creationTimestamp`: RFC 3339, so its order is the order of time. */
  readonly createdAt: string;
  /** The root it stands for; undefined: its provider has not said, now. */
  readonly root: TrustedRoot | undefined;
}

/** Most roots that are not inactive: a third would say nothing about which one comes next. */
export const MOST_ROOTS = 2;

/** Requests that count, oldest first; the others are told. */
export function countedRequests(requests: readonly RootRequest[]): {
  readonly counted: readonly RootRequest[];
  readonly surplus: readonly RootRequest[];
} {
  const sorted = requests
    .filter(({ role }) => role !== "inactive")
    .sort((a, b) => order(a.createdAt, b.createdAt) || order(a.name, b.name));
  return { counted: sorted.slice(0, MOST_ROOTS), surplus: sorted.slice(MOST_ROOTS) };
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * OSM's table: the active one issues, active and passive ones are trusted; with two active ones, the one in use goes on
 * issuing. Without an active one the built-in root issues. A provider that cannot be asked now changes nothing: what is
 * known of it stays trusted, and issues if it does.
 */
export function wantedRoots(
  requests: readonly RootRequest[],
  builtIn: TrustedRoot,
  state: RotationState,
): WantedRoots {
  const { counted } = countedRequests(requests);
  const roots = counted.flatMap(request => rootsOf(request, state));
  const actives = counted.filter(({ role }) => role === "active");
  if (actives.length === 0) return { issuing: builtIn.fingerprint, roots: unique([builtIn, ...roots]) };
  return { issuing: issuerOf(actives, state), roots: unique(roots) };
}

function rootsOf({ name, root }: RootRequest, { roots }: RotationState): readonly TrustedRoot[] {
  return root === undefined ? roots.filter(({ owner }) => owner === name) : [root];
}

/** undefined: the one in use. */
function issuerOf(actives: readonly RootRequest[], { issuing }: RotationState): string | undefined {
  const known = actives.flatMap(({ root }) => root ?? []);
  const inUse = known.some(({ fingerprint }) => fingerprint === issuing);
  // One of two active ones that cannot be asked may be the one in use.
  if (inUse || known.length < actives.length) return undefined;
  return known[0]?.fingerprint;
}

function unique(roots: readonly TrustedRoot[]): readonly TrustedRoot[] {
  return [...new Map(roots.map(root => [root.fingerprint, root])).values()];
}
