import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import type { Condition } from "../../src/status/conditions";
import { FULL, Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { Shop } from "./support/shop";
import { kindSamples } from "./support/kind-samples";
import { verdict } from "../support/verdict";

interface WithStatus {
  readonly metadata: { readonly generation: number };
  readonly status?: { readonly conditions?: readonly Condition[]; readonly observedGeneration?: number };
}

/** Changes of a permission, each waited for and then tried once. */
const CHANGES = FULL ? 100 : 6;

/** A worker of a proxy takes what its main thread has acknowledged within milliseconds; no machine is so slow. */
const WORKER_MS = 5_000;

describe("status on the real cluster", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: Shop;

  before(async () => {
    mesh = await Mesh.open();
    shop = await Shop.open(mesh, "status", 1);
    const closed = "openservicemesh.io/permissive-traffic-policy-mode=disabled";
    await mesh.kubectl.must(["annotate", "namespace", shop.namespace.name, closed]);
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  async function statusOf(
    type: string,
    name: string,
  ): Promise<{ generation: number; observed: number | undefined; all: readonly Condition[] }> {
    const text = await shop.namespace.kubectl(["get", type, name, "-o", "json"]);
    const { metadata, status } = JSON.parse(text) as WithStatus;
    const all = status?.conditions ?? [];
    return { generation: metadata.generation, observed: status?.observedGeneration, all };
  }
  const conditions = async (type: string, name: string): Promise<readonly Condition[]> =>
    (await statusOf(type, name)).all;
  const brief = (all: readonly Condition[]): string[] => all.map(c => `${c.type}=${c.status}`);
  /** `kubectl wait` as anybody would type it; throws when it takes longer than half a minute. */
  const wait = (type: string, name: string, condition = "Programmed"): Promise<string> =>
    shop.namespace.kubectl(["wait", `--for=condition=${condition}`, "--timeout=30s", `${type}/${name}`]);

  it("kubectl wait --for=condition=Programmed works for every kind that the mesh reads", async () => {
    const samples = kindSamples(shop.namespace.name);
    await shop.namespace.apply(...samples.map(({ object }) => object));
    for (const { type, name, affects } of samples) {
      await wait(type, name);
      // The other objects of the list are on their way to the same proxies meanwhile.
      const message = await until(`all conditions of ${type}`, 30_000, async () => {
        const { generation, observed, all } = await statusOf(type, name);
        const programmed = all.find(condition => condition.type === "Programmed");
        expect([observed, programmed?.observedGeneration]).to.deep.equal([generation, generation]);
        const want = ["Accepted=True", "ResolvedRefs=True", "Conflicted=False", "Programmed=True"];
        expect(brief(all)).to.deep.equal(want);
        expect(programmed?.message).to.match(affects);
        return programmed?.message;
      });
      report(`${type}: ${message}`);
    }
    for (const url of [shop.http, shop.tcp]) await shop.answers(url);
  });

  it("what kubectl wait has waited for is in force: the next request is decided by it", async () => {
    const took: number[] = [];
    let late = 0;
    for (let n = 1; n <= CHANGES; n += 1) {
      const allowed = n % 2 === 0;
      const matches = [{ name: "all", pathRegex: "/.*", methods: [allowed ? "GET" : "DELETE"] }];
      const began = Date.now();
      await shop.namespace.kubectl([
        "patch",
        "httproutegroup",
        "all",
        "--type=merge",
        "-p",
        JSON.stringify({ spec: { matches } }),
      ]);
      await wait("httproutegroup", "all");
      took.push(Date.now() - began);
      const wanted = allowed ? 200 : 403;
      if ((await shop.client.get(shop.http)).status === wanted) continue;
      // A proxy acknowledges before its workers have it; on a machine that is short of time one may run a moment later.
      late += 1;
      await until(`${wanted} after change ${n}`, WORKER_MS, async () =>
        (await shop.client.get(shop.http)).status === wanted ? true : undefined,
      );
    }
    verdict("the next request after kubectl wait", late === 0, {
      count: CHANGES,
      failed: late,
      bound: `all by the new rule; none is otherwise ${WORKER_MS} ms later`,
    });
    took.sort((a, b) => a - b);
    report(
      `patch and wait: median ${took[Math.floor(took.length / 2)] ?? 0} ms, most ${took.at(-1) ?? 0} ms`,
    );
  });

  it("MeshConfig waits for every live proxy", async () => {
    const where = ["-n", "osm-system"];
    await mesh.kubectl.must([
      ...where,
      "wait",
      "--for=condition=Programmed",
      "--timeout=55s",
      "meshconfig/osm-mesh-config",
    ]);
    // Pods of earlier tests are still on their way out.
    await until("all of them", 120_000, async () => {
      const get = ["get", ...where, "meshconfig", "osm-mesh-config"];
      const { status } = await mesh.kubectl.json<WithStatus>(get);
      const programmed = status?.conditions?.find(condition => condition.type === "Programmed");
      expect(programmed?.message).to.match(/^(\d+) of \1 affected proxies$/);
      return true;
    });
  });

  it("an object whose references lead nowhere says which, and is never Programmed; its owner is told by an event", async () => {
    await shop.namespace.apply({
      apiVersion: "access.smi-spec.io/v1alpha3",
      kind: "TrafficTarget",
      metadata: { name: "dangling" },
      spec: {
        destination: { kind: "ServiceAccount", name: "default", namespace: shop.namespace.name },
        sources: [{ kind: "ServiceAccount", name: "default", namespace: shop.namespace.name }],
        rules: [{ kind: "HTTPRouteGroup", name: "nowhere", matches: ["all"] }],
      },
    });
    const found = await until("the finding", 30_000, async () => {
      const all = await conditions("traffictarget", "dangling");
      return all.find(({ type, status }) => type === "ResolvedRefs" && status === "False");
    });
    expect(found.message).to.contain("nowhere");
    const all = await conditions("traffictarget", "dangling");
    expect(all.find(({ type }) => type === "Programmed")?.status).to.equal("False");
    await until("the event", 30_000, async () => {
      const events = await shop.namespace.kubectl([
        "get",
        "events",
        "--field-selector=involvedObject.name=dangling",
      ]);
      return events.includes("nowhere") ? true : undefined;
    });
  });

  it("of two splits of one root the newer one says with whom it conflicts", async () => {
    const split = (name: string): object => ({
      apiVersion: "split.smi-spec.io/v1alpha2",
      kind: "TrafficSplit",
      metadata: { name },
      spec: { service: "server", backends: [{ service: "server", weight: 100 }] },
    });
    await wait("trafficsplit", "split");
    await shop.namespace.apply(split("younger"));
    await wait("trafficsplit", "younger", "Conflicted");
    const all = await conditions("trafficsplit", "younger");
    expect(all.find(({ type }) => type === "Conflicted")?.message).to.contain("split");
    expect(all.find(({ type }) => type === "Programmed")?.status).to.equal("False");
    await until("the older one in force", 30_000, async () => {
      const older = brief(await conditions("trafficsplit", "split"));
      return older.includes("Conflicted=False") && older.includes("Programmed=True") ? true : undefined;
    });
    // The loser takes the winner's place when that is gone.
    await shop.namespace.kubectl(["delete", "trafficsplit", "split"]);
    await wait("trafficsplit", "younger");
    await shop.answers(shop.http);
  });
});
