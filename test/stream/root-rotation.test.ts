import { expect } from "chai";
import type { RootView } from "../../src/runtime/control-plane/root-keeper";
import { RotationPair } from "../support/rotation-pair";
import { RotationRig } from "../support/rotation-rig";
import { waitFor } from "../support/wait";

const HOUR_MS = 3_600_000;
/** Far beyond what a rotation takes: seconds. */
const LONG_MS = 120_000;
describe("rotation of the workloads' root between two real Envoys on two replicas", function () {
  this.timeout(3 * LONG_MS);
  let rig: RotationRig;
  let pair: RotationPair | undefined;

  before(async () => {
    rig = await RotationRig.start(2);
    pair = await RotationPair.start(rig);
  });

  after(async () => {
    await pair?.stop();
    await (rig as RotationRig | undefined)?.stop();
  });

  afterEach(() => {
    expect(pair?.load.failures).to.deep.equal([]);
  });

  /** The writer's view settles first: the replicas' watch and the Envoys' acknowledgements come after it. */
  const bothHold = async (root: string | undefined): Promise<void> => {
    const wanted = [
      [root, root],
      [root, root],
    ];
    await waitFor(
      "both to hold it",
      () => JSON.stringify(pair?.held()) === JSON.stringify(wanted),
      LONG_MS,
    ).catch(() => undefined);
    expect(pair?.held()).to.deep.equal(wanted);
  };
  const movesIn = (views: readonly RootView[]): readonly string[] =>
    views.flatMap(({ step: { made } }) =>
      made === undefined ? [] : [`${made.kind} ${made.root.owner ?? "built-in"}`],
    );
  const settled = (view: RootView | undefined): boolean =>
    view !== undefined && view.step.next === undefined && view.step.made === undefined;
  const lastSettled = async (objects: (view: RootView) => boolean): Promise<void> => {
    await waitFor(
      "the end of the rotation",
      () => {
        const last = rig.views.at(-1);
        return last !== undefined && last.enabled && objects(last) && settled(last);
      },
      LONG_MS,
    );
  };
  const roleIs = (name: string, role: string) => (view: RootView) =>
    view.objects.some(object => object.name === name && object.role === role);

  it("without a MeshRootCertificate writes nothing and trusts the built-in root alone", async () => {
    rig.startWriter();
    await waitFor("a first look", () => settled(rig.views.at(-1)), LONG_MS);
    const { fingerprint } = rig.authority;
    await bothHold(fingerprint);
    const secret = await rig.kube.get<{ data: object }>(
      "/api/v1/namespaces/osm-system/secrets/osm-ca-bundle",
    );
    expect(Object.keys(secret.data).sort()).to.deep.equal(["ca.crt", "private.key"]);
  });

  it("does nothing while the MeshConfig's enableMeshRootCertificate is off", async () => {
    rig.enabled = false;
    await rig.putCa("own");
    await rig.createRoot("own", { role: "active" });
    const view = await waitFor(
      "the root to be seen",
      () => rig.views.findLast(roleIs("own", "active")),
      LONG_MS,
    );
    expect(view).to.deep.include({ enabled: false });
    expect(movesIn(rig.views)).to.deep.equal([]);
  });

  it("to a root of the owner's, with the writer killed after every step: no handshake fails", async () => {
    const before = pair?.load.calls ?? 0;
    const first = rig.views.length;
    const proofs: string[] = [];
    rig.onView = ({ step }) => {
      if (step.proof?.complete === true)
        proofs.push(`${step.next?.kind ?? ""} ${step.proof.ready} of ${step.proof.proxies}`);
      const isNew = step.made !== undefined || proofs.length === 1;
      if (!isNew) return;
      if (proofs.length === 1) proofs.push("killed while a proof stood");
      rig.killWriter();
      rig.startWriter();
    };
    rig.enabled = true;
    await lastSettled(roleIs("own", "active"));
    rig.onView = () => undefined;
    expect(movesIn(rig.views.slice(first))).to.deep.equal(["trust own", "issue own", "drop built-in"]);
    expect(proofs).to.include("issue 2 of 2").and.to.include("drop 2 of 2");
    const own = rig.views.at(-1)?.step.state.issuing;
    expect(own).to.not.equal(rig.authority.fingerprint);
    await bothHold(own);
    expect((pair?.load.calls ?? 0) - before, "handshakes meanwhile").to.be.greaterThan(50);
  });

  it("names a proxy that never acknowledges, and goes on without it when told to; then back, step by step", async () => {
    const first = rig.views.length;
    rig.expect("stuck");
    await rig.patchRoot("own", { spec: { role: "passive" } });
    const text = await waitFor(
      "the proxy's name",
      () => {
        const said = rig.views.at(-1)?.step.text ?? "";
        return said.includes("stuck") && said.startsWith("2 of 3") ? said : undefined;
      },
      LONG_MS,
    );
    expect(text).to.equal("2 of 3 proxies trust the new root; waiting for shop/stuck (not connected)");
    expect(movesIn(rig.views.slice(first))).to.deep.equal(["trust built-in"]);
    await rig.patchRoot("own", {
      metadata: { annotations: { "openservicemesh.io/rotation-without": "shop/other, shop/stuck" } },
    });
    await lastSettled(roleIs("own", "passive"));
    expect(rig.views.at(-1)?.step.state.made.at(-1)).to.deep.include({
      kind: "issue",
      without: ["shop/stuck"],
    });
    await rig.patchRoot("own", { spec: { role: "inactive" } });
    await lastSettled(roleIs("own", "inactive"));
    expect(movesIn(rig.views.slice(first))).to.deep.equal(["trust built-in", "issue built-in", "drop own"]);
    const { fingerprint } = rig.authority;
    await bothHold(fingerprint);
  });

  it("refuses what a root cannot become, and takes OSM 1.2's intent", async () => {
    const refused = async (change: Promise<void>): Promise<string> =>
      change.then(
        () => "accepted",
        (error: unknown) => String(error),
      );
    expect(await refused(rig.patchRoot("own", { spec: { role: "active" } }))).to.contain(
      "an inactive root cannot become active at once",
    );
    expect(await refused(rig.patchRoot("own", { spec: { trustDomain: "other" } }))).to.contain(
      "trustDomain is immutable",
    );
    for (const every of ["59m", "50000h", "soon"])
      expect(await refused(rig.patchRoot("own", { spec: { rotation: { every } } }))).to.contain("must be");
    expect(await refused(rig.patchRoot("own", { spec: { intent: "passive" } }))).to.contain(
      "exactly one of role and intent",
    );
    await rig.createRoot("old", { intent: "passive", trustDomain: "another.domain" });
    expect(await refused(rig.patchRoot("old", { spec: { intent: null, role: "passive" } }))).to.equal(
      "accepted",
    );
  });

  it("begins the way back when the feature is switched on again after its root was deleted", async () => {
    rig.forget("stuck");
    await rig.putCa("later");
    await rig.createRoot("later", { role: "passive" });
    await lastSettled(
      view =>
        roleIs("later", "passive")(view) && view.step.state.roots.some(({ owner }) => owner === "later"),
    );
    rig.enabled = false;
    for (const name of ["own", "old", "later"]) await rig.deleteRoot(name);
    await waitFor(
      "all to be gone",
      () => {
        const last = rig.views.at(-1);
        return last?.enabled === false && last.objects.length === 0;
      },
      LONG_MS,
    );
    const first = rig.views.length;
    rig.enabled = true;
    await lastSettled(({ step: { state } }) => state.roots.length === 1);
    expect(movesIn(rig.views.slice(first))).to.deep.equal(["drop later"]);
    await bothHold(rig.authority.fingerprint);
  });

  it("makes the next CA itself when its time has come, and no handshake fails", async () => {
    await rig.putCa("kept", Date.now() - 2 * HOUR_MS);
    const first = rig.views.length;
    await rig.createRoot("kept", { role: "active", rotation: { every: "1h" } });
    const rotated = (): readonly string[] => movesIn(rig.views.slice(first));
    await waitFor("two rotations", () => rotated().length === 6 && settled(rig.views.at(-1)), LONG_MS);
    const moves = ["trust kept", "issue kept", "drop built-in", "trust kept", "issue kept", "drop kept"];
    expect(rotated()).to.deep.equal(moves);
    await bothHold(rig.views.at(-1)?.step.state.issuing);
    expect(rig.views.at(-1)?.next.get("kept"), "the next one").to.be.greaterThan(Date.now());
    await rig.deleteRoot("kept");
    await lastSettled(({ step: { state } }) => state.roots[0]?.owner === undefined);
  });
});
