/** A new replica makes what its proxies will be given before they come. */
import type { Clock, LivePod } from "../ports";
import type { Subscribers } from "./subscribers";

/** How much is computed before others have their turn, milliseconds. */
const SLICE_MS = 10;

/** What is warmed. */
interface WarmOptions {
  readonly clock: Clock;
  readonly subscribers: Pick<Subscribers, "warm">;
  /** By uid. */
  readonly pods: ReadonlyMap<string, LivePod>;
}

/** Computes what these pods' proxies will be given; resolves when all is done, or so many milliseconds have passed. */
export async function warm({ clock, subscribers, pods }: WarmOptions, withinMs: number): Promise<void> {
  const began = clock.now();
  let slice = began;
  for (const [podUid, { namespace, serviceAccount, name: podName }] of [...pods]) {
    const now = clock.now();
    if (Math.abs(now - began) >= withinMs) return;
    if (Math.abs(now - slice) >= SLICE_MS) {
      await new Promise<void>(resolve => clock.setTimeout(resolve, 0));
      slice = clock.now();
    }
    subscribers.warm({ identity: { namespace, serviceAccount }, podUid, podName, expiresAt: now });
  }
}
