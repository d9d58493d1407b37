import { expect } from "chai";
import { spiffeId } from "../../src/model/identity";
import { compileScene, type Scene, sceneNames, stepsOf } from "../support/scene";
import { type Answer, callsOf, type ResolvedCall, resolveCall, titleOf } from "../support/scene-calls";
import { type Cast, SceneNetwork } from "../support/scene-network";
import type { AppAnswer } from "../support/scene-operations";
import { TRUST_DOMAIN } from "../support/mesh";
import { waitFor } from "../support/wait";
import { proxyOf } from "../support/world";

/** A scene's calls before its first step, or after a step. */
interface Act {
  readonly title: string;
  readonly calls: ReturnType<typeof callsOf>;
  /** Index of the step; undefined: none. */
  readonly step: number | undefined;
}

function actsOf(name: string): readonly Act[] {
  return [
    { title: "as given", calls: callsOf(name), step: undefined },
    ...stepsOf(name).map((step, index) => ({
      title: `after ${step.name}`,
      calls: callsOf(name, step.name),
      step: index,
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

/** What the caller saw, in the words of `calls.yaml`. A pod without a sidecar can only be reached past the mesh. */
function seenBy(scene: Scene, { outcome, pod }: AppAnswer): Answer | "timeout" {
  const answered = outcome === "answered" || outcome === 200;
  return answered && pod !== "" && !scene.meshed.includes(pod) ? "passthrough" : outcome;
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

  function judge(scene: Scene, call: ResolvedCall, answer: AppAnswer): string | undefined {
    const seen = seenBy(scene, answer);
    const said = `${call.title}: ${JSON.stringify({ seen, ...answer })}`;
    if (seen !== call.expect) return said;
    if (call.at !== undefined && !call.at.includes(answer.pod)) return `${said}, not ${call.at.join(" or ")}`;
    const peer = `URI=${spiffeId(TRUST_DOMAIN, proxyOf(call.from).identity)}`;
    if (answer.peer !== "" && !answer.peer.endsWith(peer)) return `${said}, not from ${peer}`;
    return undefined;
  }

  for (const name of names) {
    describe(name, () => {
      let scene: Scene;

      for (const { title, calls, step } of actsOf(name)) {
        describe(title, () => {
          const resolved = (): readonly ResolvedCall[] => calls.map(call => resolveCall(scene, call));

          before(async () => {
            if (step === undefined) {
              scene = compileScene(name);
              await network.begin(scene, resolved());
              return;
            }
            const changes = stepsOf(name)[step];
            if (changes !== undefined) scene.apply(changes);
            await network.go(scene, resolved());
          });

          for (const [index, call] of calls.entries()) {
            it(titleOf(call), async () => {
              const what = resolved()[index];
              if (what === undefined) throw new Error("no such call");
              if (step === undefined) {
                const wrong = await check(scene, what);
                expect(wrong, wrong).to.equal(undefined);
                return;
              }
              // An Envoy's workers take a change a moment after it has been acknowledged.
              let last: string | undefined;
              await waitFor(what.title, async () => {
                last = await check(scene, what);
                return last === undefined;
              }).catch((error: unknown) => {
                throw new Error(last ?? String(error));
              });
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
