/** TokenReview: the way to check tokens where the cluster does not publish its keys. */
import { createHash } from "node:crypto";
import type { KubeClient, KubeObject } from "../kube";
import { isOver } from "../clock";
import type { Clock } from "../ports";
import { TokenBucket } from "../token-bucket";
import { AuthenticationError } from "./errors";

/** How long an answer is believed, milliseconds. */
const CACHE_MS = 10_000;
/** Reviews per second. */
const RATE = 50;
const MAX_CACHED = 10_000;

interface TokenReview extends Partial<KubeObject> {
  readonly spec?: { readonly token: string; readonly audiences: readonly string[] };
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: { readonly username?: string };
  };
}

/** Whether the API server vouches for a token and audience. */
export type TokenReviewer = (token: string) => Promise<boolean>;

/** A reviewer with a short memory and a limited rate; over the limit it throws `unavailable`. */
export function createTokenReviewer(options: {
  readonly kube: Pick<KubeClient, "create">;
  readonly clock: Pick<Clock, "now">;
  readonly audience: string;
  /** Whose token it has to be by the API server's own word; default: anybody's. */
  readonly username?: string;
}): TokenReviewer {
  const { kube, clock } = options;
  const answers = new Map<string, { readonly good: boolean; readonly until: number }>();
  const bucket = new TokenBucket(RATE, RATE, clock.now());
  return async token => {
    const key = createHash("sha256").update(token).digest("base64");
    const known = answers.get(key);
    if (known !== undefined && !isOver(known.until, clock.now(), CACHE_MS)) return known.good;
    if (!bucket.tryTake(clock.now()))
      throw new AuthenticationError("unavailable", "too many token reviews at once");
    const good = await review(kube, token, options);
    if (answers.size >= MAX_CACHED) answers.clear();
    answers.set(key, { good, until: clock.now() + CACHE_MS });
    return good;
  };
}

async function review(
  kube: Pick<KubeClient, "create">,
  token: string,
  { audience, username }: { readonly audience: string; readonly username?: string },
): Promise<boolean> {
  const request: TokenReview = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token, audiences: [audience] },
  };
  try {
    const { status } = await kube.create<TokenReview>("/apis/authentication.k8s.io/v1/tokenreviews", request);
    const isWhose = username === undefined || status?.user?.username === username;
    return isWhose && status?.authenticated === true && status.audiences?.includes(audience) === true;
  } catch {
    // The cause may quote the request, which holds the token.
    throw new AuthenticationError("unavailable", "the API server cannot review tokens now");
  }
}
