import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import { TYPE_URLS } from "../../src/xds/resource";
import { OutsideMesh } from "../support/outside-mesh";
import { quantile, verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
const SERVICES = 4;
const RATE = 200;
const SECONDS = FULL ? 300 : 2;
/** HTTPRouteGroups that are written to; all Services but the first and their endpoints are as well. */
const GROUP_COUNT = 48;
/** Every so many writes one is to the MeshConfig. */
const CONFIG_EVERY = 50;
/** Aims: p99 from an object's own write to a proxy, and responses a proxy gets in a second. */
const AIM_MS = 1_000;
const AIM_RESPONSES = 10;
const LIMIT_MS = 60_000;
const POLICY = "/apis/access.smi-spec.io/v1alpha3/namespaces/ns0/traffictargets";
const GROUPS = "/apis/specs.smi-spec.io/v1alpha4/namespaces/ns0/httproutegroups";

type Writer = (n: number) => Promise<unknown>;

const groups = Array.from({ length: GROUP_COUNT }, (_, index) => `storm-${index}`);

function matching(n: number): object {
  return { matches: [{ name: "read", pathRegex: `/${n}`, methods: ["GET"] }] };
}

/** Writes at a rate, one at a time to each object: several to one object conflict in the API server, which tries them again and again. */
class Storm {
  due = 0;
  sent = 0;
  failed = 0;
  private readonly idle: Writer[];
  private underWay = 0;

  constructor(
    writers: readonly Writer[],
    private readonly configure: Writer,
  ) {
    this.idle = [...writers];
  }

  /** Does what is due after so many seconds; an object that is being written to is passed over, and where all are, the write is left out. */
  catchUp(seconds: number): void {
    for (; this.due < seconds * RATE; this.due += 1) {
      const isConfig = this.due % CONFIG_EVERY === 0;
      const writer = isConfig ? this.configure : this.idle.shift();
      if (writer !== undefined) void this.write(writer, isConfig);
    }
  }

  get isOver(): boolean {
    return this.underWay === 0;
  }

  private async write(writer: Writer, isConfig: boolean): Promise<void> {
    this.sent += 1;
    this.underWay += 1;
    await writer(this.due).catch(() => (this.failed += 1));
    this.underWay -= 1;
    if (!isConfig) this.idle.push(writer);
  }
}

describe("a storm of writes (D-05)", function () {
  this.timeout(FULL ? 1_200_000 : 300_000);
  let outside: OutsideMesh;
  before(async () => {
    outside = await OutsideMesh.start(SERVICES);
    await outside.settled();
    const { kube } = outside.mesh.api;
    const account = { kind: "ServiceAccount", name: "s0", namespace: "ns0" };
    for (const name of groups)
      await kube.create(GROUPS, {
        apiVersion: "specs.smi-spec.io/v1alpha4",
        kind: "HTTPRouteGroup",
        metadata: { name, namespace: "ns0" },
        spec: matching(0),
      });
    await kube.create(POLICY, {
      apiVersion: "access.smi-spec.io/v1alpha3",
      kind: "TrafficTarget",
      metadata: { name: "storm", namespace: "ns0" },
      spec: {
        destination: account,
        sources: [account],
        rules: groups.map(name => ({ kind: "HTTPRouteGroup", name })),
      },
    });
  });
  after(() => outside.stop());

  /** Who writes the n-th time to an object of his own: endpoints, Services and policy, and the MeshConfig at times. */
  const writers = (): readonly Writer[] => {
    const { mesh } = outside;
    const { kube } = mesh.api;
    const services = Array.from({ length: SERVICES - 1 }, (_, index) => index + 1);
    const labelled = (service: number, n: number): Promise<unknown> =>
      kube.mergePatch(`/api/v1/namespaces/ns0/services/s${service}`, {
        metadata: { labels: { n: String(n) } },
      });
    return [
      ...groups.map(
        (name): Writer =>
          n =>
            kube.mergePatch(`${GROUPS}/${name}`, { spec: matching(n) }),
      ),
      ...services.map(
        (service): Writer =>
          n =>
            labelled(service, n),
      ),
      ...services.map(
        (service): Writer =>
          n =>
            mesh.patchSlice(service, mesh.endpointsOf(service, n % 5)),
      ),
    ];
  };

  it(`of ${RATE} writes a second for ${SECONDS} s reaches every proxy late by little, and ends right`, async () => {
    const [first] = outside.proxies;
    if (first === undefined) throw new Error("no proxy");
    const responses = (): number => outside.proxies.reduce((sum, proxy) => sum + proxy.responses.length, 0);
    const [cpu, before, began] = [outside.cpuSeconds(), responses(), performance.now()];
    const storm = new Storm(writers(), n =>
      outside.mesh.configure({ traffic: { enableEgress: n % (2 * CONFIG_EVERY) === 0 } }),
    );
    const seconds = (): number => (performance.now() - began) / 1_000;
    const blowing = (async () => {
      while (seconds() < SECONDS) {
        storm.catchUp(seconds());
        await pause(5);
      }
      await waitFor("the last write", () => storm.isOver);
    })();
    blowing.catch(() => undefined);
    // One Service that only this loop writes to: how late its endpoints are at a proxy.
    const staleMs: number[] = [];
    for (let round = 0; seconds() < SECONDS; round += 1) {
      const held = outside.endpointsAt(first, 0);
      await outside.mesh.patchSlice(0, outside.mesh.endpointsOf(0, round % 2 === 0 ? 0 : -1));
      const written = performance.now();
      await waitFor("the change", () => outside.endpointsAt(first, 0) !== held, LIMIT_MS);
      staleMs.push(performance.now() - written);
      await pause(100);
    }
    await blowing;
    const took = seconds();
    const each = (responses() - before) / outside.proxies.length / took;
    const cores = (outside.cpuSeconds() - cpu) / took;
    const p99Ms = Math.round(quantile(staleMs, 0.99));
    verdict(
      `D-05: ${RATE} writes a second for ${SECONDS} s`,
      p99Ms <= AIM_MS && each <= AIM_RESPONSES && cores <= 1,
      {
        count: storm.sent,
        failed: storm.failed,
        leftOut: storm.due - storm.sent,
        p50Ms: Math.round(quantile(staleMs, 0.5)),
        p99Ms,
        longestMs: Math.round(Math.max(...staleMs)),
        bound: `p99 ${AIM_MS} ms, ${AIM_RESPONSES} responses a second and proxy, 1 core; was ${each.toFixed(1)} for ${outside.proxies.length} proxies, ${cores.toFixed(2)} cores`,
      },
    );
    expect(outside.proxies.filter(({ ended }) => ended !== undefined)).to.deep.equal([]);
    expect(outside.isAlive).to.equal(true);
    expect(p99Ms).to.be.below(LIMIT_MS);
    expect(storm.sent).to.be.above(SECONDS);
  });

  it("leaves every proxy with what there is", async () => {
    const { mesh } = outside;
    for (let service = 1; service < SERVICES; service += 1)
      await mesh.patchSlice(service, mesh.endpointsOf(service, -1));
    await mesh.configure({ traffic: { enableEgress: true } });
    const same = (): boolean =>
      Array.from({ length: SERVICES }, (_, service) => service).every(service => {
        const held = outside.proxies.map(proxy => outside.endpointsAt(proxy, service).split("=").at(-1));
        return new Set(held).size === 1;
      });
    await waitFor("the same endpoints at all", same, LIMIT_MS);
    expect(outside.proxies.every(({ held }) => (held.get(TYPE_URLS.listener)?.size ?? 0) > 0)).to.equal(true);
  });
});
