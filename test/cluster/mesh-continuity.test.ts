import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { MODULE, WATCHER } from "../../src/install/names";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { FULL, Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { PodPatrol } from "./support/pod-patrol";
import { Shop } from "./support/shop";

const REPLICAS = 3;

/** Time between two pods that are asked for meanwhile, milliseconds. */
const PATROL_MS = 500;

/** How often each fault is repeated. */
const ROUNDS = FULL ? 5 : 1;

describe("traffic of 100 requests a second", function () {
  this.timeout(FULL ? 1_800_000 : 600_000);
  let mesh: Mesh;
  let shop: Shop;

  before(async () => {
    mesh = await Mesh.open();
    shop = await Shop.open(mesh, "load", REPLICAS);
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  /** Deletes a pod of the control plane, waits for its end and for its successor. */
  async function replace(name: string, uid: string): Promise<void> {
    await mesh.kubectl.must(["-n", PEPR_NAMESPACE, "delete", "pod", name, "--wait=false"]);
    await mesh.gone([uid]);
    await mesh.settled();
  }

  // At reduced counts `deploy-change` deploys twice under the same load.
  if (FULL) {
    it("does not lose one while the mesh is deployed again", async () => {
      await shop.under("npx pepr deploy", async () => {
        for (let round = 0; round < ROUNDS; round += 1) {
          await mesh.deploy();
          await mesh.settled();
        }
      });
    });
  }

  it("does not lose one while each pod of the control plane is deleted in turn, and pods are injected all the same", async () => {
    const patrol = PodPatrol.start(mesh, shop.namespace.name, PATROL_MS);
    const { counts } = patrol;
    try {
      await shop.under("each control-plane pod deleted", async () => {
        for (let round = 0; round < ROUNDS; round += 1) {
          for (const pod of [...(await mesh.controlPlane(MODULE)), ...(await mesh.controlPlane(WATCHER))]) {
            await replace(pod.metadata.name, pod.metadata.uid);
            const { meshed } = counts;
            await until("an injected pod", 60_000, () => (counts.meshed > meshed ? true : undefined));
          }
        }
      });
    } finally {
      await patrol.stop();
    }
    report(`${counts.meshed} of ${patrol.answered} pods injected meanwhile, ${counts.refused} refused`);
    expect(counts, "pods without sidecar").to.include({ bare: 0, touched: 0 });
    expect(await mesh.controlPlane()).to.have.length(3);
  });

  it("does not lose one while its servers are restarted one after the other", async () => {
    const before = (await shop.namespace.pods("server")).map(pod => pod.metadata.uid);
    const counts = await shop.under("rolling restart of the servers", async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        await shop.namespace.kubectl(["rollout", "restart", "deployment/server"]);
        await shop.namespace.rolledOut("server");
      }
      await mesh.gone(before, shop.namespace.name);
    });
    expect(Object.keys(counts.servers).length, "old and new servers").to.be.at.least(2 * REPLICAS);
  });
});
