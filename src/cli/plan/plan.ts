/** `osm plan`: what a change would do, before anything is applied. */
import type { Diagnostic } from "../../model/diagnostic";
import { objectRefKey } from "../../model/object-ref";
import { refText } from "../explain/words";
import type { KubeDocument } from "../offline/documents";
import { present } from "../offline/present";
import { createMeshWorld, type MeshWorld, type WorldOptions } from "../offline/world";
import { type Access, accessIn, type Shares } from "./access";
import { applied, type ObjectChange } from "./changes";
import { proxiesIn, proxyChanges, type ProxyChange } from "./proxies";

/** A finding about an object as it would be. */
export interface PlannedFinding extends Omit<Diagnostic, "subject"> {
  /** `Kind namespace/name`. */
  readonly object: string;
  /** It is not found today. */
  readonly isNew: boolean;
}

/** Shares of a Service port before and after. */
export interface SharesChange {
  readonly to: string;
  readonly route?: string;
  readonly before: Shares["shares"];
  readonly after: Shares["shares"];
}

/** All that a change would do. */
export interface Plan {
  readonly objects: readonly ObjectChange[];
  readonly access: { readonly gained: readonly Access[]; readonly lost: readonly Access[] };
  readonly traffic: readonly SharesChange[];
  readonly proxies: readonly ProxyChange[];
  /** Of proxies that are told nothing new. */
  readonly untouched: number;
  /** About objects of the change, and what the change makes of others. */
  readonly findings: readonly PlannedFinding[];
  readonly notes: readonly string[];
}

/** What is planned. */
export interface PlanRequest {
  /** Objects as they are. */
  readonly base: readonly KubeDocument[];
  /** Objects to be applied. */
  readonly files: readonly KubeDocument[];
  /** Keys of objects to be deleted. */
  readonly deletions: readonly string[];
}

/**
 * Compares the mesh before and after. With `options.plan` the base is a cluster's, else all of it stands in files. Throws
 * {@link CommandError} for a deletion of what is not there.
 */
export function planOf({ base, files, deletions }: PlanRequest, options: WorldOptions): Plan {
  const { after, objects, changed } = applied(base, files, deletions);
  const { plan } = options;
  const old = createMeshWorld(base, options);
  const next = createMeshWorld(after, plan === undefined ? options : { ...options, plan: changed });
  const [was, is] = [accessIn(old), accessIn(next)];
  const [proxiesBefore, proxiesAfter] = [proxiesIn(old), proxiesIn(next)];
  const proxies = proxyChanges(proxiesBefore, proxiesAfter);
  const touched = new Set(proxies.flatMap(({ pods }) => pods));
  return {
    objects,
    access: {
      gained: [...is.access].filter(([key]) => !was.access.has(key)).map(([, one]) => one),
      lost: [...was.access].filter(([key]) => !is.access.has(key)).map(([, one]) => one),
    },
    traffic: sharesChanges(was.shares, is.shares),
    proxies,
    untouched: [...proxiesAfter.keys()].filter(pod => !touched.has(pod)).length,
    findings: findingsOf(old, next, objects),
    notes: [...new Set([...old.notes, ...next.notes])],
  };
}

function sharesChanges(
  before: ReadonlyMap<string, Shares>,
  after: ReadonlyMap<string, Shares>,
): readonly SharesChange[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .sort()
    .flatMap(key => sharesChange(before.get(key), after.get(key)));
}

function sharesChange(was: Shares | undefined, is: Shares | undefined): readonly SharesChange[] {
  const about = is ?? was;
  if (about === undefined) return [];
  const change = { before: was?.shares ?? {}, after: is?.shares ?? {} };
  // A Service that is not split is its own and only backend.
  const isOwn = (shares: SharesChange["before"]): boolean =>
    Object.keys(shares).every(name => name === about.to);
  if (JSON.stringify(change.before) === JSON.stringify(change.after)) return [];
  if (isOwn(change.before) && isOwn(change.after)) return [];
  const { to, route } = about;
  return [{ to, ...present({ route }), ...change }];
}

function foundIn({ compiler }: MeshWorld): readonly Diagnostic[] {
  return [...compiler.inputs.graph.peek(compiler.findings).values()].flat();
}

function findingsOf(
  before: MeshWorld,
  after: MeshWorld,
  objects: readonly ObjectChange[],
): readonly PlannedFinding[] {
  const textOf = (finding: Diagnostic): string =>
    JSON.stringify([objectRefKey(finding.subject), finding.code, finding.field, finding.message]);
  const known = new Set(foundIn(before).map(textOf));
  const own = new Set(objects.map(({ object }) => object));
  return foundIn(after).flatMap(finding => {
    const { subject, ...rest } = finding;
    const isNew = !known.has(textOf(finding));
    const { kind, namespace, name } = subject;
    const isOwn = own.has(namespace === "" ? `${kind}/${name}` : `${kind}/${namespace}/${name}`);
    return isNew || isOwn ? [{ ...rest, object: refText(subject), isNew }] : [];
  });
}
