import { expect } from "chai";
import { OWN_STATUS_ANNOTATION } from "../../src/runtime/control-plane/own-root-keeper";
import { OwnRootRig } from "../support/own-root-rig";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

/** Envoy and the API server may be slow on a busy machine, milliseconds. */
const LONG_MS = 120_000;

describe("rotation of the control plane's own root, with real Envoys at two replicas", function () {
  this.timeout(4 * LONG_MS);
  let rig: OwnRootRig;
  let kills = 0;

  before(async () => {
    rig = await OwnRootRig.start(2);
    await rig.proxy("one", 0);
    await rig.proxy("two", 1);
    await waitFor("both to be connected", () => rig.connected().join() === "one,two", LONG_MS);
  });

  after(() => (rig as OwnRootRig | undefined)?.stop());

  const moves = (): readonly string[] => rig.steps.flatMap(({ made }) => made?.kind ?? []);
  const issuing = (): readonly string[] => rig.replicas.map(({ own }) => own.fingerprint);
  const settled = (names: string): boolean => rig.connected().join() === names;

  it("is the built-in CA, and nothing is written, until somebody asks", async () => {
    await rig.startWriter();
    await waitFor("the replicas' word", () => rig.shown()["shop/one"] === rig.builtIn.fingerprint, LONG_MS);
    const { data } = await rig.kube.get<{ data: object }>(rig.secretPath);
    expect(Object.keys(data).sort()).to.deep.equal(["ca.crt", "private.key"]);
  });

  it("goes to a new root with the writer killed after every move; all connect by that root alone, and stay", async () => {
    rig.onStep = ({ made }) => {
      if (made === undefined) return;
      kills += 1;
      rig.killWriter();
      void rig.startWriter();
    };
    await rig.ask("first");
    await waitFor("three moves", () => moves().length >= 3, LONG_MS);
    expect(moves()).to.deep.equal(["trust", "issue", "drop"]);
    expect(kills).to.equal(3);
    const drop = rig.steps.find(({ made }) => made?.kind === "drop");
    expect([drop?.state.made.at(-1)?.without, drop?.made?.root.fingerprint]).to.deep.equal([
      [],
      rig.builtIn.fingerprint,
    ]);
    const root = drop?.state.issuing;
    await waitFor(
      "replicas with that root alone",
      () => rig.replicas.every(({ own }) => own.trustVersion === root),
      LONG_MS,
    );
    await waitFor(
      "files with that root alone",
      () => rig.proxies.every(({ file }) => file === rig.replicas[0]?.own.anchorsPem),
      LONG_MS,
    );
    await waitFor("both to be connected", () => settled("one,two"), LONG_MS);
    expect(rig.shown()).to.deep.equal({ "shop/one": root, "shop/two": root });
    expect(issuing()).to.deep.equal([root, root]);
    expect(rig.replicas[0]?.own.anchorsPem).to.not.contain(rig.builtIn.anchorsPem.trim());
    for (const { envoy } of rig.proxies)
      expect(await envoy.stat("control_plane.connected_state")).to.equal(1);
    verdict("the control plane's own root: three moves, the writer killed after each", true, {
      count: kills,
      bound: "resumes",
    });
  });

  it("waits for a proxy whose file is old, keeps it connected by the cross-signed chain, and goes on once it follows", async () => {
    rig.onStep = () => undefined;
    const old = rig.replicas[0]?.own.anchorsPem ?? "";
    const late = await rig.proxy("late", 0, false);
    late.envoy.setRoot(old);
    late.file = old;
    await waitFor("all three to be connected", () => settled("late,one,two"), LONG_MS);
    await rig.ask("second");
    await waitFor("trust and issue", () => moves().length === 5, LONG_MS);
    // It is shown the new root alone, does not follow, and comes back by the chain that its old root verifies.
    await waitFor(
      "the others by the new root alone, the late one by both",
      () => {
        const [root] = issuing();
        const { "shop/one": one, "shop/two": two, "shop/late": shown } = rig.shown();
        return one === root && two === root && shown === null && settled("late,one,two");
      },
      LONG_MS,
    );
    const said = async (): Promise<string> => {
      const { metadata } = await rig.kube.get<{ metadata: { annotations?: Record<string, string> } }>(
        rig.secretPath,
      );
      return metadata.annotations?.[OWN_STATUS_ANNOTATION] ?? "";
    };
    // A look may have met the others on their way.
    const sentence = "2 of 3 proxies have connected by the new root alone; waiting for shop/late";
    await waitFor("its name alone", async () => (await said()) === sentence, LONG_MS);
    expect(moves().length).to.equal(5);
    late.follows = true;
    await waitFor("the end", () => moves().length === 6, 2 * LONG_MS);
    expect(moves().slice(3)).to.deep.equal(["trust", "issue", "drop"]);
    await waitFor("all three to be connected", () => settled("late,one,two"), LONG_MS);
    await waitFor("rest", async () => (await said()) === "Settled.", LONG_MS);
    const secret = await rig.kube.get<{ data: Record<string, string> }>(rig.secretPath);
    const record = Buffer.from(secret.data["control-plane.json"] ?? "", "base64").toString("utf8");
    expect(Object.keys((JSON.parse(record) as { keys: object }).keys), "keys that are kept").to.deep.equal([
      issuing()[0],
    ]);
  });
});
