import { randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { Deeds, movesOf } from "../chaos/deeds";
import { Scene, type Tally } from "../chaos/scene";
import { quantile, verdict } from "../support/verdict";

const FULL = process.env["OSM_FULL"] === "1";
/** A process is killed each {@link EVERY_MS}, and started again this much later at most, for so long, milliseconds. */
const FOR_MS = FULL ? 600_000 : 15_000;
const EVERY_MS = FULL ? 20_000 : 5_000;
const AWAY_MS = FULL ? 5_000 : 1_000;
/** No rotation is begun so shortly before the end, milliseconds: it has to come to its own. */
const LAST_MS = FULL ? 60_000 : 0;
/** One that writes, and others beside it. */
const REPLICAS = 3;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

describe(`one of ${REPLICAS} processes of the control plane killed every ${EVERY_MS / 1_000} s (R-13)`, function () {
  this.timeout(FOR_MS + 600_000);
  let scene: Scene;
  let deeds: Deeds;

  before(async () => {
    scene = await Scene.start({ replicas: REPLICAS });
    deeds = await Deeds.watch(scene.stage.api.kube);
  });
  after(async () => {
    (deeds as Deeds | undefined)?.stop();
    await (scene as Scene | undefined)?.stop();
  });

  /** Asks for the other root again and again, each time once the last one is in force; resolves with what has to have happened. */
  const rotate = async (isOver: () => boolean): Promise<readonly string[]> => {
    const wanted: string[] = [];
    for (let turn = 0; !isOver(); turn += 1) {
      await scene.stage.objects.turnRoot();
      wanted.push(...movesOf(turn));
      await deeds.until(wanted.length);
      await pause(1_000);
    }
    return wanted;
  };

  it("fails no request, and what only one may do is done once, in order", async () => {
    await scene.tally();
    const { replicas } = scene.stage.controlPlane;
    const kills = replicas.map(() => 0);
    const backMs: number[] = [];
    const tallies: Tally[] = [];
    const end = Date.now() + FOR_MS;
    const rotating = rotate(() => Date.now() >= end - LAST_MS);
    // Told by the await below; handled here as well, so that it is no unhandled one meanwhile.
    rotating.catch(() => undefined);
    for (let round = 0; Date.now() < end; round += 1) {
      const next = Date.now() + EVERY_MS;
      // The first one writes; it has its turn at reduced counts, too.
      const index = round === 0 ? 0 : randomInt(REPLICAS);
      const replica = replicas[index];
      if (replica === undefined) throw new Error("no replica");
      await replica.disturb("kill");
      kills[index] = (kills[index] ?? 0) + 1;
      backMs.push(await scene.everybodyThere());
      await pause(randomInt(AWAY_MS));
      await replica.heal("kill");
      while (Date.now() < next) {
        await pause(Math.min(1_000, Math.max(1, next - Date.now())));
        tallies.push(await scene.tally());
      }
    }
    const wanted = await rotating;
    tallies.push(await scene.tally());
    const grantMs = await scene.turnGrant();
    tallies.push(await scene.tally(true));
    const failed = tallies.flatMap(tally => [...tally.failed, ...tally.passed]);
    const twice = [...deeds.made].filter(([, times]) => times > 1).map(([name]) => name);
    const isOnce = deeds.moves.join() === wanted.join() && twice.length + deeds.authorities.size === 1;
    verdict(
      `R-13: ${kills.reduce((sum, n) => sum + n, 0)} kills in ${FOR_MS / 1_000} s, ${kills.join(" + ")} (the first one writes)`,
      failed.length === 0 && isOnce,
      {
        count: tallies.reduce((sum, { all }) => sum + all, 0),
        failed: failed.length,
        p50Ms: quantile(backMs, 0.5),
        p99Ms: quantile(backMs, 0.99),
        longestMs: Math.max(...backMs),
        bound: `0 requests; ${wanted.length} moves of a rotation asked for, each once and in order, were ${deeds.moves.length}; ${deeds.made.size} Secrets made, ${twice.length} twice; times: all proxies at those that are left; a change afterwards ${grantMs} ms`,
      },
    );
    expect(failed).to.deep.equal([]);
    expect(deeds.moves).to.deep.equal(wanted);
    expect([...deeds.authorities]).to.have.length(1);
    expect(twice).to.deep.equal([]);
    expect(kills[0], "kills of the one that writes").to.be.above(0);
    const told = replicas.slice(1).map(({ logFile }) => readFileSync(logFile, "utf8"));
    expect(told.filter(text => text.includes("the workloads' root:"))).to.deep.equal([]);
  });
});
