import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { ANNOTATION_PERMISSIVE } from "../../src/model/mesh-words";
import { Mesh, report } from "./support/mesh";
import { increaseOf, quantileOf, sumOf, type Sample } from "../support/prometheus";
import { TestNamespace } from "./support/namespace";
import { trafficSplit } from "./support/smi-objects";
import { SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./support/smi-pods";

/** What Flagger calls its target; the Services beside it are named after it. */
const APEX = "podinfo";
const PRIMARY = `${APEX}-primary`;
const CANARY = `${APEX}-canary`;

/** Calls over which weights are told. */
const CALLS = 40;

/** Share of calls that the canary got, from 0 to 1. */
type InForce = (canary: number) => boolean;

interface Split {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string };
  readonly spec: { readonly backends: readonly { readonly service: string; readonly weight: number }[] };
}

/**
 * What Flagger's router for SMI v1alpha2 does (provider `osm`), step for step: it makes one TrafficSplit named as the apex
 * Service, and from then on reads it, changes the weights in what it read, and writes the whole back.
 */
describe("Flagger's contract", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let namespace: TestNamespace;
  let client: SmiPod;
  let primary: SmiPod;
  let canary: SmiPod;
  let uid: string;

  const address = (service: string): string => `http://${service}.${namespace.name}:${SMI_PORT}/echo`;

  before(async () => {
    mesh = await Mesh.open();
    namespace = await TestNamespace.create(mesh, "flagger", true);
    await mesh.kubectl.must(["annotate", "namespace", namespace.name, `${ANNOTATION_PERMISSIVE}=enabled`]);
    // Flagger copies the target Deployment to one called primary, and leads the apex Service there.
    await namespace.apply(
      smiApplication(),
      smiDeployment("client"),
      smiDeployment(PRIMARY),
      smiDeployment(APEX),
      smiService(APEX, { app: PRIMARY }),
      smiService(PRIMARY, { app: PRIMARY }),
      smiService(CANARY, { app: APEX }),
    );
    client = await SmiPod.one(namespace, "client");
    primary = await SmiPod.one(namespace, PRIMARY);
    canary = await SmiPod.one(namespace, APEX);
    for (const service of [APEX, PRIMARY, CANARY]) await client.until("succeeds", address(service));
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  const read = async (): Promise<Split> => {
    return JSON.parse(
      await namespace.kubectl(["get", `trafficsplits.v1alpha2.split.smi-spec.io/${APEX}`, "-o", "json"]),
    ) as Split;
  };

  const setRoutes = async (primaryWeight: number, canaryWeight: number): Promise<void> => {
    const weights: Readonly<Record<string, number>> = { [PRIMARY]: primaryWeight, [CANARY]: canaryWeight };
    // What it read may have got a status since: Flagger too is refused then, and does the step again.
    await until("the weights to be written", 30_000, async () => {
      const split = await read();
      const backends = split.spec.backends.map(each => ({ ...each, weight: weights[each.service] }));
      const changed = { ...split, spec: { ...split.spec, backends } };
      await namespace.kubectl(["replace", "-f", "-"], JSON.stringify(changed));
      return true;
    });
  };

  const share = async (): Promise<number> => {
    await Promise.all([primary.reset(), canary.reset()]);
    const statuses = await client.call(address(APEX), { times: CALLS });
    expect(statuses.filter(status => status !== 200)).to.deep.equal([]);
    const counts = await Promise.all([primary, canary].map(pod => pod.metrics()));
    const [stayed = 0, moved = 0] = counts.map(({ received }) => received["client"] ?? 0);
    expect(stayed + moved).to.equal(CALLS);
    return moved / CALLS;
  };

  const untilShare = async (inForce: InForce): Promise<number> => {
    await until("the weights to show", 30_000, async () => (inForce(await share()) ? true : undefined));
    return share();
  };

  it("takes the TrafficSplit v1alpha2 that Flagger makes, named as the apex, all for the primary", async () => {
    await namespace.apply(trafficSplit(APEX, APEX, { [CANARY]: 0, [PRIMARY]: 100 }));
    const { metadata, spec } = await read();
    uid = metadata.uid;
    expect(spec.backends).to.deep.equal([
      { service: CANARY, weight: 0 },
      { service: PRIMARY, weight: 100 },
    ]);
    expect(await untilShare(canary => canary === 0)).to.equal(0);
  });

  it("keeps all three Services within reach while the split is there", async () => {
    for (const [service, pod] of [
      [APEX, primary],
      [PRIMARY, primary],
      [CANARY, canary],
    ] as const) {
      await pod.reset();
      expect(await client.call(address(service))).to.deep.equal([200]);
      expect((await pod.metrics()).received, service).to.deep.equal({ client: 1 });
    }
  });

  const STEPS: readonly (readonly [canary: number, least: number, most: number])[] = [
    [50, 0.2, 0.8],
    [100, 1, 1],
    [0, 0, 0],
  ];
  for (const [weight, least, most] of STEPS) {
    it(`follows weights that are changed in place: ${100 - weight} and ${weight}`, async () => {
      await setRoutes(100 - weight, weight);
      const got = await untilShare(canary => canary >= least && canary <= most);
      report(
        `weights ${100 - weight}/${weight}: the canary got ${Math.round(got * CALLS)} of ${CALLS} calls`,
      );
      expect(got).to.be.within(least, most);
      expect((await read()).metadata.uid, "the same object").to.equal(uid);
    });
  }

  it("reads back the weights it wrote, zero among them", async () => {
    const { spec } = await read();
    const weights = Object.fromEntries(spec.backends.map(({ service, weight }) => [service, weight]));
    expect(weights).to.deep.equal({ [PRIMARY]: 100, [CANARY]: 0 });
  });

  /** The scrapes before and after calls of the canary, the second of them once all is counted. */
  const scrapesAround = async (
    calls: Readonly<Record<string, number>>,
  ): Promise<readonly [readonly Sample[], readonly Sample[]]> => {
    // Counters show at once, histograms after some seconds: what was called before is no part of it.
    const before = await until("earlier calls to be counted", 60_000, async () => {
      const scrape = await client.scrape();
      const [counted, timed] = ["osm_request_total", "osm_request_duration_ms_count"].map(name =>
        sumOf(scrape, name, target()),
      );
      return counted === timed ? scrape : undefined;
    });
    let count = 0;
    for (const [path, times] of Object.entries(calls)) {
      await client.call(`http://${CANARY}.${namespace.name}:${SMI_PORT}${path}`, { times });
      count += times;
    }
    const after = await until("the calls to be counted", 60_000, async () => {
      const scrapes = [before, await client.scrape()] as const;
      const told = increaseOf(scrapes, "osm_request_duration_ms_count", target()) >= count;
      return told ? scrapes[1] : undefined;
    });
    return [before, after];
  };
  /** How Flagger's queries choose the series of its target. */
  const target = (): Readonly<Record<string, string>> => ({
    destination_namespace: namespace.name,
    destination_kind: "Deployment",
    destination_name: APEX,
  });

  it("counts requests for Flagger's two queries: success rate and 99th percentile of the target Deployment", async () => {
    const scrapes = await scrapesAround({ "/echo": 15, "/status/503": 5 });
    const good = { ...target(), response_code: (code: string) => !/^5.*$/.test(code) };
    const rate =
      (increaseOf(scrapes, "osm_request_total", good) / increaseOf(scrapes, "osm_request_total", target())) *
      100;
    expect(rate).to.equal(75);
    const p99 = quantileOf(scrapes, 0.99, "osm_request_duration_ms", target());
    report(`success rate ${rate} %, 99th percentile ${p99.toFixed(1)} ms`);
    expect(p99).to.be.within(Number.MIN_VALUE, 30_000);
  });

  it("counts with both ends, as many requests as there were (row 29)", async () => {
    const scrapes = await scrapesAround({ "/echo": 10 });
    const [clientPod, canaryPod] = await Promise.all(
      ["client", APEX].map(async app => (await namespace.readyPod(app)).metadata.name),
    );
    const ends = {
      source_namespace: namespace.name,
      source_kind: "Deployment",
      source_name: "client",
      source_pod: clientPod ?? "",
      ...target(),
      destination_pod: canaryPod ?? "",
    };
    expect(increaseOf(scrapes, "osm_request_total", { ...ends, response_code: "200" })).to.equal(10);
    expect(increaseOf(scrapes, "osm_request_total", target())).to.equal(10);
    expect(increaseOf(scrapes, "osm_request_duration_ms_count", ends)).to.equal(10);
    expect(increaseOf(scrapes, "osm_request_duration_ms_bucket", { ...ends, le: "+Inf" })).to.equal(10);
  });
});
