import { status } from "@grpc/grpc-js";
import { TokenBucket } from "../token-bucket";
import type { AdsLimits } from "./limits";
import { StreamRefused } from "./refusal";

/** How often each pod opens streams. */
export class Openings {
  private readonly buckets = new Map<string, TokenBucket>();

  constructor(private readonly limits: Pick<AdsLimits, "openRate" | "openBurst">) {}

  /** Counts one more stream of a pod; throws when it opens them too often. `now` in epoch milliseconds. */
  take(podUid: string, now: number): void {
    const { openRate, openBurst } = this.limits;
    const bucket = this.buckets.get(podUid) ?? new TokenBucket(openRate, openBurst, now);
    this.buckets.set(podUid, bucket);
    if (!bucket.tryTake(now))
      throw new StreamRefused(status.RESOURCE_EXHAUSTED, "this pod opens streams too often");
  }

  /** Forgets pods that have opened none for a while. */
  forget(now: number): void {
    for (const [uid, bucket] of this.buckets) if (bucket.isFull(now)) this.buckets.delete(uid);
  }
}
