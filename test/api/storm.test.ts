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
/** Writes under way at once; beyond it the API server is behind, and writes are left out. */
const AT_ONCE = 64;
/** Aims: p99 from an object's own write to a proxy, and responses a proxy gets in a second. */
const AIM_MS = 1_000;
const AIM_RESPONSES = 10;
const LIMIT_MS = 60_000;
const POLICY = "/apis/access.smi-spec.io/v1alpha3/namespaces/ns0/traffictargets";
const GROUPS = "/apis/specs.smi-spec.io/v1alpha4/namespaces/ns0/httproutegroups";

describe("a storm of writes (D-05)", function () {
  this.timeout(FULL ? 1_200_000 : 300_000);
  let outside: OutsideMesh;
  before(async () => {
    outside = await OutsideMesh.start(SERVICES);
    await outside.settled();
    const { kube } = outside.mesh.api;
    const account = { kind: "ServiceAccount", name: "s0", namespace: "ns0" };
    const matches = [{ name: "read", pathRegex: "/0", methods: ["GET"] }];
    await kube.create(GROUPS, {
      apiVersion: "specs.smi-spec.io/v1alpha4",
      kind: "HTTPRouteGroup",
      metadata: { name: "storm", namespace: "ns0" },
      spec: { matches },
    });
    await kube.create(POLICY, {
      apiVersion: "access.smi-spec.io/v1alpha3",
      kind: "TrafficTarget",
      metadata: { name: "storm", namespace: "ns0" },
      spec: { destination: account, sources: [account], rules: [{ kind: "HTTPRouteGroup", name: "storm" }] },
    });
  });
  after(() => outside.stop());

  /** The n-th write: endpoints, Services, policy and the MeshConfig by turns. */
  const write = async (n: number): Promise<unknown> => {
    const { mesh } = outside;
    const { kube } = mesh.api;
    if (n % 50 === 0) return mesh.configure({ traffic: { enableEgress: n % 100 === 0 } });
    if (n % 4 === 0)
      return kube.mergePatch(`${GROUPS}/storm`, {
        spec: { matches: [{ name: "read", pathRegex: `/${n}`, methods: ["GET"] }] },
      });
    if (n % 4 === 1)
      return kube.mergePatch("/api/v1/namespaces/ns0/services/s1", {
        metadata: { labels: { n: String(n) } },
      });
    const service = 1 + (n % (SERVICES - 1));
    return mesh.patchSlice(service, mesh.endpointsOf(service, n % 5));
  };

  it(`of ${RATE} writes a second for ${SECONDS} s reaches every proxy late by little, and ends right`, async () => {
    const [first] = outside.proxies;
    if (first === undefined) throw new Error("no proxy");
    const responses = (): number => outside.proxies.reduce((sum, proxy) => sum + proxy.responses.length, 0);
    const [cpu, before, began] = [outside.cpuSeconds(), responses(), performance.now()];
    let [due, sent, underWay, failed] = [0, 0, 0, 0];
    const seconds = (): number => (performance.now() - began) / 1_000;
    const storm = (async () => {
      while (seconds() < SECONDS) {
        for (; due < seconds() * RATE; due += 1) {
          if (underWay >= AT_ONCE) continue;
          underWay += 1;
          sent += 1;
          void write(due)
            .catch(() => (failed += 1))
            .finally(() => (underWay -= 1));
        }
        await pause(5);
      }
      await waitFor("the last write", () => underWay === 0);
    })();
    storm.catch(() => undefined);
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
    await storm;
    const took = seconds();
    const each = (responses() - before) / outside.proxies.length / took;
    const cores = (outside.cpuSeconds() - cpu) / took;
    const p99Ms = Math.round(quantile(staleMs, 0.99));
    verdict(
      `D-05: ${RATE} writes a second for ${SECONDS} s`,
      p99Ms <= AIM_MS && each <= AIM_RESPONSES && cores <= 1,
      {
        count: sent,
        failed,
        leftOut: due - sent,
        p50Ms: Math.round(quantile(staleMs, 0.5)),
        p99Ms,
        longestMs: Math.round(Math.max(...staleMs)),
        bound: `p99 ${AIM_MS} ms, ${AIM_RESPONSES} responses a second and proxy, 1 core; was ${each.toFixed(1)} for ${outside.proxies.length} proxies, ${cores.toFixed(2)} cores`,
      },
    );
    expect(outside.proxies.filter(({ ended }) => ended !== undefined)).to.deep.equal([]);
    expect(outside.isAlive).to.equal(true);
    expect(p99Ms).to.be.below(LIMIT_MS);
    expect(sent).to.be.above(SECONDS);
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
