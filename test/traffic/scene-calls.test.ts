import { expect } from "chai";
import { spiffeId } from "../../src/model/identity";
import { compileScene, type Scene, sceneNames, stepsOf } from "../support/scene";
import {
  type Answer,
  callsOf,
  passesBy,
  type ResolvedCall,
  resolveCall,
  titleOf,
} from "../support/scene-calls";
import { type Cast, SceneNetwork } from "../support/scene-network";
import type { AppAnswer } from "../support/scene-operations";
import { TRUST_DOMAIN } from "../support/mesh";
import { waitFor } from "../support/wait";
import { proxyOf } from "../support/world";

/** A scene's calls before its first step, or after a step. */
interface Act {
  readonly title: string;
  readonly calls: ReturnType<typeof callsOf>;
  /** How many steps have been made. */
  readonly steps: number;
}

function actsOf(name: string): readonly Act[] {
  return [
    { title: "as given", calls: callsOf(name), steps: 0 },
    ...stepsOf(name).map((step, index) => ({
      title: `after ${step.name}`,
      calls: callsOf(name, step.name),
      steps: index + 1,
    })),
  ];
}

/** How many pods are there at once, at most, in any of the scenes. Pods of one scene are not played twice. */
function castFor(names: readonly string[]): Cast {
  const casts = names.map(name => {
    const scene = compileScene(name);
    const counts: Cast[] = [];
    const count = (): void => {
      counts.push({ meshed: scene.meshed.length, plain: scene.pods.length - scene.meshed.length });
    };
    count();
    for (const step of stepsOf(name)) {
      scene.apply(step);
      count();
    }
    return counts;
  });
  const most = (word: keyof Cast): number => Math.max(0, ...casts.flat().map(cast => cast[word]));
  return { meshed: most("meshed"), plain: most("plain") };
}

/**
 * What the caller saw, in the words of `calls.yaml`. A pod without a sidecar, and a port at which a sidecar is passed by,
 * can only be reached past the mesh.
 */
function seenBy(scene: Scene, call: ResolvedCall, { outcome, pod }: AppAnswer): Answer | "timeout" {
  const answered = (outcome === "answered" || outcome === 200) && pod !== "";
  return answered && (!scene.meshed.includes(pod) || passesBy(scene, call, pod)) ? "passthrough" : outcome;
}

describe("calls of scenes through real Envoys", () => {
  const names = sceneNames().filter(name => actsOf(name).some(({ calls }) => calls.length > 0));
  let network: SceneNetwork;

  before(async () => {
    network = await SceneNetwork.start(castFor(names));
  });

  after(() => network.close());

  /** What is wrong with the answers to a call; undefined: nothing. */
  async function check(scene: Scene, call: ResolvedCall): Promise<string | undefined> {
    const heard = new Set<string>();
    for (let made = 0; made < call.times; made += 1) {
      const answer = await network.call(call);
      const wrong = judge(scene, call, answer);
      if (wrong !== undefined) return wrong;
      heard.add(answer.pod);
    }
    const silent = call.times === 1 ? [] : (call.at ?? []).filter(pod => !heard.has(pod));
    return silent.length === 0 ? undefined : `${call.title}: no answer of ${silent.join(", ")}`;
  }

  /** After a change the right answer is waited for: an Envoy's workers take it a moment after it was acknowledged. */
  async function ask(scene: Scene, call: ResolvedCall, changed: boolean): Promise<string | undefined> {
    let wrong = await check(scene, call);
    if (wrong === undefined || !changed) return wrong;
    await waitFor("the right answer", async () => {
      wrong = await check(scene, call);
      return wrong === undefined;
    }).catch(() => undefined);
    return wrong;
  }

  function judge(scene: Scene, call: ResolvedCall, answer: AppAnswer): string | undefined {
    const seen = seenBy(scene, call, answer);
    const said = `${call.title}: ${JSON.stringify({ seen, ...answer })}`;
    if (seen !== call.expect) return said;
    if (seen === "passthrough" && answer.peer !== "") return `${said}, which a sidecar has seen`;
    if (call.at !== undefined && !call.at.includes(answer.pod)) return `${said}, not ${call.at.join(" or ")}`;
    const peer = `URI=${spiffeId(TRUST_DOMAIN, proxyOf(call.from).identity)}`;
    if (answer.peer !== "" && !answer.peer.endsWith(peer)) return `${said}, not from ${peer}`;
    return undefined;
  }

  for (const name of names) {
    describe(name, () => {
      let scene: Scene | undefined;
      let made = 0;

      /** Brings the scene to after so many steps, whatever was run before; acts without calls have no part of their own. */
      async function reach(steps: number, calls: Act["calls"]): Promise<void> {
        const fresh = scene === undefined;
        const now = (scene ??= compileScene(name));
        for (const step of stepsOf(name).slice(made, steps)) now.apply(step);
        made = steps;
        const resolved = calls.map(call => resolveCall(now, call));
        await (fresh ? network.begin(now, resolved) : network.go(now, resolved));
      }

      for (const { title, calls, steps } of actsOf(name)) {
        describe(title, () => {
          before(() => reach(steps, calls));

          for (const call of calls) {
            it(titleOf(call), async () => {
              const now = scene ?? compileScene(name);
              const wrong = await ask(now, resolveCall(now, call), steps > 0);
              expect(wrong, wrong).to.equal(undefined);
            });
          }
        });
      }
    });
  }

  // A block of its own, so that it runs last.
  describe("all of them", () => {
    it("were configured without any rejection", () => {
      expect(network.nacks).to.deep.equal([]);
    });
  });
});
