import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { MODULE, WATCHER } from "../../src/install/names";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { ClientPod, type LoadStats } from "./support/client-pod";
import { deployment, HTTP_PORT, service, TCP_PORT } from "./support/manifests";
import { FULL, Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";

/** Requests per second. */
const RATE = 100;
const REPLICAS = 3;

/** How often each fault is repeated. */
const ROUNDS = FULL ? 5 : 1;

describe("traffic of 100 requests a second", function () {
  this.timeout(FULL ? 1_800_000 : 600_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let client: ClientPod;

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "load", true);
    const server = deployment("server", { program: "server-app", replicas: REPLICAS });
    await shop.apply(server, service("server"), deployment("client", { program: "client-app" }));
    await shop.rolledOut("server", "client");
    client = new ClientPod((await shop.readyPod("client")).status.podIP);
    const urls = [HTTP_PORT, TCP_PORT].map(port => `http://server.${shop.name}:${port}/`);
    for (const url of urls) {
      await until(`an answer of ${url}`, 30_000, async () =>
        (await client.get(url)).status === 200 ? true : undefined,
      );
    }
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  /** Keeps asking while `disturb` runs and a little longer, and gives the counts. */
  async function under(title: string, disturb: () => Promise<void>): Promise<LoadStats> {
    const urls = [HTTP_PORT, TCP_PORT].map(port => `http://server.${shop.name}:${port}/`);
    await client.start({ urls, rate: RATE, perConnection: 5, timeoutMs: 10_000 });
    let counts: LoadStats;
    try {
      await disturb();
      const { sent } = await client.stats();
      await until("two more seconds of traffic", 60_000, async () =>
        (await client.stats()).sent >= sent + 2 * RATE ? true : undefined,
      );
    } finally {
      counts = await client.stop();
    }
    const { sent, failed, connections, slowestMs } = counts;
    report(
      `${title}: ${failed} of ${sent} requests failed (${connections} connections, slowest ${slowestMs} ms)`,
    );
    expect(counts.failures, `failed requests of ${sent}`).to.deep.equal([]);
    expect(counts.ok).to.equal(sent);
    expect(Object.keys(counts.servers).length, "servers that answered").to.be.at.least(REPLICAS);
    return counts;
  }

  /** Deletes a pod of the control plane, waits for its end and for its successor. */
  async function replace(name: string, uid: string): Promise<void> {
    await mesh.kubectl.must(["-n", PEPR_NAMESPACE, "delete", "pod", name, "--wait=false"]);
    await mesh.gone([uid]);
    await mesh.settled();
  }

  it("does not lose one while the mesh is deployed again", async () => {
    await under("npx pepr deploy", async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        await mesh.deploy();
        await mesh.settled();
      }
    });
  });

  it("does not lose one while each pod of the control plane is deleted in turn", async () => {
    await under("each control-plane pod deleted", async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        for (const pod of [...(await mesh.controlPlane(MODULE)), ...(await mesh.controlPlane(WATCHER))]) {
          await replace(pod.metadata.name, pod.metadata.uid);
        }
      }
    });
  });

  it("does not lose one while its servers are restarted one after the other", async () => {
    const before = (await shop.pods("server")).map(pod => pod.metadata.uid);
    const counts = await under("rolling restart of the servers", async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        await shop.kubectl(["rollout", "restart", "deployment/server"]);
        await shop.rolledOut("server");
      }
      await mesh.gone(before, shop.name);
    });
    expect(Object.keys(counts.servers).length, "old and new servers").to.be.at.least(2 * REPLICAS);
  });
});
