import { expect } from "chai";
import { DEFAULT_TRUST_DOMAIN } from "../../src/model/mesh-words";
import { osm } from "../support/cli";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { LiveRoots } from "./support/live-roots";
import { FULL, Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { Shop } from "./support/shop";

/** Most that a step may take: many proxies, a busy machine. */
const STEP = "240s";

if (FULL)
  describe("osm alpha certificate rotate on the real mesh", function () {
    this.timeout(1_800_000);
    let mesh: Mesh;
    let config: LiveMeshConfig;
    let shop: Shop;
    const roots: LiveRoots[] = [];

    before(async () => {
      mesh = await Mesh.open();
      config = await LiveMeshConfig.of(mesh);
      shop = await Shop.open(mesh, "cli-roots", 1);
      await config.patch({ featureFlags: { enableMeshRootCertificate: true } });
    });
    after(async () => {
      await LiveRoots.removeAll(roots);
      await config.restore();
      await TestNamespace.removeAll();
    });

    const rotate = async (...args: readonly string[]): Promise<readonly string[]> => {
      const env = { ...process.env, KUBECONFIG: mesh.cluster.kubeconfig };
      const { code, stdout, stderr } = await osm(
        ["alpha", "certificate", "rotate", ...args, "-y", "-w", STEP],
        {
          env,
        },
      );
      expect(code, stderr + stdout).to.equal(0);
      for (const line of stdout.trimEnd().split("\n")) report(line);
      return stdout.split("\n");
    };
    const passive = async (name: string): Promise<void> => {
      roots.push(await LiveRoots.create(mesh, name, DEFAULT_TRUST_DOMAIN, "passive"));
    };

    it("makes a CA of the owner's the mesh's by the command, then another one, and no request fails", async () => {
      await shop.under(
        "osm alpha certificate rotate, twice",
        async () => {
          await passive("cli-first");
          expect(await rotate("-c", "cli-first")).to.include.members([
            "cli-first is active",
            "The mesh's certificates are issued by cli-first",
          ]);
          await passive("cli-second");
          const steps = await rotate("--mesh-root-certificate", "cli-second", "--delete");
          const changes = ["cli-second is active", "cli-first is passive", "cli-first is inactive"];
          expect(steps.filter(line => [...changes, "cli-first is deleted"].includes(line))).to.deep.equal([
            ...changes,
            "cli-first is deleted",
          ]);
          const state = await LiveRoots.record(mesh);
          expect(state?.roots.map(({ owner }) => owner)).to.deep.equal(["cli-second"]);
        },
        { rate: 50 },
      );
    });
  });
