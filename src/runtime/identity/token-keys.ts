/** The cluster's published token-signing keys, fetched when needed and again when an unknown key appears. */
import type { KubeClient } from "../kube";
import { KubeError } from "../kube";
import { isOver } from "../clock";
import type { Clock, Log } from "../ports";
import { readKeySet, type VerificationKey } from "./jwt";

/** Least time between two fetches, milliseconds: tokens with made-up key ids must not become API calls. */
const REFETCH_MS = 5_000;
/** Least time between two attempts while the cluster gives no keys, milliseconds. */
const UNPUBLISHED_REFETCH_MS = 60_000;

/** Keys with the issuer they belong to. */
export interface PublishedKeys {
  readonly issuer: string;
  readonly keys: ReadonlyMap<string, VerificationKey>;
}

/** Where keys are looked up. */
export interface TokenKeys {
  /**
   * The key of that id, with the issuer; undefined when there is no such key; `unpublished` when that cannot be told,
   * because the cluster publishes no keys to us or does not give them now (TokenReview has to answer then).
   */
  find(
    keyId: string | undefined,
  ): Promise<{ issuer: string; key: VerificationKey } | "unpublished" | undefined>;
}

/** Looks keys up through the API server; nothing is fetched before the first use. */
export function createTokenKeys(options: {
  readonly kube: Pick<KubeClient, "get">;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
}): TokenKeys {
  const { kube, clock, log } = options;
  let known: PublishedKeys | "unpublished" | undefined;
  let lastFetch = -Infinity;
  /** The last fetch brought nothing: what is known may be old. */
  let failed = false;
  let running: Promise<void> | undefined;

  const fetchKeys = async (): Promise<void> => {
    try {
      known = await publishedKeys(kube);
      failed = false;
    } catch (error) {
      failed = true;
      // Not reachable: what is known stays. Any other answer: this API server gives us no keys, so it must judge itself.
      const answered = !(error instanceof KubeError) || (error.status >= 400 && error.status < 500);
      log.warn("cannot fetch the cluster's token keys", { error: String(error), reviewInstead: answered });
      if (answered) known ??= "unpublished";
    }
  };
  const refresh = async (): Promise<void> => {
    const pause = known === "unpublished" ? UNPUBLISHED_REFETCH_MS : REFETCH_MS;
    if (running === undefined && !isOver(lastFetch + pause, clock.now(), pause)) return;
    if (running === undefined) {
      lastFetch = clock.now();
      running = fetchKeys().finally(() => {
        running = undefined;
      });
    }
    await running;
  };
  const lookUp = (keyId: string | undefined): { issuer: string; key: VerificationKey } | undefined => {
    if (known === undefined || known === "unpublished" || keyId === undefined) return undefined;
    const key = known.keys.get(keyId);
    return key && { issuer: known.issuer, key };
  };
  return {
    find: async keyId => {
      if (lookUp(keyId) === undefined) await refresh();
      const found = lookUp(keyId);
      if (found !== undefined) return found;
      return known === undefined || known === "unpublished" || failed ? "unpublished" : undefined;
    },
  };
}

async function publishedKeys(kube: Pick<KubeClient, "get">): Promise<PublishedKeys> {
  const [configuration, keySet] = await Promise.all([
    kube.get<{ issuer?: unknown }>("/.well-known/openid-configuration"),
    kube.get<unknown>("/openid/v1/jwks"),
  ]);
  if (typeof configuration.issuer !== "string" || configuration.issuer === "") {
    throw new Error("the API server names no token issuer");
  }
  return { issuer: configuration.issuer, keys: readKeySet(keySet) };
}
