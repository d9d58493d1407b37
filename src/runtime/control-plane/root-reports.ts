import type { RotationState } from "../../certificate/root-rotation";
import { countedRequests, MOST_ROOTS } from "../../certificate/wanted-roots";
import type { Diagnostic } from "../../model/diagnostic";
import type { ObjectRef } from "../../model/object-ref";
import type { ProxyProgress } from "../../status/conditions";
import type { RootView } from "./root-keeper";
import type { RootObject } from "./root-objects";

/** The mesh that a root is judged in. */
export interface RootPlace {
  readonly osmNamespace: string;
}

/** What is wrong with a MeshRootCertificate, its fields aside. */
export function rootFindings(
  subject: ObjectRef,
  view: RootView | undefined,
  { osmNamespace }: RootPlace,
): readonly Diagnostic[] {
  const finding = (code: string, message: string): readonly Diagnostic[] => [
    { severity: "error", code, subject, message },
  ];
  if (subject.namespace !== osmNamespace)
    return finding(
      "InvalidField",
      `metadata.namespace must be ${osmNamespace}: roots elsewhere are not read`,
    );
  const object = view?.objects.find(({ name }) => name === subject.name);
  if (view === undefined || object === undefined) return [];
  if (!view.enabled)
    return finding(
      "FeatureDisabled",
      "featureFlags.enableMeshRootCertificate of the MeshConfig is false: roots stay as they are",
    );
  if (isSurplus(object, view))
    return finding(
      "ConflictTooManyRoots",
      `at most ${MOST_ROOTS} roots may be active or passive; older ones are: make one of them inactive first`,
    );
  const error = object.role === "inactive" ? undefined : view.errors.get(object.name);
  return error === undefined ? [] : finding("UnresolvedReferenceIssuer", error);
}

function isSurplus(object: RootObject, { objects }: RootView): boolean {
  const { surplus } = countedRequests(objects.map(other => ({ ...other, root: undefined })));
  return surplus.some(({ name }) => name === object.name);
}

/** How far the proxies are with a MeshRootCertificate; undefined: nobody has counted yet. */
export function rootProgress(name: string, view: RootView | undefined): ProxyProgress | undefined {
  const object = view?.objects.find(other => other.name === name);
  if (view === undefined || object === undefined) return undefined;
  const { next, made, proof } = view.step;
  if (next === undefined && made === undefined) {
    const affected = object.role === "inactive" ? 0 : view.proxies;
    return { affected, programmed: affected, behind: [], refused: 0, compiled: true, complete: true };
  }
  // A move is not done when it is made, and a proof has to stand for a while before it is acted upon.
  if (proof === undefined) return { ...NOTHING_COUNTED, affected: view.proxies };
  const { proxies: affected, ready: programmed, waiting: behind, known: complete } = proof;
  return { affected, programmed, behind, refused: 0, compiled: behind.length > 0, complete };
}

const NOTHING_COUNTED = { programmed: 0, behind: [], refused: 0, compiled: false, complete: true };

/** What certificates of a root are used for. */
type Use = "issuing" | "validating" | "unused" | "unknown";

/** OSM's fields of a root's status, and a sentence. */
export interface RootFields {
  /** What the root is used for at the moment, or what is under way. */
  readonly state: string;
  /** How far a rotation is, in a sentence. */
  readonly progress: string;
  readonly componentStatuses: Readonly<Record<string, Use>>;
  /** When the mesh makes the next CA, RFC 3339; absent where its owner makes them. */
  readonly nextRotation?: string;
}

/** The fields; undefined: nobody has looked yet. The control plane's own servers have roots of their own (decision 0020). */
export function rootFields(name: string, view: RootView | undefined): RootFields | undefined {
  if (view === undefined) return undefined;
  const { state, text, next } = view.step;
  const use = useOf(name, state);
  const own = "unused";
  const due = view.next.get(name);
  return {
    state: next?.root.owner === name ? `${use}, ${UNDER_WAY[next.kind]}` : use,
    progress: text,
    ...(due === undefined ? {} : { nextRotation: new Date(due).toISOString() }),
    componentStatuses: {
      validatingWebhook: own,
      mutatingWebhook: own,
      xdsControlPlane: own,
      bootstrap: own,
      sidecar: use,
      gateway: use,
    },
  };
}

const UNDER_WAY = { trust: "to be trusted", issue: "to issue", drop: "to be dropped" } as const;

function useOf(name: string, { roots, issuing }: RotationState): Use {
  const own = roots.filter(({ owner }) => owner === name);
  if (own.length === 0) return "unused";
  return own.some(({ fingerprint }) => fingerprint === issuing) ? "issuing" : "validating";
}
