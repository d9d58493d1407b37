import { expect } from "chai";
import { ensureImages } from "../../hack/cluster";
import { toStderr, until } from "../../hack/cluster/progress";
import { verdict } from "../support/verdict";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { metricBy } from "./support/matrix-pods";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { MEMBERS, ZooKeeper } from "./support/zookeeper";

/** Row 44 of Open Service Mesh's own list, with the real thing: Debian's ZooKeeper in three pods of a StatefulSet. */
if (process.env["OSM_FULL"] === "1")
  describe("ZooKeeper in PodIP mode, with nothing allowed but TCPRoutes", function () {
    this.timeout(1_200_000);
    let mesh: Mesh;
    let namespace: TestNamespace;
    let config: LiveMeshConfig;
    let zookeeper: ZooKeeper;

    before(async () => {
      mesh = await Mesh.open();
      await ensureImages(toStderr, ["zookeeper"]);
      config = await LiveMeshConfig.of(mesh);
      namespace = await TestNamespace.create(mesh, "zookeeper", true);
      await config.patch({ sidecar: { localProxyMode: "PodIP" } });
      zookeeper = new ZooKeeper(namespace);
      await zookeeper.start();
    });
    after(async () => {
      await config.restore();
      await TestNamespace.removeAll();
    });

    it("elects a leader, keeps what is written on one member for readers of the others, and refuses a stranger", async () => {
      const began = Date.now();
      const first = await zookeeper.together();
      const agreedMs = Date.now() - began;
      const leader = first.find(({ mode }) => mode === "leader")?.name ?? "";
      report(`${leader} leads, ${MEMBERS.length - 1} follow`);

      await until("the node made", 300_000, async () => {
        await zookeeper.client(MEMBERS[0], "create", "/mesh", "kept");
        return (await zookeeper.client(MEMBERS[0], "get", "/mesh"))?.includes("kept") === true
          ? true
          : undefined;
      });
      const read = async (): Promise<readonly boolean[]> =>
        Promise.all(
          MEMBERS.map(
            async name => (await zookeeper.client(name, "get", "/mesh"))?.includes("kept") === true,
          ),
        );
      expect(await read(), "read on each member").to.deep.equal([true, true, true]);

      expect(await zookeeper.knock("client", MEMBERS[1])).to.equal("imok");
      const strangers = await Promise.all([
        zookeeper.knock("stranger", MEMBERS[1]),
        zookeeper.knock("stranger", MEMBERS[1], 3888),
        zookeeper.knock("client", MEMBERS[1], 3888),
      ]);
      expect(strangers, "of who may not, and of who may not there").to.deep.equal(["", "", ""]);

      const handshakes = await Promise.all(
        MEMBERS.map(async name => {
          const pod = (await namespace.pods("zk")).find(({ metadata }) => metadata.name === name);
          return (
            (await metricBy(pod?.status.podIP ?? "", "envoy_listener_ssl_handshake", "none")).get("") ?? 0
          );
        }),
      );
      expect(Math.min(...handshakes), "handshakes of each member's sidecar").to.be.above(0);

      const again = Date.now();
      await namespace.kubectl(["delete", "pod", leader, "--wait=true"]);
      await until("another leader", 300_000, async () => {
        const standings = await zookeeper.together();
        return standings.some(({ name, mode }) => mode === "leader" && name !== leader) ? true : undefined;
      });
      const againMs = Date.now() - again;
      expect(await read(), "read on each member after another election").to.deep.equal([true, true, true]);

      verdict("row 44: ZooKeeper in PodIP mode with TCPRoutes", true, {
        count: MEMBERS.length,
        failed: 0,
        longestMs: Math.max(agreedMs, againMs),
        bound: "a leader, data of one member on all, again after the leader's end, strangers refused",
      });
    });
  });
