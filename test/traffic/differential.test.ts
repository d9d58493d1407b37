import { expect } from "chai";
import fc from "fast-check";
import type { MeshWorld } from "../../src/cli/offline/world";
import type { TestObject } from "../support/objects";
import { aCall, aMesh, CAST } from "../support/random-mesh";
import { Scene } from "../support/scene";
import type { ResolvedCall } from "../support/scene-calls";
import { answerTo, decided, isHttp } from "../support/scene-calls";
import { SceneNetwork } from "../support/scene-network";
import { explained, offlineWorld } from "../support/offline-scene";
import { podAddresses, podName } from "../support/scene";
import type { AppAnswer } from "../support/scene-operations";
import { SEED } from "../support/seed";
import { verdict } from "../support/verdict";

/** Random meshes: few, all of them with OSM_FULL=1, or as many as OSM_MESHES says. */
const MESHES = Number(process.env["OSM_MESHES"] ?? (process.env["OSM_FULL"] === "1" ? "1000" : "12"));
/** Calls of each. */
const CALLS = 20;
/** How long a right answer is waited for: an Envoy's workers take a configuration a moment after it was acknowledged. */
const PATIENCE_MS = 5_000;

/** An end of a call: what is seen, and at which pods. */
interface End {
  readonly seen: AppAnswer["outcome"];
  /** undefined: it does not matter, or cannot be told. */
  readonly pods: readonly string[] | undefined;
}

const reaches = (seen: AppAnswer["outcome"]): boolean => seen === 200 || seen === "answered";

/** Every end that the evaluator holds possible. */
function endsOf(scene: Scene, call: ResolvedCall): readonly End[] {
  const decision = decided(scene, call);
  const ends = decision.possible.length > 0 ? decision.possible : [decision];
  return ends.map(end => {
    const cluster = "cluster" in end ? end.cluster : "";
    const pod = scene.pods.find(candidate =>
      podAddresses(candidate).includes(end.destination?.address ?? ""),
    );
    const said = answerTo(end, isHttp(call));
    // Behind the root stand both servers; of pods with the same end the first is named.
    const several = cluster === "outbound|shop/root|80" || cluster === "outbound|shop/root|81";
    const named = pod === undefined || several ? undefined : [podName(pod)];
    const seen = said === "passthrough" ? (isHttp(call) ? 200 : "answered") : said;
    return { seen, pods: reaches(seen) ? named : undefined };
  });
}

/** Every end that `osm explain` speaks of, given the objects as a file. */
function endsOfCommand(world: MeshWorld, call: ResolvedCall): readonly End[] {
  return explained(world, call).cases.map(one => {
    const said = answerTo(one, isHttp(call));
    const seen = said === "passthrough" ? (isHttp(call) ? 200 : "answered") : said;
    const several = one.steps.some(({ at, text }) => at === "backend" && text.includes(", one of "));
    return { seen, pods: reaches(seen) && one.pod !== undefined && !several ? [one.pod] : undefined };
  });
}

describe("the evaluator, osm explain and real Envoys (P-05)", () => {
  let network: SceneNetwork;

  before(async () => {
    network = await SceneNetwork.start(CAST);
  });

  after(() => network.close());

  /** What is wrong with an answer; undefined: the evaluator holds it possible. */
  function judge(ends: readonly End[], answer: AppAnswer): string | undefined {
    const fits = ends.some(
      ({ seen, pods }) => seen === answer.outcome && (pods === undefined || pods.includes(answer.pod)),
    );
    return fits ? undefined : `seen ${JSON.stringify(answer)}, possible ${JSON.stringify(ends)}`;
  }

  async function compare(
    scene: Scene,
    world: MeshWorld,
    call: ResolvedCall,
  ): Promise<{ readonly evaluator?: string | undefined; readonly command?: string | undefined }> {
    const [ends, said] = [endsOf(scene, call), endsOfCommand(world, call)];
    const until = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = await network.call(call);
      const evaluator = judge(ends, answer);
      const command = judge(said, answer) ?? unlike(call, said, ends);
      if ((evaluator === undefined && command === undefined) || Date.now() > until)
        return { evaluator, command };
    }
  }

  /** In what the command says something else than the evaluator, which follows one pod of several where a node chooses. */
  function unlike(call: ResolvedCall, said: readonly End[], ends: readonly End[]): string | undefined {
    const wordsOf = (all: readonly End[]): string[] =>
      [...new Set(all.map(({ seen }) => String(seen)))].sort();
    const [command, evaluator] = [wordsOf(said), wordsOf(ends)];
    const isPlain = podName(call.from) === "web/plain";
    const alike = isPlain
      ? evaluator.every(word => command.includes(word))
      : command.join() === evaluator.join();
    return alike ? undefined : `the command says ${command.join()}, the evaluator ${evaluator.join()}`;
  }

  it(`agree about ${MESHES} random meshes, ${CALLS} calls each`, async () => {
    const meshes = fc.sample(aMesh, { numRuns: MESHES, seed: SEED });
    const calls = fc.sample(aCall, { numRuns: MESHES * CALLS, seed: SEED });
    const wrong: string[] = [];
    const misled: string[] = [];
    const outcomes = new Map<string, number>();
    for (const [index, objects] of meshes.entries()) {
      const scene = new Scene(objects);
      await (index === 0 ? network.begin(scene, calls) : network.turn(scene));
      const world = offlineWorld(objects);
      for (const call of calls.slice(index * CALLS, (index + 1) * CALLS)) {
        const { outcome } = decided(scene, call);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        const { evaluator, command } = await compare(scene, world, call);
        const title = `mesh ${index}, ${call.title} ${JSON.stringify(call.headers)}`;
        if (evaluator !== undefined) wrong.push(`${title}: ${evaluator}\n${policyOf(objects)}`);
        if (command !== undefined) misled.push(`${title}: osm explain: ${command}\n${policyOf(objects)}`);
      }
    }
    const bound = `0 of ${MESHES * CALLS} unequal, OSM_SEED=${SEED}`;
    const compared = [...outcomes.values()].reduce((sum, count) => sum + count, 0);
    verdict("P-05: evaluator and Envoys decide alike", wrong.length === 0 && network.nacks.length === 0, {
      count: compared,
      failed: wrong.length,
      bound,
    });
    verdict("osm explain, offline, and Envoys decide alike", misled.length === 0, {
      count: compared,
      failed: misled.length,
      bound,
    });
    expect(wrong.join("\n\n"), bound).to.equal("");
    expect(misled.join("\n\n"), bound).to.equal("");
    expect(network.nacks).to.deep.equal([]);
    expect(outcomes.get("delivered"), "calls that are let through").to.be.greaterThan(MESHES);
    expect(outcomes.get("forbidden"), "calls that are refused").to.be.greaterThan(MESHES);
  }).timeout(MESHES * 30_000 + 120_000);
});

/** The part of a mesh that varies, as one line per object. */
function policyOf(objects: readonly TestObject[]): string {
  const varying = objects.filter(({ kind }) => !["Pod", "EndpointSlice"].includes(kind));
  return varying
    .map(({ kind, metadata, spec }) => `  ${kind} ${JSON.stringify(metadata)} ${JSON.stringify(spec)}`)
    .join("\n");
}
