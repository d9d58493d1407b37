import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { ANNOTATION_PERMISSIVE } from "../../src/model/mesh-words";
import { LimitServer } from "./support/limit-server";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { serviceAccount } from "./support/manifests";
import { appAt, matrixPod, matrixService, shipApplication } from "./support/matrix-pods";
import { PORTS } from "./support/matrix-words";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { routeGroup, trafficTarget } from "./support/smi-objects";
import { SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./support/smi-pods";

const POLICY = "policy.openservicemesh.io/v1alpha1";

/** Requests a minute, and calls that are made. */
const LIMIT = 3;
const CALLS = 10;

/** Retries that the policy asks for. */
const RETRIES = 5;

/** Rows of Open Service Mesh's own list about how calls are made and taken; see docs/reference/acceptance.md. */
describe("acceptance of Open Service Mesh's list: limits, retries, identity", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let namespace: TestNamespace;
  let client: SmiPod;
  let server: SmiPod;

  const url = (path: string): string => `http://server.${namespace.name}:${SMI_PORT}${path}`;

  before(async () => {
    mesh = await Mesh.open();
    namespace = await TestNamespace.create(mesh, "terms", true);
    await mesh.kubectl.must(["annotate", "namespace", namespace.name, `${ANNOTATION_PERMISSIVE}=enabled`]);
    await namespace.apply(
      smiApplication(),
      serviceAccount("client"),
      smiDeployment("client", { account: "client" }),
      smiDeployment("server"),
      smiService("server"),
      ...LimitServer.manifests(),
    );
    client = await SmiPod.one(namespace, "client");
    server = await SmiPod.one(namespace, "server");
    await client.until("succeeds", url("/echo"));
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  it("row 43: the caller is known by its SPIFFE identity", async () => {
    const { certificate } = JSON.parse(await client.read(url("/echo"))) as { certificate: string };
    expect(certificate).to.include(`URI=spiffe://cluster.local/ns/${namespace.name}/sa/client`);
  });

  const setting = (spec: object): object => ({
    apiVersion: POLICY,
    kind: "UpstreamTrafficSetting",
    metadata: { name: "server" },
    spec: { host: `server.${namespace.name}.svc.cluster.local`, ...spec },
  });

  const unlimited = async (path: string): Promise<void> => {
    await namespace.kubectl(["delete", "upstreamtrafficsetting", "server"]);
    await until("the end of the limit", 30_000, async () => {
      const statuses = await client.call(url(path), { times: CALLS });
      return statuses.every(status => status < 300) ? true : undefined;
    });
  };

  it("row 15: a local rate limit answers 429 beyond it, and is gone with its object", async () => {
    const http = { requests: LIMIT, unit: "minute" };
    await namespace.apply(setting({ rateLimit: { local: { http } } }));
    await client.until("fails", url("/echo"));
    await server.reset();
    const statuses = await client.call(url("/echo"), { times: CALLS });
    expect(new Set(statuses)).to.deep.equal(new Set([429]));
    expect((await server.metrics()).received, "what the application has seen").to.deep.equal({});
    await unlimited("/echo");
  });

  it("row 15: a path's limit holds on that path only", async () => {
    const local = { requests: LIMIT, unit: "hour" };
    const httpRoutes = [{ path: "/status/202", rateLimit: { local } }];
    await namespace.apply(setting({ httpRoutes }));
    await client.until("fails", url("/status/202"));
    const limited = await client.call(url("/status/202"), { times: CALLS });
    expect(new Set(limited)).to.deep.equal(new Set([429]));
    const others = await client.call(url("/echo"), { times: CALLS });
    expect(new Set(others)).to.deep.equal(new Set([200]));
    await unlimited("/status/202");
  });

  it("row 14: a rate limit server is asked with generic key, remote address and header, and what it says holds", async () => {
    const limits = await LimitServer.of(namespace);
    const asks = (entry: object): object => ({ entries: [entry] });
    const http = {
      rateLimitService: limits.service,
      domain: "shop",
      timeout: "10s",
      failOpen: false,
      descriptors: [
        asks({ genericKey: { value: "any" } }),
        asks({ remoteAddress: {} }),
        asks({ requestHeader: { name: "x-user", key: "user" } }),
      ],
    };
    await namespace.apply(setting({ rateLimit: { global: { http } } }));
    const held = async (limit: Readonly<Record<string, number>>): Promise<readonly string[]> =>
      until(`429 beyond ${JSON.stringify(limit)}`, 60_000, async () => {
        await limits.allow(limit);
        const statuses = await client.call(url("/echo"), { times: LIMIT + 1, headers: { "x-user": "ann" } });
        const passed = statuses.filter(status => status === 200);
        return passed.length === LIMIT && statuses.at(-1) === 429 ? limits.asked() : undefined;
      });
    const asked = await held({ "generic_key=any": LIMIT });
    const [, address] = /^shop: generic_key=any remote_address=(\S+) user=ann$/.exec(asked[0] ?? "") ?? [];
    expect(address, asked[0]).to.equal((await namespace.readyPod("client")).status.podIP);
    await held({ [`remote_address=${address ?? ""}`]: LIMIT });
    await held({ "user=ann": LIMIT });
    expect(await client.call(url("/echo"), { headers: { "x-user": "bob" } })).to.deep.equal([200]);
    expect(await client.call(url("/echo")), "a descriptor of a header that is not there").to.deep.equal([
      200,
    ]);
    await limits.allow({ "generic_key=any": 0 });
    await unlimited("/echo");
  });

  describe("rows 39 and 40: Retry", () => {
    let config: LiveMeshConfig;
    const flag = (enableRetryPolicy: boolean): Promise<void> =>
      config.patch({ featureFlags: { enableRetryPolicy } });

    before(async () => {
      config = await LiveMeshConfig.of(mesh);
      await namespace.apply({
        apiVersion: POLICY,
        kind: "Retry",
        metadata: { name: "server" },
        spec: {
          source: { kind: "ServiceAccount", name: "client", namespace: namespace.name },
          destinations: [{ kind: "Service", name: "server", namespace: namespace.name }],
          retryPolicy: {
            retryOn: "5xx",
            numRetries: RETRIES,
            perTryTimeout: "5s",
            retryBackoffBaseInterval: "20ms",
          },
        },
      });
    });
    after(async () => {
      await config.restore();
    });

    /** How often the application was asked for one call that got this status. */
    const attempts = async (status: number): Promise<number> => {
      await server.reset();
      expect(await client.call(url(`/status/${status}`))).to.deep.equal([status]);
      return (await server.metrics()).received["client"] ?? 0;
    };

    /** Ten times in a row: one time may be of the first worker of a sidecar alone. */
    const untilAttempts = (wanted: number): Promise<number> =>
      until(`${wanted} attempts`, 30_000, async () => {
        for (let n = 0; n < 10; n += 1) if ((await attempts(503)) !== wanted) return undefined;
        return wanted;
      });

    it("row 39: sends a call again as often as it says, for failures that it names only", async () => {
      await flag(true);
      await untilAttempts(1 + RETRIES);
      report(`one call that fails is made ${1 + RETRIES} times`);
      expect(await attempts(404)).to.equal(1);
      expect(await attempts(200)).to.equal(1);
    });

    it("row 40: does nothing while MeshConfig's enableRetryPolicy is off", async () => {
      await flag(false);
      await untilAttempts(1);
      expect(await attempts(503)).to.equal(1);
    });
  });
});

describe("acceptance of Open Service Mesh's list: gRPC by SMI", function () {
  this.timeout(300_000);

  after(async () => {
    await TestNamespace.removeAll();
  });

  it("row 16: a method that an HTTPRouteGroup names is served, others are not, and none once it is deleted", async () => {
    const mesh = await Mesh.open();
    const namespace = await TestNamespace.create(mesh, "grpc", true);
    await mesh.kubectl.must(["annotate", "namespace", namespace.name, `${ANNOTATION_PERMISSIVE}=disabled`]);
    await shipApplication(namespace);
    const say = { name: "say", pathRegex: "/test.Echo/Say", methods: ["POST"] };
    await namespace.apply(
      ...["client", "server"].map(serviceAccount),
      matrixService("server", "server", [["rpc", PORTS.grpc, PORTS.grpc, "grpc"]]),
      matrixPod("client", { serviceAccount: "client" }),
      matrixPod("server", { serviceAccount: "server" }),
    );
    const client = appAt((await namespace.readyPod("client")).status.podIP);
    await namespace.readyPod("server");
    const address = `server.${namespace.name}:${PORTS.grpc}`;
    const outcome = (call: () => Promise<unknown>): Promise<string> =>
      call().then(
        () => "served",
        (error: unknown) => String(error),
      );
    const untilSay = (wanted: RegExp): Promise<string> =>
      until(`gRPC that is ${String(wanted)}`, 30_000, async () => {
        const got = await outcome(() => client.callGrpc(address, "hello"));
        return wanted.test(got) ? got : undefined;
      });
    await untilSay(/PERMISSION_DENIED/);
    await namespace.apply(
      routeGroup("rpc", [say]),
      trafficTarget("rpc", {
        destination: "server",
        sources: ["client"],
        rules: [{ kind: "HTTPRouteGroup", name: "rpc" }],
        namespace: namespace.name,
      }),
    );
    await untilSay(/^served$/);
    expect(await outcome(() => client.countGrpc(address, 3))).to.match(/PERMISSION_DENIED/);
    await namespace.kubectl(["delete", "traffictarget/rpc", "httproutegroup/rpc"]);
    await untilSay(/PERMISSION_DENIED/);
  });
});
