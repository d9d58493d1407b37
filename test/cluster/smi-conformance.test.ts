import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { ANNOTATION_PERMISSIVE } from "../../src/model/mesh-words";
import { Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { routeGroup, tcpRoute, trafficSplit, trafficTarget } from "./support/smi-objects";
import {
  SMI_PORT,
  smiApplication,
  smiDeployment,
  smiService,
  SmiPod,
  type SmiMetrics,
} from "./support/smi-pods";

const APPS = ["a", "b", "c"].map(letter => ({ app: `app-${letter}`, account: `service-${letter}` }));

/** Calls over which the shares of a split are told: so many that of 3 to 1 the smaller share is never the larger one. */
const CALLS = 120;

interface Definition {
  readonly spec: { readonly names: { readonly kind: string; readonly shortNames?: readonly string[] } };
  readonly status: { readonly conditions: readonly { readonly type: string; readonly status: string }[] };
}

/** The suite looks for definitions of `apiextensions.k8s.io/v1beta1`, which Kubernetes has not served since 1.22; so v1 it is. */
async function expectKind(mesh: Mesh, definition: string, kind: string, shortName: string): Promise<void> {
  const { spec, status } = await mesh.kubectl.json<Definition>([
    "get",
    "customresourcedefinitions.v1.apiextensions.k8s.io",
    definition,
  ]);
  expect(spec.names.kind).to.equal(kind);
  expect(spec.names.shortNames).to.include(shortName);
  expect(status.conditions.find(({ type }) => type === "Established")?.status).to.equal("True");
}

async function startApplications(namespace: TestNamespace): Promise<void> {
  const accounts = APPS.map(({ account }) => ({
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: account },
  }));
  await namespace.apply(
    smiApplication(),
    ...accounts,
    ...APPS.map(({ app, account }) => smiDeployment(app, { account })),
    ...APPS.map(({ app }) => smiService(app, { app }, "NodePort")),
  );
  await namespace.rolledOut(...APPS.map(({ app }) => app));
}

/** Nothing is allowed in this namespace that no TrafficTarget allows; other namespaces go on as they are. */
async function denyAll(namespace: TestNamespace): Promise<void> {
  await namespace.mesh.kubectl.must([
    "annotate",
    "namespace",
    namespace.name,
    `${ANNOTATION_PERMISSIVE}=disabled`,
  ]);
}

/** What both pods count of one more call of `a`, once such calls end as wanted. */
async function oneCall(
  pods: { readonly a: SmiPod; readonly b: SmiPod },
  wanted: "succeeds" | "fails",
  url: string,
  method = "GET",
): Promise<{ readonly a: SmiMetrics; readonly b: SmiMetrics }> {
  await pods.a.until(wanted, url, { method });
  await Promise.all([pods.a.reset(), pods.b.reset()]);
  await pods.a.call(url, { method });
  return { a: await pods.a.metrics(), b: await pods.b.metrics() };
}

const FAILED = { succeeded: 0, failed: 1 };
const SUCCEEDED = { succeeded: 1, failed: 0 };

describe("SMI conformance: traffic access and traffic specs", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let namespace: TestNamespace;
  let pods: { readonly a: SmiPod; readonly b: SmiPod };
  let base: string;

  before(async () => {
    mesh = await Mesh.open();
    namespace = await TestNamespace.create(mesh, "smi", true);
    await denyAll(namespace);
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  it("TA-1: the kind TrafficTarget is there", () =>
    expectKind(mesh, "traffictargets.access.smi-spec.io", "TrafficTarget", "tt"));

  it("TA-2, TSC-2: accounts, Deployments and NodePort Services of three applications", async () => {
    await startApplications(namespace);
    const [a, b] = await Promise.all(["app-a", "app-b"].map(app => SmiPod.one(namespace, app)));
    if (a === undefined || b === undefined) throw new Error("no pods");
    pods = { a, b };
    base = `http://app-b.${namespace.name}:${SMI_PORT}`;
    const { type, ports } = (
      JSON.parse(await namespace.kubectl(["get", "service", "app-b", "-o", "json"])) as {
        spec: { type: string; ports: { name: string }[] };
      }
    ).spec;
    expect(type).to.equal("NodePort");
    expect(ports[0]?.name).to.equal("http");
  });

  it("TA-3: without a TrafficTarget a's call of b fails", async () => {
    const { a, b } = await oneCall(pods, "fails", `${base}/echo`);
    expect(a).to.include(FAILED);
    expect(b.received).to.deep.equal({});
  });

  it("TA-4, TA-5: a TrafficTarget with nothing but a TCPRoute of no ports lets HTTP through, once for one call", async () => {
    await namespace.apply(
      tcpRoute("tcp-route", []),
      trafficTarget("target", {
        destination: "service-b",
        sources: ["service-a"],
        rules: [{ kind: "TCPRoute", name: "tcp-route" }],
        namespace: namespace.name,
      }),
    );
    const { a, b } = await oneCall(pods, "succeeds", `${base}/echo`, "POST");
    expect(a).to.include(SUCCEEDED);
    expect(b.received).to.deep.equal({ "app-a": 1 });
  });

  it("TA-6, TA-7: with both deleted it fails again", async () => {
    await namespace.kubectl(["delete", "traffictarget/target", "tcproute/tcp-route"]);
    const { a, b } = await oneCall(pods, "fails", `${base}/echo`);
    expect(a).to.include(FAILED);
    expect(b.received).to.deep.equal({});
  });

  it("TSC-1: the kind HTTPRouteGroup is there", () =>
    expectKind(mesh, "httproutegroups.specs.smi-spec.io", "HTTPRouteGroup", "htr"));

  const target = (match: string): object =>
    trafficTarget("target", {
      destination: "service-b",
      sources: ["service-a"],
      rules: [{ kind: "HTTPRouteGroup", name: "routes", matches: [match] }],
      port: SMI_PORT,
      namespace: namespace.name,
    });

  it("TSC-3, TSC-4: routes with their matches at the top allow /metrics with every method, and /echo not", async () => {
    const matches = [{ name: "metrics", pathRegex: "/metrics", methods: ["*"] }];
    // The suite writes the matches where old versions have them, beside spec.
    const written = {
      apiVersion: "specs.smi-spec.io/v1alpha4",
      kind: "HTTPRouteGroup",
      metadata: { name: "routes" },
      matches,
    };
    await namespace.apply(written, target("metrics"));
    for (const method of ["GET", "DELETE"]) {
      expect(await pods.a.until("succeeds", `${base}/metrics`, { method })).to.equal(200);
    }
    const { a, b } = await oneCall(pods, "fails", `${base}/echo`);
    expect(a).to.include(FAILED);
    expect(b.received).to.deep.equal({});
  });

  it("TSC-5, TSC-6: a match of GET alone allows GET, and refuses POST", async () => {
    await namespace.kubectl(["delete", "httproutegroup", "routes"]);
    const matches = [{ name: "everything", pathRegex: ".*", methods: ["GET"] }];
    await namespace.apply(routeGroup("routes", matches), target("everything"));
    const read = await oneCall(pods, "succeeds", `${base}/echo`);
    expect(read.a).to.include(SUCCEEDED);
    expect(read.b.received).to.deep.equal({ "app-a": 1 });
    const written = await oneCall(pods, "fails", `${base}/echo`, "POST");
    expect(written.a).to.include(FAILED);
    expect(written.b.received).to.deep.equal({});
  });
});

describe("SMI conformance: traffic split", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let namespace: TestNamespace;
  let a: SmiPod;
  let backends: readonly SmiPod[];
  let url: string;

  /** How many of these calls each backend got, in the order b, c. */
  const shares = async (calls: number): Promise<readonly [number, number]> => {
    await Promise.all(backends.map(each => each.reset()));
    const statuses = await a.call(url, { times: calls });
    expect(statuses.filter(status => status !== 200)).to.deep.equal([]);
    const counts = await Promise.all(backends.map(each => each.metrics()));
    const [b = 0, c = 0] = counts.map(({ received }) => received["app-a"] ?? 0);
    return [b, c];
  };

  /** Applies the split and waits until the shares of a few calls look like it; gives those of the calls that count. */
  const split = async (
    b: number,
    c: number,
    inForce: (b: number, c: number) => boolean,
  ): Promise<readonly [number, number]> => {
    await namespace.apply(trafficSplit("split", "app-svc", { "app-b": b, "app-c": c }, "v1alpha4"));
    await until("the split to show", 30_000, async () => {
      return inForce(...(await shares(CALLS))) ? true : undefined;
    });
    return shares(CALLS);
  };

  before(async () => {
    mesh = await Mesh.open();
    namespace = await TestNamespace.create(mesh, "smi-split", true);
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  it("TS-1: the kind TrafficSplit is there", () =>
    expectKind(mesh, "trafficsplits.split.smi-spec.io", "TrafficSplit", "ts"));

  it("TS-2: one Service over two applications, all of account default", async () => {
    await namespace.apply(
      smiApplication(),
      smiDeployment("app-a"),
      ...["app-b", "app-c"].map(name => smiDeployment(name, { app: "app-svc" })),
      smiService("app-svc"),
      ...["app-b", "app-c"].map(version => smiService(version, { version })),
    );
    await namespace.rolledOut("app-a", "app-b", "app-c");
    a = await SmiPod.one(namespace, "app-a");
    backends = await Promise.all(["app-b", "app-c"].map(name => SmiPod.one(namespace, name)));
    // As the suite writes it, with the dot of a complete name.
    url = `http://app-svc.${namespace.name}.svc.cluster.local.:${SMI_PORT}/echo`;
    await a.until("succeeds", url);
  });

  it("TS-3: without a split both get their part", async () => {
    const [b, c] = await shares(CALLS);
    expect(b + c).to.equal(CALLS);
    expect(Math.min(b, c)).to.be.greaterThan(0);
  });

  it("TS-4, TS-5: 1 to 0, all calls go to b", async () => {
    expect(await split(1, 0, (_, c) => c === 0)).to.deep.equal([CALLS, 0]);
  });

  it("TS-6, TS-7: 0 to 1, all calls go to c", async () => {
    expect(await split(0, 1, b => b === 0)).to.deep.equal([0, CALLS]);
  });

  it("TS-8, TS-9: 75 to 25, b gets more", async () => {
    const [b, c] = await split(75, 25, (b, c) => b > c);
    expect(b + c).to.equal(CALLS);
    expect(b).to.be.greaterThan(c);
  });

  it("TS-10, TS-11: 25 to 75, c gets more", async () => {
    const [b, c] = await split(25, 75, (b, c) => c > b);
    expect(b + c).to.equal(CALLS);
    expect(c).to.be.greaterThan(b);
  });
});
