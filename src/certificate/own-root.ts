/**
 * The control plane's own root: ADS, the ledger and client certificates of external proxies are of it. It rotates by the moves
 * of the workloads' root, with other proofs: whom a sidecar's file trusts is acknowledged by nobody, so it is shown by a
 * handshake against a chain of the new root alone.
 */
import { fieldsOf, textOf } from "../api/field";
import type { FleetTrust, Proof, RotationFacts } from "./root-proof";
import type { RotationState, TrustedRoot } from "./root-rotation";
import { parseRotation, printRotation } from "./rotation-record";

/** What a CA of the control plane is used with; the built-in one has its key elsewhere. */
export interface OwnKey {
  readonly keyPem: string;
  /** Its certificate by the CA before it, so that who trusts only that one believes its chains too. */
  readonly crossPem: string;
}

/** Everything of the control plane's root that is persisted. */
export interface OwnRoots {
  readonly rotation: RotationState;
  /** By fingerprint, of all roots but the built-in one. */
  readonly keys: Readonly<Record<string, OwnKey>>;
  /** What the operator has asked for last, word for word; another word is another rotation. */
  readonly asked: string;
}

/** As text, which holds private keys. */
export function printOwnRoots({ rotation, keys, asked }: OwnRoots): string {
  return JSON.stringify({ rotation: printRotation(rotation), keys, asked });
}

/** Reads what {@link printOwnRoots} wrote. Throws when it is something else. */
export function parseOwnRoots(text: string): OwnRoots {
  const record = fieldsOf(JSON.parse(text) as unknown);
  const keys = Object.entries(fieldsOf(record["keys"])).map(([fingerprint, value]) => {
    const key = fieldsOf(value);
    return [
      fingerprint,
      { keyPem: textOf(key["keyPem"]) ?? "", crossPem: textOf(key["crossPem"]) ?? "" },
    ] as const;
  });
  const rotation = parseRotation(textOf(record["rotation"]) ?? "");
  return { rotation, keys: Object.fromEntries(keys), asked: textOf(record["asked"]) ?? "" };
}

/** The root that came last: the one to be used in the end. */
export function newestOf({ roots }: RotationState): TrustedRoot {
  const newest = roots.at(-1);
  if (newest === undefined) throw new Error("the control plane has no root");
  return newest;
}

/** Keys of the roots that are left. */
export function keysOf(keys: OwnRoots["keys"], { roots }: RotationState): OwnRoots["keys"] {
  return Object.fromEntries(
    Object.entries(keys).filter(([key]) => roots.some(({ fingerprint }) => fingerprint === key)),
  );
}

/**
 * What the replicas tell, as facts of the moves. To issue, replicas must know the root; proxies need not, as what they are
 * shown can be verified by the old root too. To drop, each proxy must have been shown the new root alone.
 */
export function ownFleet(fleet: FleetTrust | undefined, move: "issue" | "drop"): RotationFacts["fleet"] {
  if (fleet === undefined) return undefined;
  const replicas = fleet.replicas.flatMap(({ own }) => (own === undefined ? [] : [own]));
  const complete = fleet.complete && replicas.length === fleet.replicas.length;
  if (move === "issue") return { complete, replicas, proxies: [], absent: new Map() };
  const proxies = fleet.proxies.map(({ name, own }) => ({ name, issuer: own ?? null }));
  return { complete, replicas, proxies, absent: fleet.absent };
}

/** How far it is, in a sentence. */
export function ownText({ known, ready, proxies, waiting }: Proof): string {
  if (!known) return "not known how many proxies are ready; a replica of the control plane cannot be asked";
  const rest = waiting.length === 0 ? "" : `; waiting for ${waiting.slice(0, 3).join(", ")}`;
  return `${ready} of ${proxies} proxies have connected by the new root alone${rest}`;
}
