import { expect } from "chai";
import { validate } from "../support/envoy";
import { compileScene, sceneNames, Scene, stepsOf } from "../support/scene";
import { callsOf, evaluated, resolveCall } from "../support/scene-calls";
import { golden, goldenMode, strayFiles } from "../support/scene-golden";
import { makeStep, printEnvoy, printPolicy, printStatus } from "../support/scene-print";
import { afterStep, keyOf } from "../support/scene-step";

/** Asks the real Envoy about each group that has one of the given pods. */
async function expectAccepted(scene: Scene, pods: readonly string[]): Promise<void> {
  for (const group of scene.groups().filter(({ pods: members }) => members.some(pod => pods.includes(pod)))) {
    const verdict = await validate(group.resources);
    expect(verdict.ok, `${group.pods[0] ?? ""}: ${verdict.output}`).to.equal(true);
  }
}

/** The evaluator's answers to the calls of a scene as it is now. */
function expectAnswers(scene: Scene, calls: ReturnType<typeof callsOf>): void {
  for (const given of calls.filter(({ evaluator }) => evaluator !== false)) {
    const call = resolveCall(scene, given);
    const found = evaluated(scene, call);
    const why = `${call.title} (evaluator: ${found.steps.join(", ")})`;
    expect(found.answer, why).to.equal(call.expect);
    if (call.at !== undefined) expect(call.at, why).to.include.members([...found.at]);
    if (call.by !== undefined) expect(found.by, why).to.deep.equal([...call.by].sort());
  }
}

/** Every resource of every proxy, as text. */
function contents(scene: Scene): Readonly<Record<string, readonly string[]>> {
  const of = (pod: string): readonly string[] =>
    scene.resources(pod).map(({ typeUrl, name, version }) => `${typeUrl} ${name} ${version}`);
  return Object.fromEntries(scene.meshed.map(pod => [pod, [...of(pod)].sort()]));
}

describe("scenes", () => {
  for (const name of sceneNames()) {
    describe(name, () => {
      it("compiles without an error of ours", () => {
        const scene = compileScene(name);
        expect(scene.world.errors).to.deep.equal([]);
        expect(scene.meshed, "pods with a sidecar").to.not.be.empty;
      });

      it("has the policy of policy.yaml", () => {
        const actual = printPolicy(compileScene(name));
        expect(actual).to.equal(golden(name, "policy.yaml", actual));
      });

      it("has the resources of envoy.yaml", () => {
        const actual = printEnvoy(compileScene(name));
        expect(actual).to.equal(golden(name, "envoy.yaml", actual));
      });

      it("tells owners what status.yaml says", () => {
        const actual = printStatus(compileScene(name));
        expect(actual).to.equal(golden(name, "status.yaml", actual));
      });

      it("is accepted by the real Envoy", async () => {
        const scene = compileScene(name);
        await expectAccepted(scene, scene.meshed);
      }).timeout(120_000);

      it("answers its calls as expected, by the evaluator", () => {
        expectAnswers(compileScene(name), callsOf(name));
      });

      if (stepsOf(name).length > 0) {
        it("sends to each proxy exactly what its steps change", async () => {
          const scene = compileScene(name);
          for (const step of stepsOf(name)) {
            const { text, sentTo } = makeStep(scene, step);
            expect(text, step.name).to.equal(golden(name, `steps/${step.name}.sent.yaml`, text));
            expectAnswers(scene, callsOf(name, step.name));
            await expectAccepted(scene, sentTo);
            expect(contents(scene), `${step.name}: as from scratch`).to.deep.equal(
              contents(new Scene(scene.objects)),
            );
          }
          expect(scene.world.errors).to.deep.equal([]);
        }).timeout(120_000);
      }

      it("has no stray files", () => {
        expect(strayFiles(name)).to.deep.equal([]);
      });
    });
  }

  it("have all kinds of files somewhere", () => {
    const names = sceneNames();
    expect(names.some(name => callsOf(name).length > 0)).to.equal(true);
    expect(names.some(name => stepsOf(name).some(step => callsOf(name, step.name).length > 0))).to.equal(
      true,
    );
    expect(names.some(name => printStatus(compileScene(name)).includes("Accepted"))).to.equal(true);
  });

  it("have steps that patch, add and delete, and that must have an effect", () => {
    const old = { kind: "Service", metadata: { name: "a", namespace: "n" }, spec: { x: 1, y: { z: 2 } } };
    const present = new Map([[keyOf(old), old]]);
    const { kind, metadata } = old;
    const step = (...documents: Parameters<typeof afterStep>[1]["documents"]): ReturnType<typeof afterStep> =>
      afterStep(present, { name: "01-test", documents });
    expect(step({ kind, metadata, spec: { x: null, y: { w: [3] } } }).upserts).to.deep.equal([
      { kind, metadata, spec: { y: { z: 2, w: [3] } } },
    ]);
    expect(step({ delete: "Service/n/a" })).to.deep.equal({ upserts: [], removals: [old] });
    expect(step({ kind, metadata: { name: "b" } }).upserts).to.deep.equal([
      { kind, metadata: { name: "b" } },
    ]);
    expect(() => step({ kind, metadata, spec: { x: 1 } })).to.throw("is as before");
    expect(() => step({ delete: "Service/n/b" })).to.throw("there is no");
  });

  it("are never rewritten in CI", () => {
    expect(() => goldenMode({ UPDATE_GOLDEN: "1", CI: "true" })).to.throw("never rewritten");
    expect(goldenMode({ UPDATE_GOLDEN: "1" })).to.equal("rewrite");
    expect(goldenMode({})).to.equal("compare");
  });
});
