import { isResyncInterval } from "../../api/mesh-config";
import { parseDuration } from "../../model/duration";
import type { Engine } from "../engine";
import type { Informers } from "../kube/informers";
import type { Clock } from "../ports";

/** What a resync works with. */
export interface ResyncOptions {
  readonly engine: Pick<Engine, "meshConfig" | "onMeshConfig">;
  readonly informers: Pick<Informers, "relist">;
  readonly clock: Clock;
  /** Numbers in [0, 1): replicas must not list at the same moment. */
  readonly random: () => number;
}

/**
 * Lists everything anew as often as MeshConfig's `sidecar.configResyncInterval` says, so that nothing that was ever missed
 * stays missed; every proxy is then sent what turns out to differ. Below 30 s it is off. Takes effect while it runs.
 */
export function startResync(options: ResyncOptions): { stop(): void } {
  const { engine, informers, clock, random } = options;
  let timer: { cancel(): void } | undefined;
  const schedule = (first: boolean): void => {
    timer?.cancel();
    timer = undefined;
    const ms = parseDuration(engine.meshConfig().sidecar.configResyncInterval) ?? 0;
    if (!isResyncInterval(ms)) return;
    const wait = first ? ms * (0.5 + random() / 2) : ms;
    timer = clock.setTimeout(() => {
      schedule(false);
      informers.relist();
    }, wait);
  };
  let interval = engine.meshConfig().sidecar.configResyncInterval;
  schedule(true);
  const subscription = engine.onMeshConfig(spec => {
    if (spec.sidecar.configResyncInterval === interval) return;
    interval = spec.sidecar.configResyncInterval;
    schedule(true);
  });
  return {
    stop: () => {
      timer?.cancel();
      subscription.close();
    },
  };
}
