/** Whether a permission lets a caller in, which object says so, and if none does, which came nearest. */
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";
import type { HttpRequest } from "./decide";
import type { RequestPart } from "./matching";
import { differences } from "./matching";
import type { Grant, HttpMatch, Permission } from "./types";

/** In what a caller or request is not what a grant wants. */
export type Difference = "identity" | RequestPart;

/** The grant that came nearest to letting a call through. */
export interface NearMiss {
  /** Name of the grant: `<namespace>/<TrafficTarget>#<rule>`, for HTTP with `/<match>`. */
  readonly grant: string;
  readonly by: readonly ObjectRef[];
  readonly differs: readonly Difference[];
  /** For people, like `path /b is not /a; caller web/thief is not web/buyer`. */
  readonly text: string;
}

/** Who calls, and with what. */
export interface Caller {
  /** undefined: a caller without identity (plaintext). */
  readonly from: ServiceIdentity | undefined;
  /** undefined: bytes. */
  readonly http?: HttpRequest;
}

/** What a permission says. */
export type Answer =
  | {
      readonly allowed: true;
      /** undefined: it asks for nothing in particular. */ readonly grant: Grant | undefined;
    }
  | { readonly allowed: false; readonly nearest: NearMiss | undefined };

const ALLOWED: Answer = { allowed: true, grant: undefined };

/** Asks a permission; `reasons` are the grants that an `allow` was made of. */
export function ask(permission: Permission, caller: Caller, reasons: readonly Grant[] = []): Answer {
  switch (permission.kind) {
    case "anyone":
      return ALLOWED;
    case "any-mesh-identity":
      return caller.from === undefined ? { allowed: false, nearest: undefined } : ALLOWED;
    case "grants":
      return askGrants(permission.grants, caller);
    case "allow":
      return askList(permission.identities, caller, reasons);
    // Names in certificates of callers outside of the mesh, which no call here has.
    case "principals":
      return { allowed: false, nearest: undefined };
  }
}

function askList(identities: readonly ServiceIdentity[], caller: Caller, reasons: readonly Grant[]): Answer {
  const answer = askGrants(reasons, caller);
  const allowed = identities.some(identity => isCaller(identity, caller));
  if (!allowed) return answer.allowed ? { allowed, nearest: undefined } : answer;
  return answer.allowed ? answer : ALLOWED;
}

function isCaller(identity: ServiceIdentity, { from }: Caller): boolean {
  return from !== undefined && identityKey(identity) === identityKey(from);
}

function askGrants(grants: readonly Grant[], caller: Caller): Answer {
  const tried = grants.flatMap(grant =>
    grant.matches.map(match => ({ grant, match, differs: differencesOf(grant, match, caller) })),
  );
  const [nearest] = [...tried].sort((a, b) => distance(a.differs) - distance(b.differs));
  if (nearest === undefined) return { allowed: false, nearest: undefined };
  const { grant, match, differs } = nearest;
  if (differs.length === 0) return { allowed: true, grant };
  const text = differs.map(difference => sentence(difference, { grant, match, caller })).join("; ");
  return { allowed: false, nearest: { grant: grant.name, by: grant.origins, differs, text } };
}

function differencesOf(grant: Grant, match: HttpMatch, caller: Caller): readonly Difference[] {
  const known = grant.identities.some(identity => isCaller(identity, caller));
  return [
    ...(known ? [] : ["identity" as const]),
    ...(caller.http === undefined ? [] : differences(match, caller.http)),
  ];
}

/** Fewer differences are nearer; of as many, another request of the same caller is nearer than another caller. */
function distance(differs: readonly Difference[]): number {
  return differs.length * 2 + (differs.includes("identity") ? 1 : 0);
}

interface Miss {
  readonly grant: Grant;
  readonly match: HttpMatch;
  readonly caller: Caller;
}

function sentence(difference: Difference, { grant, match, caller }: Miss): string {
  const { http, from } = caller;
  switch (difference) {
    case "identity": {
      const who = from === undefined ? "without an identity" : identityKey(from);
      return `caller ${who} is not ${grant.identities.map(identityKey).join(" or ")}`;
    }
    case "path":
      return `path ${http?.path ?? ""} is not ${pathText(match.path)}`;
    case "method":
      return `method ${http?.method ?? ""} is not ${match.methods.join(" or ")}`;
    case "header":
      return `headers are not ${match.headers.map(({ name, value }) => `${name}: ${value}`).join(" and ")}`;
  }
}

function pathText(path: HttpMatch["path"]): string {
  switch (path.kind) {
    case "any":
      return "any";
    case "prefix":
      return `${path.value}…`;
    case "exact":
    case "regex":
      return path.value;
  }
}
