import { expect } from "chai";
import { factsOf, type Replica } from "../chaos/control-plane";
import { Deeds, movesOf } from "../chaos/deeds";
import { Scene, type Tally } from "../chaos/scene";
import { buildOther, type OtherBuild } from "../support/other-build";
import { quantile, verdict } from "../support/verdict";

const FULL = process.env["OSM_FULL"] === "1";
/** The other version: three commits before, or what OSM_OTHER_BUILD names. */
const OTHER = process.env["OSM_OTHER_BUILD"] ?? "HEAD~3";
/** How long each mix lasts, milliseconds; there are two. */
const FOR_MS = 150_000;
/** Every proxy goes to whichever version is next, so often, milliseconds. */
const BREAK_EVERY_MS = 10_000;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

// Needs a commit that a shallow clone has not, and five minutes: `npm run test:long`.
if (FULL)
  describe(`two replicas of which one is of ${OTHER} (R-15)`, function () {
    this.timeout(1_200_000);
    let other: OtherBuild;
    let scene: Scene;
    let deeds: Deeds;
    let turns = 0;
    const wanted: string[] = [];

    before(async () => {
      other = buildOther(OTHER, "hack/control-plane/main.ts");
      scene = await Scene.start({ replicas: 2 });
      deeds = await Deeds.watch(scene.stage.api.kube);
    });
    after(async () => {
      (deeds as Deeds | undefined)?.stop();
      await (scene as Scene | undefined)?.stop();
      (other as OtherBuild | undefined)?.remove();
    });

    /** As a rolling update does it: one ends in good order, and one of the other version takes its place. */
    const replace = async (replica: Replica, program: string): Promise<void> => {
      await replica.disturb("term");
      replica.runs(program);
      await replica.heal("term");
    };
    const rotate = async (): Promise<void> => {
      await scene.stage.objects.turnRoot();
      wanted.push(...movesOf(turns));
      turns += 1;
      await deeds.until(wanted.length);
    };
    /** Changes, reconnections and a rotation, until the time is out. */
    const mixed = async (): Promise<{
      readonly tallies: readonly Tally[];
      readonly tookMs: readonly number[];
    }> => {
      const tallies: Tally[] = [];
      const tookMs: number[] = [];
      const end = Date.now() + FOR_MS;
      const rotating = rotate();
      rotating.catch(() => undefined);
      for (let next = Date.now() + BREAK_EVERY_MS; Date.now() < end; ) {
        tookMs.push(await scene.turnGrant(), await scene.turnGrant());
        await scene.stage.objects.turnBadPatterns();
        if (Date.now() >= next) {
          next += BREAK_EVERY_MS;
          for (const link of scene.stage.links("all")) link.disturb("reset");
        }
        await pause(1_000);
        tallies.push(await scene.tally(true));
      }
      await rotating;
      return { tallies, tookMs };
    };

    it("fails no request for five minutes, whichever of them writes, and rotates the root", async () => {
      const [writer, replica] = scene.stage.controlPlane.replicas;
      if (writer === undefined || replica === undefined) throw new Error("no replicas");
      const { program } = writer;
      await scene.tally();
      await replace(replica, other.program);
      const first = await mixed();
      await replace(replica, program);
      await replace(writer, other.program);
      const second = await mixed();
      await replace(writer, program);
      const backMs = await scene.everybodyThere();
      const last = await scene.tally(true);
      const tallies = [...first.tallies, ...second.tallies, last];
      const tookMs = [...first.tookMs, ...second.tookMs];
      const failed = tallies.flatMap(tally => [...tally.failed, ...tally.passed]);
      const facts = await Promise.all([writer, replica].map(factsOf));
      const refusals = facts.flatMap(each => each.refusals);
      const isOnce = deeds.moves.join() === wanted.join();
      verdict(
        `R-15: ${(2 * FOR_MS) / 1_000} s with replicas of this tree and of ${other.commit.slice(0, 7)}`,
        failed.length + refusals.length === 0 && isOnce,
        {
          count: tallies.reduce((sum, { all }) => sum + all, 0),
          failed: failed.length,
          p50Ms: quantile(tookMs, 0.5),
          p99Ms: quantile(tookMs, 0.99),
          longestMs: Math.max(...tookMs),
          bound: `0 requests, 0 resources refused (were ${refusals.length}); times: ${tookMs.length} changes of a grant until requests show them; ${deeds.moves.length} moves of ${turns} rotations of ${wanted.length} asked for; all back ${backMs} ms after the end of it`,
        },
      );
      expect(failed).to.deep.equal([]);
      expect(refusals).to.deep.equal([]);
      expect(deeds.moves).to.deep.equal(wanted);
    });
  });
