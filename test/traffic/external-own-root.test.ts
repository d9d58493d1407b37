import { readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import { parseOwnRoots } from "../../src/certificate/own-root";
import { bootstrapProxy, renewProxy } from "../../src/cli/proxy";
import { FILE_CERTIFICATE, FILE_KEY } from "../../src/injector/names";
import { CA_ROOT_KEY, CA_SECRET_NAME } from "../../src/model/mesh-words";
import { systemClock } from "../../src/runtime/clock";
import {
  OWN_STATUS_ANNOTATION,
  ROTATE_OWN_ANNOTATION,
} from "../../src/runtime/control-plane/own-root-keeper";
import { startControlPlane, type ControlPlane } from "../../src/runtime/control-plane/start";
import { readCertificates } from "../../src/runtime/issuers/chain";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { OWN_ROOTS_KEY, ownRootsText } from "../../src/runtime/secrets/own-authority";
import { readSettings } from "../../src/runtime/settings";
import { startExternalEnvoy, type ExternalEnvoy, type ProxyCredentials } from "../support/external-proxy";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { createNetwork, type Network } from "../support/netns";
import type { Operations } from "../support/pod-operations";
import { startApp } from "../support/pod-process";
import { createWorkshop, type Workshop } from "../support/sidecar";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";
import { quietLog } from "../support/world";

/** Who is called, and callers by when they fetch what has been renewed for them. */
const MACHINES = ["store", "prompt", "between", "late"] as const;
type Machine = (typeof MACHINES)[number];
const CALLERS = ["prompt", "between", "late"] as const;
const SHOP = "shop";
const STORE = "10.99.77.1";
/** Between two calls of a caller, milliseconds. */
const PACE_MS = process.env["OSM_FULL"] === "1" ? 20 : 100;
/** A machine that holds the rotation is asked for another handshake so often, milliseconds. */
const MINUTE_MS = 60_000;
const LONG_MS = 4 * MINUTE_MS;
/** From both roots in the files to the first certificate of the new one: time for two machines to fetch them, milliseconds. */
const FILES_TAKE_MS = 15_000;
const settings = readSettings({}, "unused");
const SECRET = `/api/v1/namespaces/${settings.osmNamespace}/secrets/${CA_SECRET_NAME}`;
const WORKLOADS = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${SHOP}/externalworkloads`;

interface Workload extends KubeObject {
  readonly status?: { readonly proxy?: { readonly certificate: string; readonly trust: string } };
}

describe("machines outside of the cluster, while the control plane's own root is rotated", function () {
  this.timeout(3 * LONG_MS);
  let api: TestApiServer;
  let kube: ClosableKubeClient;
  let plane: ControlPlane;
  let network: Network;
  let workshop: Workshop;
  const envoys = new Map<Machine, ExternalEnvoy>();
  const apps = new Map<Machine, Operations>();
  const errors: string[] = [];
  /** What machines could fetch before the new root issued. */
  const ofTheOldRoot = new Map<Machine, string>();
  const load = { running: true, sent: 0, failed: [] as string[] };
  let calling: Promise<unknown> = Promise.resolve();

  const folderOf = (name: Machine): string => path.join(workshop.folder, `osm-${name}`);
  const command = (name: Machine) => ({
    kube,
    clock: systemClock,
    workload: `${SHOP}/${name}`,
    folder: folderOf(name),
    say: () => undefined,
  });
  const credentials = (name: Machine): ProxyCredentials => {
    const file = (what: string): string => readFileSync(path.join(folderOf(name), what), "utf8");
    return { certificate: file(FILE_CERTIFICATE), key: file(FILE_KEY), trust: file(CA_ROOT_KEY) };
  };
  /** `osm proxy renew` in the machine's folder. */
  const renew = async (name: Machine): Promise<void> => {
    await renewProxy(command(name));
    envoys.get(name)?.present(credentials(name));
  };
  const declare = async (name: Machine): Promise<void> => {
    await kube.create(WORKLOADS, {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "ExternalWorkload",
      metadata: { name, namespace: SHOP, labels: { app: name } },
      spec: { serviceAccountName: name, addresses: [network.pod(name).ip] },
    } as KubeObject);
    const setup = { adsAddress: "127.0.0.1:15128", folder: "/etc/osm", inboundExcludedPorts: [22] };
    await bootstrapProxy({ ...command(name), setup: { ...setup, outboundRanges: [], ipv6: false } });
    const place = network.pod(name);
    const app = startApp(place);
    await app.serveHttp(8080);
    apps.set(name, app);
    envoys.set(name, await startExternalEnvoy(place, workshop, plane.adsPort ?? 0, credentials(name)));
  };
  const call = (from: Machine): Promise<string> =>
    (apps.get(from) ?? fail()).callHttp({ host: STORE, port: 80 }).then(
      ({ status, body }) => (status === 200 ? "" : `${from}: ${status} ${body.slice(0, 80)}`),
      (error: unknown) => `${from}: ${String(error)}`,
    );
  const fail = (): never => {
    throw new Error("not started");
  };
  const connected = (): readonly string[] =>
    (plane.inside.serving?.ads.ledger.proxies() ?? []).map(({ podName }) => podName).sort();
  const all = [...MACHINES].sort();
  const allConnected = (): Promise<unknown> =>
    waitFor("all streams", () => connected().join() === all.join(), LONG_MS);

  const secret = (): Promise<KubeObject & { readonly data: Readonly<Record<string, string>> }> =>
    kube.get(SECRET);
  const moves = async (): Promise<readonly string[]> => {
    const text = ownRootsText(await secret());
    return text === undefined ? [] : parseOwnRoots(text).rotation.made.map(({ kind }) => kind);
  };
  const moved = (kinds: string): Promise<unknown> =>
    waitFor(kinds, async () => (await moves()).join() === kinds, LONG_MS);
  const said = async (): Promise<string> =>
    (await secret()).metadata.annotations?.[OWN_STATUS_ANNOTATION] ?? "";
  const offered = async (
    name: Machine,
  ): Promise<{ readonly roots: number; readonly certificate: string }> => {
    const { status } = await kube.get<Workload>(`${WORKLOADS}/${name}`);
    const { trust = "", certificate = "" } = status?.proxy ?? {};
    return { roots: readCertificates(trust).length, certificate };
  };

  before(async () => {
    [api, workshop, network] = await Promise.all([
      startApiServerForTest(),
      createWorkshop(),
      createNetwork(MACHINES),
    ]);
    kube = api.client();
    const labels = { "openservicemesh.io/monitored-by": settings.meshName };
    await kube.create("/api/v1/namespaces", { metadata: { name: "pepr-system" } });
    await kube.create("/api/v1/namespaces", { metadata: { name: SHOP, labels } });
    plane = await startControlPlane({
      role: "outside",
      kube,
      settings,
      log: { ...quietLog(errors), level: "error", setLevel: () => undefined },
      clock: systemClock,
      random: Math.random,
      env: {},
      version: "0",
      exit: () => undefined,
      ads: { hosts: ["127.0.0.1"], port: 0 },
      healthPort: 0,
      filesTakeMs: FILES_TAKE_MS,
    });
    plane.constructed();
    const ports = [{ name: "http", port: 80, targetPort: 8080, appProtocol: "http" }];
    await kube.create(`/api/v1/namespaces/${SHOP}/services`, {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "store", namespace: SHOP },
      spec: { clusterIP: STORE, selector: { app: "store" }, ports },
    } as KubeObject);
    for (const name of MACHINES) await declare(name);
    await allConnected();
    for (const name of CALLERS)
      await waitFor(`a call of ${name}`, async () => (await call(name)) === "", LONG_MS);
    calling = Promise.all(
      CALLERS.map(async name => {
        while (load.running) {
          load.sent += 1;
          const failure = await call(name);
          if (failure !== "") load.failed.push(failure);
          await pause(PACE_MS);
        }
      }),
    );
  });
  after(async () => {
    load.running = false;
    await calling;
    await Promise.all([...envoys.values()].map(envoy => envoy.stop()));
    await (network as Network | undefined)?.close();
    await (plane as ControlPlane | undefined)?.stop();
    (kube as ClosableKubeClient | undefined)?.close();
    await (api as TestApiServer | undefined)?.stop();
    (workshop as Workshop | undefined)?.remove();
  });

  it("are offered both roots once these are trusted", async () => {
    await kube.mergePatch(SECRET, { metadata: { annotations: { [ROTATE_OWN_ANNOTATION]: "first" } } });
    await moved("trust");
    for (const name of MACHINES) {
      await waitFor(`both for ${name}`, async () => (await offered(name)).roots === 2, LONG_MS);
      ofTheOldRoot.set(name, (await offered(name)).certificate);
    }
    await renew("store");
    await renew("between");
    expect(await moves(), "the wait for files is long enough").to.deep.equal(["trust"]);
  });

  it("come back, also with a file that knows the old root alone, and one that has fetched is known to have", async () => {
    await moved("trust,issue");
    for (const name of ["store", "prompt"] as const) {
      await waitFor(
        `another certificate for ${name}`,
        async () => (await offered(name)).certificate !== ofTheOldRoot.get(name),
      );
      await renew(name);
    }
    await waitFor(
      "those two by the new root alone",
      async () => (await said()).startsWith("2 of 4 proxies have connected by the new root alone"),
      LONG_MS,
    );
    await allConnected();
    for (const name of ["between", "late"]) expect(await said()).to.contain(`shop/${name}`);
  });

  it("are not waited for longer than a minute after they have fetched what they need", async () => {
    await renew("between");
    const first = Date.now();
    await waitFor(
      "one that trusted both, and presents another certificate",
      async () => (await said()).startsWith("3 of 4") && (await said()).includes("waiting for shop/late"),
      LONG_MS,
    );
    const between = Date.now() - first;
    await renew("late");
    const second = Date.now();
    await moved("trust,issue,drop");
    const longestMs = Math.max(between, Date.now() - second);
    verdict("machines outside of the cluster: waited for after osm proxy renew", longestMs < 2 * MINUTE_MS, {
      count: 2,
      longestMs,
      bound: "a minute and the time of a handshake",
    });
  });

  it("hold their streams by the new root alone, and lost no call", async () => {
    for (const name of MACHINES) {
      await waitFor(`one root for ${name}`, async () => (await offered(name)).roots === 1, LONG_MS);
      await renew(name);
    }
    await allConnected();
    await waitFor("rest", async () => (await said()) === "Settled.", LONG_MS);
    for (const name of MACHINES)
      expect(await envoys.get(name)?.stat("control_plane.connected_state"), name).to.equal(1);
    load.running = false;
    await calling;
    const point = "machines outside of the cluster through a rotation of the control plane's own root";
    verdict(point, load.failed.length === 0, {
      count: load.sent,
      failed: load.failed.length,
      bound: "0 calls failed",
    });
    expect(load.failed).to.deep.equal([]);
    expect(errors, "errors of the control plane").to.deep.equal([]);
    expect((await secret()).data).to.have.property(OWN_ROOTS_KEY);
  });
});
