import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { Scene, type Tally } from "../chaos/scene";
import { quantile, verdict } from "../support/verdict";

const FULL = process.env["OSM_FULL"] === "1";
/** Simulated proxies beside five Envoys. */
const CROWD = FULL ? 200 : 20;
const ROUNDS = FULL ? 10 : 2;
/** What is aimed at: all back, and how long the event loop may be held up meanwhile, milliseconds. */
const AIM = { backMs: 10_000, heldUpMs: 500 } as const;
/** Between two rounds: each pod may open a stream a second in the long run, milliseconds. */
const REST_MS = 3_000;
/** Until the ends of broken connections have been seen here, milliseconds. */
const ENDED_MS = 5;
/** How often what was late is written, and a bit, milliseconds. */
const WRITTEN_MS = 400;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

interface Late {
  readonly at: number;
  readonly lateMs: readonly number[];
}

describe(`a fleet of ${CROWD} simulated proxies and five Envoys whose connections all break at once (R-10)`, function () {
  this.timeout(600_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-reconnect-"));
  const delays = path.join(folder, "delays");
  let scene: Scene;
  before(async () => {
    const preload = path.join(__dirname, "../support/event-loop-delays.cjs");
    const env = { NODE_OPTIONS: `--require ${preload}`, OSM_DELAYS: delays };
    scene = await Scene.start({ crowd: CROWD, env });
  });
  after(async () => {
    await (scene as Scene | undefined)?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** How late the event loop of the control plane was between these times, milliseconds. */
  const late = (from: number, to: number): readonly number[] =>
    readFileSync(delays, "utf8")
      .trim()
      .split("\n")
      .map(line => JSON.parse(line) as Late)
      .filter(({ at }) => at >= from && at <= to)
      .flatMap(({ lateMs }) => lateMs);

  it(`is back ${ROUNDS} times, its requests go on, and the event loop is free for others`, async () => {
    await scene.tally();
    const [backMs, envoysMs, lateMs] = [[] as number[], [] as number[], [] as number[]];
    const changeMs: number[] = [];
    const tallies: Tally[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const began = Date.now();
      for (const link of scene.stage.links("all")) link.disturb("reset");
      await pause(ENDED_MS);
      const { crowd = 0, ...envoys } = await scene.connected();
      await pause(WRITTEN_MS);
      // What is asked of it from here on costs it more than the proxies do.
      lateMs.push(...late(began, Date.now()));
      envoysMs.push(Math.max(...Object.values(envoys)));
      backMs.push(Math.max(crowd, ...Object.values(envoys)));
      await scene.everybodyThere();
      changeMs.push(await scene.turnGrant());
      await pause(REST_MS);
      tallies.push(await scene.tally(true));
    }
    const failed = tallies.flatMap(tally => [...tally.failed, ...tally.passed]);
    const [longest, heldUp] = [Math.max(...backMs), Math.max(...lateMs)];
    verdict(
      `R-10: all connections of ${CROWD} simulated proxies and ${scene.stage.sidecars.length} Envoys, ${ROUNDS} times`,
      failed.length === 0 && longest <= AIM.backMs && heldUp <= AIM.heldUpMs,
      {
        count: tallies.reduce((sum, { all }) => sum + all, 0),
        failed: failed.length,
        p50Ms: quantile(backMs, 0.5),
        longestMs: longest,
        bound: `all back in ${AIM.backMs} ms, Envoys after ${quantile(envoysMs, 0.5)} (p50) and ${Math.max(...envoysMs)} ms; event loop at most ${AIM.heldUpMs} ms late, was p50 ${quantile(lateMs, 0.5)}, p99 ${quantile(lateMs, 0.99)}, longest ${heldUp} ms of ${lateMs.length} looks; a change then after ${Math.max(...changeMs)} ms at most`,
      },
    );
    expect(failed).to.deep.equal([]);
    expect(lateMs.length).to.be.above(ROUNDS);
    expect(longest).to.be.below(10 * AIM.backMs);
    expect(heldUp).to.be.below(10 * AIM.heldUpMs);
  });
});
