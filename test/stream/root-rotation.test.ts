import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { expect } from "chai";
import type { RootView } from "../../src/runtime/control-plane/root-keeper";
import { startAdsEnvoy, type AdsEnvoy } from "../support/ads-envoy";
import { snapshotOf } from "../support/ads-rig";
import {
  edsCluster,
  loopbackEndpoint,
  tcpListener,
  tlsCluster,
  tlsListener,
} from "../support/envoy-resources";
import { freePort } from "../support/kube-apiserver";
import { RotationRig } from "../support/rotation-rig";
import { waitFor } from "../support/wait";

/** Far beyond what a rotation takes: seconds. */
const LONG_MS = 120_000;
const WORKERS = 3;

/** Calls through a listener, one connection after the other, until told to stop. */
class Load {
  calls = 0;
  readonly failures: string[] = [];
  private stopping = false;
  private readonly workers: Promise<void>[];

  constructor(private readonly ports: readonly number[]) {
    this.workers = Array.from({ length: WORKERS }, (_, index) => this.work(index));
  }

  private async work(index: number): Promise<void> {
    for (let turn = index; !this.stopping; turn += 1) {
      const port = this.ports[turn % this.ports.length] ?? 0;
      const answer = await call(port);
      this.calls += 1;
      if (answer !== "hello") this.failures.push(`call ${this.calls} through ${port}: ${answer}`);
    }
  }

  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.workers);
  }
}

function call(port: number): Promise<string> {
  return new Promise(resolve => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port });
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.on("error", error => {
      resolve(error.message);
    });
    socket.on("close", () => {
      resolve(text);
    });
  });
}

describe("rotation of the workloads' root between two real Envoys on two replicas", function () {
  this.timeout(3 * LONG_MS);
  let rig: RotationRig;
  let application: Server;
  let load: Load;
  const envoys: AdsEnvoy[] = [];
  const listeners: number[] = [];

  before(async () => {
    rig = await RotationRig.start(2);
    application = createServer(socket => {
      socket.on("error", () => undefined);
      socket.end("hello");
    }).listen(0, "127.0.0.1");
    await once(application, "listening");
    const app = (application.address() as AddressInfo).port;
    const inbound = [await freePort(), await freePort()];
    for (const [index, replica] of rig.replicas.entries()) {
      const out = await freePort();
      listeners.push(out);
      const resources = [
        edsCluster("app", 20),
        loopbackEndpoint("app", app),
        tlsListener("in", inbound[index] ?? 0, "app"),
        tlsCluster("peer"),
        loopbackEndpoint("peer", inbound[1 - index] ?? 0),
        tcpListener("out", out, "peer"),
      ];
      replica.world.set(snapshotOf(resources));
      const token = rig.expect(`pod-${index}`);
      const options = { adsPort: replica.ads.server.port, token, root: rig.authority.certPem };
      envoys.push(await startAdsEnvoy(options));
    }
    for (const port of listeners)
      await waitFor("the first answer", async () => (await call(port)) === "hello", LONG_MS);
    load = new Load(listeners);
  });

  after(async () => {
    await (load as Load | undefined)?.stop();
    for (const envoy of envoys) await envoy.stop();
    await (rig as RotationRig | undefined)?.stop();
    (application as Server | undefined)?.close();
  });

  afterEach(() => {
    expect(load.failures).to.deep.equal([]);
  });

  /** Roots in the bundles that both Envoys really hold, and the issuer of their leaves, as acknowledged. */
  const held = (): readonly (readonly [trust: unknown, issuer: unknown])[] =>
    rig.replicas.flatMap(({ ledger }) =>
      [...ledger.rows().trust.values()].map(({ trust, issuer }) => [trust, issuer] as const),
    );
  /** The writer's view settles first: the replicas' watch and the Envoys' acknowledgements come after it. */
  const bothHold = async (root: string | undefined): Promise<void> => {
    const wanted = [
      [root, root],
      [root, root],
    ];
    await waitFor("both to hold it", () => JSON.stringify(held()) === JSON.stringify(wanted), LONG_MS).catch(
      () => undefined,
    );
    expect(held()).to.deep.equal(wanted);
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
    const before = load.calls;
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
    expect(load.calls - before, "handshakes meanwhile").to.be.greaterThan(50);
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
});
