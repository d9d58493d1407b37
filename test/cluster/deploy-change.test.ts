import { expect } from "chai";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { until } from "../../hack/cluster/progress";
import { repositoryRoot } from "../../hack/cluster/settings";
import { MODULE, WATCHER } from "../../src/install/names";
import { HEALTH_PORT } from "../../src/runtime/http-endpoints";
import { ClientPod, fetchText } from "./support/client-pod";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { deployment, service } from "./support/manifests";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { Shop } from "./support/shop";
import { SidecarAdmin } from "./support/sidecar-admin";

/** Version that the changed module says it has. */
const CHANGED = "0.0.0-changed";

/** Not part of what is built, or large and the same. */
const LEFT_OUT = ["node_modules", "dist", ".git"];

/** What the compiler knows of the files it has seen, as with whoever builds here again. */
const COMPILED = "dist/tsconfig.tsbuildinfo";

/** A copy of this tree whose module differs in its version. */
function changedTree(): string {
  const root = repositoryRoot();
  const copy = mkdtempSync(path.join(os.tmpdir(), "osm-changed-"));
  const wanted = (file: string): boolean =>
    !LEFT_OUT.includes(path.relative(root, file).split(path.sep)[0] ?? "");
  cpSync(root, copy, { recursive: true, filter: wanted });
  symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"));
  if (existsSync(path.join(root, COMPILED))) cpSync(path.join(root, COMPILED), path.join(copy, COMPILED));
  const manifest = path.join(copy, "package.json");
  const { version, ...rest } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  expect(version).to.not.equal(CHANGED);
  writeFileSync(manifest, JSON.stringify({ ...rest, version: CHANGED }, undefined, 2));
  return copy;
}

describe("npx pepr deploy of a changed module", function () {
  this.timeout(900_000);
  let mesh: Mesh;
  let config: LiveMeshConfig;
  let shop: Shop;
  let outside: TestNamespace;
  let stranger: ClientPod;
  let copy: string | undefined;

  before(async () => {
    mesh = await Mesh.open();
    config = await LiveMeshConfig.of(mesh);
    outside = await TestNamespace.create(mesh, "outside", false);
    const apps = [
      deployment("server", { program: "server-app" }),
      deployment("client", { program: "client-app" }),
    ];
    await outside.apply(...apps, service("server"));
    shop = await Shop.open(mesh, "change", 2);
    await outside.rolledOut("server", "client");
    stranger = new ClientPod((await outside.readyPod("client")).status.podIP);
  });

  after(async () => {
    await config.restore();
    if (copy !== undefined) rmSync(copy, { recursive: true });
    await TestNamespace.removeAll();
  });

  /** Versions that the pods of the control plane say they are, each once. */
  async function versions(): Promise<readonly string[]> {
    const pods = [...(await mesh.controlPlane(MODULE)), ...(await mesh.controlPlane(WATCHER))];
    const said = pods.map(async pod => {
      const page = await fetchText(`http://${pod.status.podIP ?? ""}:${HEALTH_PORT}/version`);
      return (JSON.parse(page) as { version: string }).version;
    });
    return [...new Set(await Promise.all(said))];
  }

  /** Counts what gets through although it must not, until told to end. */
  function watchForbidden(): { end(): Promise<{ asked: number; passed: number }> } {
    const counts = { asked: 0, passed: 0, ended: false };
    const foreign = shop.http.replace(shop.namespace.name, outside.name);
    const watching = (async (): Promise<void> => {
      while (!counts.ended) {
        const answers = await Promise.all([shop.client.get(foreign), stranger.get(shop.http)]);
        counts.asked += answers.length;
        counts.passed += answers.filter(answer => answer.status === 200).length;
        await new Promise(resolve => setTimeout(resolve, 200));
      }
    })();
    return {
      end: async () => {
        counts.ended = true;
        await watching;
        return counts;
      },
    };
  }

  /** Deploys under load and proves that afterwards all of the control plane is this version and serves all sidecars. */
  async function deployed(folder: string | undefined, version: string): Promise<void> {
    const pods = (await shop.namespace.pods()).map(pod => new SidecarAdmin(mesh, pod));
    const streams = (): Promise<readonly number[]> =>
      Promise.all(
        pods.map(
          async pod =>
            (await pod.counters(String.raw`cluster\.(osm-controller)\.upstream_rq_total`))[
              "osm-controller"
            ] ?? 0,
        ),
      );
    const before = await streams();
    const forbidden = watchForbidden();
    try {
      await shop.under(`deploy of ${version}`, async () => {
        await mesh.deploy(undefined, folder);
        await mesh.settled();
        expect(await versions()).to.deep.equal([version]);
        await until("new streams of all sidecars", 60_000, async () => {
          const connected = await Promise.all(
            pods.map(pod => pod.get("/stats?filter=control_plane.connected_state")),
          );
          const now = await streams();
          const renewed = now.every((count, at) => count > (before[at] ?? 0));
          return renewed && connected.every(text => text.trim().endsWith(": 1")) ? true : undefined;
        });
      });
    } finally {
      const { asked, passed } = await forbidden.end();
      report(`${passed} of ${asked} forbidden requests passed meanwhile`);
      expect(passed, "forbidden requests that passed").to.equal(0);
      expect(asked).to.be.greaterThan(10);
    }
  }

  it("serves the new version to the same sidecars, loses no request, and forbids what was forbidden", async () => {
    const foreign = shop.http.replace(shop.namespace.name, outside.name);
    await shop.answers(foreign);
    await config.patch({ traffic: { enableEgress: false } });
    await shop.refuses(foreign);
    const [original = ""] = await versions();
    copy = changedTree();
    await deployed(copy, CHANGED);
    // What is changed from now on comes to the sidecars by the new version.
    await config.patch({ traffic: { enableEgress: true } });
    await shop.answers(foreign);
    await config.patch({ traffic: { enableEgress: false } });
    await shop.refuses(foreign);
    await deployed(undefined, original);
    await config.restore();
    await shop.answers(foreign);
  });
});
