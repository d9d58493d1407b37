import { expect } from "chai";
import { DEFAULT_MESH_CONFIG, type MeshConfigSpec } from "../../../src/api/mesh-config";
import { startResync } from "../../../src/runtime/control-plane/resync";
import type { Clock } from "../../../src/runtime/ports";

/** Timers that run when the test says what time it is. */
class HandClock implements Clock {
  private readonly timers = new Set<{ readonly at: number; readonly run: () => void }>();
  private time = 0;

  now(): number {
    return this.time;
  }

  setTimeout(run: () => void, ms: number): { cancel(): void } {
    const timer = { at: this.time + ms, run };
    this.timers.add(timer);
    return { cancel: () => void this.timers.delete(timer) };
  }

  pass(ms: number): void {
    const end = this.time + ms;
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.at - b.at).find(timer => timer.at <= end);
      if (next === undefined) break;
      this.timers.delete(next);
      this.time = next.at;
      next.run();
    }
    this.time = end;
  }
}

describe("resync", () => {
  const withInterval = (configResyncInterval: string): MeshConfigSpec => ({
    ...DEFAULT_MESH_CONFIG,
    sidecar: { ...DEFAULT_MESH_CONFIG.sidecar, configResyncInterval },
  });
  const start = (interval: string) => {
    const clock = new HandClock();
    let spec = withInterval(interval);
    let relists = 0;
    let listener: (next: MeshConfigSpec) => void = () => undefined;
    const resync = startResync({
      clock,
      random: () => 0.5,
      informers: { relist: () => (relists += 1) },
      engine: {
        meshConfig: () => spec,
        onMeshConfig: run => {
          listener = run;
          return { close: () => undefined };
        },
      },
    });
    const set = (next: string): void => {
      spec = withInterval(next);
      listener(spec);
    };
    const after = (ms: number): number => {
      const before = relists;
      clock.pass(ms);
      return relists - before;
    };
    return { resync, set, after };
  };

  it("is off at 0s and below 30s, as in OSM", () => {
    for (const interval of ["0s", "29s"]) expect(start(interval).after(3_600_000), interval).to.equal(0);
  });

  it("comes as often as it is told, the first time anywhere in the second half of the interval", () => {
    const { after } = start("1m");
    expect(after(44_999)).to.equal(0);
    expect(after(1)).to.equal(1);
    expect(after(600_000)).to.equal(10);
  });

  it("is switched on, changed and off while it runs, and not put off by other changes", () => {
    const { resync, set, after } = start("0s");
    set("10m");
    expect(after(449_999)).to.equal(0);
    set("10m");
    expect(after(1)).to.equal(1);
    set("30s");
    expect(after(22_500 + 60_000)).to.equal(3);
    set("0s");
    expect(after(3_600_000)).to.equal(0);
    set("1m");
    resync.stop();
    expect(after(3_600_000)).to.equal(0);
  });
});
