import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import type { KubeObject } from "../../src/runtime/kube";
import { TYPE_URLS } from "../../src/xds/resource";
import type { AdsClient } from "../support/ads-client";
import { AdsProbe } from "./support/ads-probe";
import { deployment, service } from "./support/manifests";
import { Mesh, report, FULL } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { quantile, verdict } from "../support/verdict";

/** Policy objects in the flood, half of them TrafficTargets and half HTTPRouteGroups. */
const OBJECTS = FULL ? 5_000 : 200;

/** Writes under way at once. */
const WRITERS = 8;

/** Changes of endpoints before the flood, and at least as many during it. */
const CHANGES = 5;

const SMI = {
  TrafficTarget: { group: "access.smi-spec.io", version: "v1alpha3", plural: "traffictargets" },
  HTTPRouteGroup: { group: "specs.smi-spec.io", version: "v1alpha4", plural: "httproutegroups" },
} as const;
type Kind = keyof typeof SMI;

interface WithStatus extends KubeObject {
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
  };
}

function policy(kind: Kind, name: string, namespace: string): Record<string, unknown> {
  const account = (account: string): object => ({ kind: "ServiceAccount", name: account, namespace });
  const target = {
    destination: account(`server-${name}`),
    sources: [account(`client-${name}`)],
    rules: [{ kind: "HTTPRouteGroup", name }],
  };
  const routes = { matches: [{ name: "read", pathRegex: "/books/.*", methods: ["GET"] }] };
  const { group, version } = SMI[kind];
  const spec = kind === "TrafficTarget" ? target : routes;
  return { apiVersion: `${group}/${version}`, kind, metadata: { name }, spec };
}

describe("a flood of policy objects", function () {
  this.timeout(FULL ? 3_600_000 : 480_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let client: AdsClient | undefined;

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "flood", true);
    await shop.apply(
      deployment("east", { program: "server-app" }),
      deployment("west", { program: "server-app" }),
      service("server", { app: "east" }),
    );
    await shop.rolledOut("east", "west");
    client = await listen();
  });

  after(async () => {
    client?.close();
    await TestNamespace.removeAll();
  });

  /** A proxy of its own that holds the endpoints of all clusters, under the identity of one of the pods. */
  async function listen(): Promise<AdsClient> {
    const made = (await AdsProbe.of(shop, await shop.readyPod("west"), 3_600)).connect();
    const asked = new Set<string>();
    made.onResponse = ({ typeUrl, resources }) => {
      if (typeUrl !== TYPE_URLS.cluster) return;
      const subscribe = resources.map(({ name }) => name).filter(name => !asked.has(name));
      for (const name of subscribe) asked.add(name);
      if (subscribe.length > 0) made.send({ typeUrl: TYPE_URLS.endpoint, subscribe });
    };
    made.send({ typeUrl: TYPE_URLS.cluster });
    return made;
  }

  /** Versions of the endpoints of the Service, together. */
  function endpoints(): string {
    const held = [...(client?.held.get(TYPE_URLS.endpoint)?.values() ?? [])];
    const ours = held.filter(({ name }) => name.includes(shop.name) && name.includes("server"));
    return ours.map(({ name, version }) => `${name}=${version}`).join(" ");
  }

  let side = "east";

  /** Points the Service to the other Deployment and gives the milliseconds until a proxy has been told. */
  async function change(): Promise<number> {
    side = side === "east" ? "west" : "east";
    const before = endpoints();
    const began = Date.now();
    const path = `/api/v1/namespaces/${shop.name}/services/server`;
    await mesh.api.mergePatch(path, { spec: { selector: { app: side } } });
    await until(
      "new endpoints at a proxy",
      60_000,
      () => {
        if (client?.ended !== undefined) throw new Error(`the proxy's stream ended: ${client.ended.details}`);
        return endpoints() === before ? undefined : true;
      },
      5,
    );
    const ms = Date.now() - began;
    // Old and new endpoints may come in two steps; the next change is to be told from the end of this one.
    await quiet();
    return ms;
  }

  /** Waits until nothing has come for a second. */
  async function quiet(): Promise<void> {
    let [last, since] = [endpoints(), Date.now()];
    await until("rest", 60_000, () => {
      const now = endpoints();
      if (now !== last) [last, since] = [now, Date.now()];
      return Date.now() - since > 1_000 ? true : undefined;
    });
  }

  const collection = (kind: Kind): string => {
    const { group, version, plural } = SMI[kind];
    return `/apis/${group}/${version}/namespaces/${shop.name}/${plural}`;
  };

  /** Does something for each object of the flood, some at once. */
  async function forEach(act: (kind: Kind, name: string) => Promise<unknown>): Promise<void> {
    const work = Array.from({ length: OBJECTS }, (_, n) => n);
    const worker = async (): Promise<void> => {
      for (let n = work.pop(); n !== undefined; n = work.pop()) {
        await act(n % 2 === 0 ? "HTTPRouteGroup" : "TrafficTarget", `flood-${n >> 1}`);
      }
    };
    await Promise.all(Array.from({ length: WRITERS }, worker));
  }

  const pour = (): Promise<void> =>
    forEach((kind, name) => mesh.api.create(collection(kind), policy(kind, name, shop.name)));

  /** How many of the flood are accepted; throws when one is not and says so. */
  async function accepted(): Promise<number> {
    let count = 0;
    for (const kind of Object.keys(SMI) as Kind[]) {
      const { items } = await mesh.api.get<{ items: readonly WithStatus[] }>(collection(kind));
      for (const { metadata, status } of items) {
        const condition = status?.conditions?.find(({ type }) => type === "Accepted");
        if (condition?.status === "False") throw new Error(`${kind} ${metadata.name}: ${condition.message}`);
        if (condition?.status === "True") count += 1;
      }
    }
    return count;
  }

  it("passes through the Reconciles while proxies go on being told of changes", async () => {
    await until("endpoints at a proxy", 30_000, () => (endpoints() === "" ? undefined : true));
    await quiet();
    const calm: number[] = [];
    for (let n = 0; n < CHANGES; n += 1) calm.push(await change());

    const began = Date.now();
    const progress = { done: false };
    const flood = pour().then(async () => {
      const written = Date.now() - began;
      await until(
        "acceptance of all",
        FULL ? 3_000_000 : 300_000,
        async () => ((await accepted()) === OBJECTS ? true : undefined),
        1_000,
      );
      return { written, judged: Date.now() - began };
    });
    const ended = flood.finally(() => (progress.done = true));
    // Handled here as well, so that a failure meanwhile is told by the await below and not as an unhandled one.
    ended.catch(() => undefined);
    const busy: number[] = [];
    while (!progress.done || busy.length < CHANGES) busy.push(await change());
    const { written, judged } = await ended;

    report(`${OBJECTS} objects written in ${written} ms, all with status after ${judged} ms`);
    const median = [quantile(calm, 0.5), quantile(busy, 0.5)] as const;
    report(
      `endpoint change to proxy: median ${median[0]} ms before, ${median[1]} ms during (${busy.length} changes, longest ${Math.max(...busy)} ms)`,
    );
    verdict(`${OBJECTS} policy objects beside endpoint changes`, client?.ended === undefined, {
      count: busy.length,
      p50Ms: median[1],
      p99Ms: quantile(busy, 0.99),
      longestMs: Math.max(...busy),
      bound: `a median of ${Math.max(10 * median[0], 2_000)} ms`,
    });
    expect(client?.ended, "the proxy's stream").to.equal(undefined);
    // Ten times as long, or two seconds on a machine whose calm is milliseconds: a stall would be minutes.
    expect(median[1]).to.be.below(Math.max(10 * median[0], 2_000));
    expect(Math.max(...busy)).to.be.below(Math.max(10 * Math.max(...calm), 10_000));
  });

  it("is taken away again without harm", async () => {
    // One by one: the API server deletes a whole collection within one request, longer than a client waits.
    await forEach((kind, name) => mesh.api.delete(`${collection(kind)}/${name}`));
    expect(await accepted()).to.equal(0);
    expect(await change()).to.be.below(60_000);
    expect(client?.ended).to.equal(undefined);
  });
});
