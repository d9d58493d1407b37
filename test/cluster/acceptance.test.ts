import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { ANNOTATION_PERMISSIVE } from "../../src/model/mesh-words";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { serviceAccount } from "./support/manifests";
import { FULL, Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { routeGroup, tcpRoute, trafficSplit, trafficTarget, type SmiRule } from "./support/smi-objects";
import { SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./support/smi-pods";

/** Answers in a row that make a state of the mesh. */
const IN_A_ROW = FULL ? 15 : 5;

/** Pods behind each server. */
const REPLICAS = 2;

/** Rows of Open Service Mesh's own end-to-end list that other tests of this project do not show; see docs/reference/acceptance.md. */
describe("acceptance of Open Service Mesh's list", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let namespace: TestNamespace;
  let client: SmiPod;
  let other: SmiPod;

  const url = (service: string, path = "/anything"): string =>
    `http://${service}.${namespace.name}:${SMI_PORT}${path}`;
  const host = (service: string): string => `${service}.${namespace.name}`;

  before(async () => {
    mesh = await Mesh.open();
    namespace = await TestNamespace.create(mesh, "acceptance", true);
    const servers = ["one", "two", "three"] as const;
    await namespace.apply(
      smiApplication(),
      ...["client", "other", "one", "two"].map(serviceAccount),
      smiDeployment("client", { account: "client" }),
      smiDeployment("other", { account: "other" }),
      smiDeployment("one", { account: "one", app: "server", replicas: REPLICAS }),
      smiDeployment("two", { account: "two", app: "server", replicas: REPLICAS }),
      // Beside `one` it has the same account.
      smiDeployment("three", { account: "one", app: "server", replicas: 1 }),
      smiService("server"),
      ...servers.map(version => smiService(version, { version })),
    );
    await namespace.rolledOut("client", "other", ...servers);
    client = await SmiPod.one(namespace, "client");
    other = await SmiPod.one(namespace, "other");
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  const permissive = (value: "enabled" | "disabled"): Promise<string> =>
    mesh.kubectl.must([
      "annotate",
      "--overwrite",
      "namespace",
      namespace.name,
      `${ANNOTATION_PERMISSIVE}=${value}`,
    ]);

  /** Lets `client` come to servers of this account by these rules. */
  const allow = (destination: string, sources: readonly string[], rules: readonly SmiRule[]): object =>
    trafficTarget(`to-${destination}-${sources.join("-")}`, {
      destination,
      sources,
      rules,
      namespace: namespace.name,
    });

  const withdraw = (): Promise<string> =>
    namespace.kubectl(["delete", "traffictargets,httproutegroups,tcproutes,trafficsplits", "--all"]);

  /** Waits for the state, and then wants it for a number of calls in a row. Gives the last status. */
  const steadily = async (
    pod: SmiPod,
    wanted: "succeeds" | "fails",
    where: string,
  ): Promise<number | undefined> => {
    await pod.until(wanted, where);
    const statuses = await pod.call(where, { times: IN_A_ROW });
    const good = statuses.filter(status => status >= 200 && status < 400).length;
    expect(good, statuses.join(" ")).to.equal(wanted === "succeeds" ? IN_A_ROW : 0);
    return statuses.at(-1);
  };

  /** Every path and method, and every port of TCP. */
  const everything: readonly object[] = [
    routeGroup("all", [{ name: "all", pathRegex: ".*", methods: ["*"] }]),
    tcpRoute("lines", []),
  ];
  const ALL: readonly SmiRule[] = [
    { kind: "HTTPRouteGroup", name: "all" },
    { kind: "TCPRoute", name: "lines" },
  ];

  describe("row 33: permissive mode and SMI in turns", () => {
    let config: LiveMeshConfig;
    const mode = (on: boolean): Promise<void> =>
      config.patch({ traffic: { enablePermissiveTrafficPolicyMode: on } });

    before(async () => {
      config = await LiveMeshConfig.of(mesh);
    });
    after(async () => {
      await config.restore();
      await withdraw();
      await permissive("disabled");
    });

    it("fails, is served, fails, is served, is served by SMI too, and by SMI alone", async () => {
      for (const on of [false, true, false, true]) {
        await mode(on);
        await steadily(client, on ? "succeeds" : "fails", url("one"));
      }
      await namespace.apply(...everything, allow("one", ["client"], ALL));
      await steadily(client, "succeeds", url("one"));
      await mode(false);
      // Who has no permission of SMI shows that the switch is in force.
      await steadily(other, "fails", url("one"));
      await steadily(client, "succeeds", url("one"));
    });
  });

  describe("row 41: TrafficTargets of two sources", () => {
    before(async () => {
      await permissive("disabled");
      const foo = routeGroup("foo", [{ name: "foo", pathRegex: "/foo", methods: ["GET"] }]);
      const rule: SmiRule = { kind: "HTTPRouteGroup", name: "foo" };
      await namespace.apply(
        ...everything,
        foo,
        allow("one", ["client"], ALL.slice(0, 1)),
        allow("one", ["other"], [rule]),
      );
    });
    after(withdraw);

    it("answers the one that may, and the other one with 403 where it may not", async () => {
      await steadily(client, "succeeds", url("one"));
      await steadily(other, "succeeds", url("one", "/foo"));
      expect(await steadily(other, "fails", url("one"))).to.equal(403);
    });

    it("answers neither once the policies are deleted", async () => {
      await withdraw();
      await steadily(client, "fails", url("one"));
      await steadily(other, "fails", url("one", "/foo"));
    });
  });

  describe("row 42: a TrafficTarget outside its destination's namespace", () => {
    let elsewhere: TestNamespace;
    before(async () => {
      elsewhere = await TestNamespace.create(mesh, "elsewhere", true);
      await permissive("disabled");
    });
    after(async () => {
      await mesh.kubectl.attempt(["delete", "namespace", elsewhere.name, "--wait=false"]);
      await withdraw();
    });

    it("allows nothing, whether it is taken or refused", async () => {
      const items = [...everything, allow("one", ["client"], ALL)];
      const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
      await mesh.kubectl.attempt(["-n", elsewhere.name, "apply", "-f", "-"], list);
      // One for another server, written later, shows that the mesh has come as far as that.
      await namespace.apply(...everything, allow("two", ["client"], ALL));
      await steadily(client, "succeeds", url("two"));
      await steadily(client, "fails", url("one"));
    });
  });

  describe("row 45: TCP from client to server", () => {
    after(withdraw);

    it("works in permissive mode", async () => {
      await permissive("enabled");
      expect(await client.untilLine("succeeds", host("one"))).to.equal("one hello\n");
    });

    it("is refused without a TrafficTarget, works with one, and is refused when that is deleted", async () => {
      await permissive("disabled");
      await client.untilLine("fails", host("one"));
      await namespace.apply(tcpRoute("lines", []), allow("one", ["client"], ALL.slice(1)));
      expect(await client.untilLine("succeeds", host("one"))).to.equal("one hello\n");
      expect(await other.line(host("one"))).to.equal("");
      await withdraw();
      await client.untilLine("fails", host("one"));
    });
  });

  /** Pods of these servers. */
  const podsOf = async (...names: readonly string[]): Promise<readonly SmiPod[]> => {
    const count = (name: string): number => (name === "three" ? 1 : REPLICAS);
    return (await Promise.all(names.map(name => SmiPod.all(namespace, name, count(name))))).flat();
  };

  /** Calls over HTTP until each of these pods, and of `idle` none, has answered; no call fails. */
  const reachesByHttp = async (pods: readonly SmiPod[], idle: readonly SmiPod[]): Promise<void> => {
    await until("answers of every pod, and of no other", 30_000, async () => {
      await Promise.all([...pods, ...idle].map(pod => pod.reset()));
      const statuses = await client.call(url("server"), { times: 30 });
      expect(statuses.filter(status => status !== 200)).to.deep.equal([]);
      const answers = async (some: readonly SmiPod[]): Promise<readonly number[]> =>
        (await Promise.all(some.map(pod => pod.metrics()))).map(({ received }) => received["client"] ?? 0);
      const [wanted, unwanted] = await Promise.all([answers(pods), answers(idle)]);
      return Math.min(...wanted) > 0 && Math.max(0, ...unwanted) === 0 ? true : undefined;
    });
  };

  /** The same over TCP. */
  const reachesByTcp = async (pods: readonly SmiPod[], idle: readonly SmiPod[]): Promise<void> => {
    await until("lines of every pod, and of no other", 30_000, async () => {
      await Promise.all([...pods, ...idle].map(pod => pod.reset()));
      for (let n = 0; n < 30; n += 1) expect(await client.line(host("server"))).to.match(/ hello\n$/);
      const counts = async (some: readonly SmiPod[]): Promise<readonly number[]> =>
        (await Promise.all(some.map(pod => pod.metrics()))).map(({ connections }) => connections);
      const [wanted, unwanted] = await Promise.all([counts(pods), counts(idle)]);
      return Math.min(...wanted) > 0 && Math.max(0, ...unwanted) === 0 ? true : undefined;
    });
  };

  const splitOver = (...backends: readonly string[]): object =>
    trafficSplit("split", "server", Object.fromEntries(backends.map(name => [name, 50])));

  /** A split over these servers, for HTTP and TCP; `direct` are those that can be called by name too. */
  const reaches = async (
    backends: readonly string[],
    servers: readonly string[],
    idle: readonly string[],
  ): Promise<void> => {
    await namespace.apply(splitOver(...backends));
    for (const server of servers) {
      await steadily(client, "succeeds", url(server));
      await client.untilLine("succeeds", host(server));
    }
    const [wanted, unwanted] = await Promise.all([podsOf(...servers), podsOf(...idle)]);
    await reachesByHttp(wanted, unwanted);
    await reachesByTcp(wanted, unwanted);
  };

  describe("rows 48 to 50: TrafficSplit", () => {
    before(async () => {
      await permissive("disabled");
      await namespace.apply(...everything, allow("one", ["client"], ALL), allow("two", ["client"], ALL));
    });
    after(async () => {
      await withdraw();
      await permissive("disabled");
    });

    it("row 48: with SMI, every pod of the backends answers by HTTP and TCP, and each backend by its own name", () =>
      reaches(["one", "two"], ["one", "two"], ["three"]));

    it("row 48: a split allows nothing: without its TrafficTarget a backend refuses, by its own name too", async () => {
      await namespace.kubectl(["delete", "traffictarget", "to-two-client"]);
      expect(await steadily(client, "fails", url("two"))).to.equal(403);
      const statuses = await client.call(url("server"), { times: 40 });
      expect([...new Set(statuses)].sort()).to.deep.equal([200, 403]);
    });

    it("row 49: backends of one ServiceAccount", () => reaches(["one", "three"], ["one", "three"], ["two"]));

    it("row 50: the root Service may be a backend of itself", async () => {
      await namespace.apply(allow("two", ["client"], ALL));
      await reaches(["server", "one"], ["one", "two", "three"], []);
    });

    it("row 48: in permissive mode", async () => {
      await withdraw();
      await permissive("enabled");
      await reaches(["one", "two"], ["one", "two"], ["three"]);
    });
  });
});
