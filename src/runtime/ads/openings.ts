import { TokenBucket, type AdsLimits } from "./limits";

/** How often each pod opens streams. */
export class Openings {
  private readonly buckets = new Map<string, TokenBucket>();

  constructor(private readonly limits: Pick<AdsLimits, "openRate" | "openBurst">) {}

  /** Counts one more stream of a pod; false: it opens them too often. `now` in epoch milliseconds. */
  mayOpen(podUid: string, now: number): boolean {
    const { openRate, openBurst } = this.limits;
    const bucket = this.buckets.get(podUid) ?? new TokenBucket(openRate, openBurst, now);
    this.buckets.set(podUid, bucket);
    return bucket.tryTake(now);
  }

  /** Forgets pods that have opened none for a while. */
  forget(now: number): void {
    for (const [uid, bucket] of this.buckets) if (bucket.isFull(now)) this.buckets.delete(uid);
  }
}
