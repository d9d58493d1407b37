import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { MODULE, SIDECAR_POLICY, WATCHER, WEBHOOK_SERVICE } from "../../src/install/names";
import { LABEL_MONITORED_BY, PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { DEPLOYED_OBJECTS } from "./support/deployed-objects";
import { FULL, Mesh, report } from "./support/mesh";
import { hasSidecar, TestNamespace } from "./support/namespace";
import { PodPatrol, type PatrolCounts } from "./support/pod-patrol";
import { quantile, verdict } from "../support/verdict";

/** Time between two pods that are asked for, milliseconds. */
const EVERY_MS = FULL ? 20 : 200;

/** How long a fault is kept up, milliseconds. */
const FAULT_MS = FULL ? 60_000 : 8_000;

interface Webhooks {
  readonly webhooks?: readonly {
    readonly failurePolicy?: string;
    readonly clientConfig: { readonly service?: { readonly name: string } };
    readonly namespaceSelector?: { readonly matchExpressions?: readonly { readonly key: string }[] };
  }[];
}

describe("pods of a mesh namespace, when the injector fails", function () {
  this.timeout(FULL ? 1_800_000 : 900_000);
  let mesh: Mesh;
  let meshed: TestNamespace;
  let elsewhere: TestNamespace;

  before(async () => {
    mesh = await Mesh.open();
  });

  beforeEach(async () => {
    meshed = await TestNamespace.create(mesh, "closed", true);
    elsewhere = await TestNamespace.create(mesh, "elsewhere", false);
  });

  afterEach(async () => {
    await TestNamespace.removeAll();
    await mesh.settled();
    await untilRepaired();
  });

  const configuration = ["mutatingwebhookconfiguration", MODULE];

  /** Waits until the configuration is the mesh's own: mesh namespaces only, closed on failure, our Service. */
  function untilRepaired(): Promise<true> {
    return until("repair of the webhook configuration", 120_000, async () => {
      const { webhooks = [] } = await mesh.kubectl.json<Webhooks>(["get", ...configuration]);
      const ours = webhooks.every(
        ({ failurePolicy, clientConfig, namespaceSelector }) =>
          failurePolicy === "Fail" &&
          clientConfig.service?.name === WEBHOOK_SERVICE &&
          namespaceSelector?.matchExpressions?.some(({ key }) => key === LABEL_MONITORED_BY) === true,
      );
      return webhooks.length > 0 && ours ? true : undefined;
    });
  }

  interface Patrols {
    readonly inMesh: PodPatrol;
    readonly outside: PodPatrol;
  }

  /** Asks for pods in both namespaces while the fault lasts and until injection works again, and judges what came. */
  async function patrol(title: string, fault: (patrols: Patrols) => Promise<void>): Promise<PatrolCounts> {
    const inMesh = PodPatrol.start(mesh, meshed.name, EVERY_MS);
    const outside = PodPatrol.start(mesh, elsewhere.name, EVERY_MS);
    try {
      await until("injection before the fault", 60_000, () => (inMesh.counts.meshed > 2 ? true : undefined));
      await fault({ inMesh, outside });
      const { meshed: before } = inMesh.counts;
      const again = (): true | undefined => (inMesh.counts.meshed > before + 5 ? true : undefined);
      await until("injection after the fault", 120_000, again);
    } finally {
      await Promise.all([inMesh.stop(), outside.stop()]);
    }
    const [mine, others] = [inMesh.counts, outside.counts];
    report(
      `${title}: mesh ${mine.meshed} injected, ${mine.refused} refused, ${mine.bare + mine.touched} without sidecar; ` +
        `elsewhere ${others.bare} of ${outside.answered} untouched ` +
        `(p99 ${quantile(others.latenciesMs, 0.99)} ms)`,
    );
    const bare = mine.bare + mine.touched;
    verdict(`fail closed: ${title}`, bare === 0 && others.refused === 0, {
      count: inMesh.answered,
      failed: bare,
      bound: "0 pods without sidecar",
    });
    for (const words of mine.refusals) report(`  ${words.slice(0, 200)}`);
    expect(bare, "pods of the mesh namespace without a sidecar").to.equal(0);
    expect([...others.refusals], "refusals elsewhere").to.deep.equal([]);
    expect(others, "elsewhere").to.include({ meshed: 0, touched: 0, refused: 0 });
    expect((await meshed.pods()).filter(pod => !hasSidecar(pod))).to.deep.equal([]);
    return mine;
  }

  async function kill(app: string): Promise<void> {
    const force = ["--force", "--grace-period=0", "--wait=false"];
    await mesh.kubectl.attempt(["-n", PEPR_NAMESPACE, "delete", "pod", "-l", `app=${app}`, ...force]);
  }

  it("are refused or injected while the webhook configuration is deleted, and it comes back by itself", async () => {
    await patrol("configuration deleted", async () => {
      await mesh.kubectl.must(["delete", ...configuration]);
      const began = Date.now();
      await untilRepaired();
      report(`repaired after ${Date.now() - began} ms`);
    });
  });

  it("are refused while the webhook configuration and its keeper are gone", async () => {
    const counts = await patrol("configuration deleted, watcher killed", async ({ inMesh }) => {
      await kill(WATCHER);
      await mesh.kubectl.must(["delete", ...configuration]);
      await until("refusals", 30_000, () => (inMesh.counts.refused > 2 ? true : undefined));
      await mesh.settled();
      await untilRepaired();
    });
    expect([...counts.refusals].join("\n"))
      .to.contain(SIDECAR_POLICY)
      .and.to.contain("has no sidecar");
  });

  it("are refused while nobody answers the webhook", async () => {
    const counts = await patrol("all admission pods killed", async ({ inMesh }) => {
      const began = Date.now();
      await kill(MODULE);
      // Killed again as they come back, because a Deployment must not be scaled: Pepr could not be deployed any more.
      await until(
        "the end of the fault",
        FAULT_MS + 60_000,
        async () => {
          await kill(MODULE);
          return Date.now() - began > FAULT_MS && inMesh.counts.refused > 2 ? true : undefined;
        },
        2_000,
      );
      await mesh.settled();
    });
    expect(counts.refused).to.be.greaterThan(2);
  });

  it("are refused or injected during npx pepr deploy with the watcher killed", async () => {
    const progress = { built: false, ended: false };
    const deployed = mesh
      .deploy(line => (progress.built ||= line.includes("dist/pepr-")))
      .finally(() => (progress.ended = true));
    // Handled here as well, so that a failure meanwhile is told by the await below and not as an unhandled one.
    deployed.catch(() => undefined);
    await until("the build", 540_000, () => progress.built || progress.ended || undefined);
    await kill(WATCHER);
    await patrol("npx pepr deploy, watcher killed", async () => {
      // Pepr applies a configuration of its own (all namespaces, open on failure); with the watcher gone it stays.
      const seen = await until("Pepr's own configuration", 120_000, async () => {
        await kill(WATCHER);
        const { webhooks = [] } = await mesh.kubectl.json<Webhooks>(["get", ...configuration]);
        const foreign = webhooks.some(({ clientConfig }) => clientConfig.service?.name !== WEBHOOK_SERVICE);
        return foreign ? "seen" : progress.ended ? "not seen" : undefined;
      });
      expect(seen, "Pepr's own configuration").to.equal("seen");
      await kill(WATCHER);
      await deployed;
      await mesh.settled();
      await untilRepaired();
    });
    for (const args of DEPLOYED_OBJECTS) await mesh.kubectl.must(["get", ...args]);
  });
});
