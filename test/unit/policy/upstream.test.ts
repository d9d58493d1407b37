import { expect } from "chai";
import { meshConfig, type TestObject } from "../../support/objects";
import { buyer, shopPod, shopService, ShopMesh, thief } from "../../support/shop-mesh";
import { account, retry, upstreamSetting } from "../../support/terms-objects";

const open = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: true, podAddresses: "Mesh" } });
const withRetries = meshConfig({ featureFlags: { enableRetryPolicy: true } });
const cart = shopPod("cart", 1);
const HOST = "cart.shop.svc.cluster.local";
const setting = (spec: object, key = "shop/cart", created?: string) =>
  upstreamSetting(key, { host: HOST, ...spec }, created);
const shop = (...objects: readonly TestObject[]) =>
  new ShopMesh(open, ...shopService("cart", 1), ...shopService("book", 2), ...objects);

describe("upstream traffic settings", () => {
  it("say how clients connect to a Service, and to no other", () => {
    const mesh = shop(
      setting({
        connectionSettings: { tcp: { maxConnections: 1 }, http: { maxPendingRequests: 1 } },
        outlierDetection: { consecutiveErrors: 3 },
        loadBalancing: { policy: "LeastRequest" },
      }),
    );
    const cluster = mesh.leaf("upstream-cluster", "outbound|shop/cart|80", buyer);
    expect(cluster.connection).to.include({ maxConnections: 1, maxPendingRequests: 1 });
    expect(cluster.outlier).to.include({ consecutiveErrors: 3 });
    expect(cluster.loadBalancing).to.deep.equal({ kind: "least-request" });
    expect(cluster.origins.map(({ kind }) => kind)).to.deep.equal(["Service", "UpstreamTrafficSetting"]);
    const direct = mesh.leaf("upstream-cluster", "outbound|shop/cart|80|direct", buyer);
    expect(direct.connection).to.include({ maxConnections: 1 });
    expect(direct).not.to.have.property("loadBalancing");
    expect(mesh.leaf("upstream-cluster", "outbound|shop/book|80", buyer)).not.to.have.property("connection");
    expect(mesh.findings()).to.deep.equal([]);
  });

  it("say how long requests may take and which faults they have, by path", () => {
    const faults = { abort: { httpStatus: 503, percentage: 50 } };
    const mesh = shop(
      setting({
        timeout: "3s",
        httpRoutes: [
          { path: "/slow", timeout: "9s" },
          { path: "/bad", faults },
        ],
        loadBalancing: { policy: "HeaderHash", header: "X-User" },
      }),
    );
    const { rules } = mesh.leaf("route-table", "outbound|shop/cart|80", buyer);
    const said = rules.map(({ name, matches, timeoutMs, fault, hashHeader }) => {
      return [name, matches[0]?.path, timeoutMs, fault?.abort?.status, hashHeader];
    });
    expect(said).to.deep.equal([
      ["any /slow", { kind: "prefix", value: "/slow" }, 9000, undefined, "x-user"],
      ["any /bad", { kind: "prefix", value: "/bad" }, 3000, 503, "x-user"],
      ["any", { kind: "any" }, 3000, undefined, "x-user"],
    ]);
    expect(mesh.get(buyer, 1, "/slow/1").outcome).to.equal("delivered");
  });

  it("say what servers take, of connections, requests and paths", () => {
    const service = { rateLimitService: { host: "limits.example", port: 8081 }, domain: "shop" };
    const perMinute = { requests: 3, unit: "minute" };
    const mesh = shop(
      setting({
        rateLimit: {
          local: { tcp: { connections: 1, unit: "minute", burst: 2 }, http: perMinute },
          global: {
            tcp: { ...service, descriptors: [{ entries: [{ key: "a", value: "b" }] }] },
            http: { ...service, descriptors: [{ entries: [{ genericKey: { value: "v" } }] }] },
          },
        },
        httpRoutes: [{ path: "/get", rateLimit: { local: { ...perMinute, requests: 1 } } }],
      }),
    );
    const [web, bytes] = mesh.leaf("inbound-listener", "inbound", cart).ports;
    expect(web?.localLimit).to.deep.equal({ count: 1, unitMs: 60_000, burst: 2 });
    expect(bytes?.globalTcpLimit).to.include({ cluster: "rate-limit|limits.example|8081", domain: "shop" });
    expect(bytes).not.to.have.property("globalHttpLimit");
    expect(web?.globalHttpLimit).to.include({ cluster: "rate-limit|limits.example|8081", failOpen: true });
    const table = mesh.leaf("route-table", "inbound|8080", cart);
    expect(table.localLimit).to.include({ count: 3, status: 429 });
    expect(
      table.rules.map(rule => [rule.name, rule.localLimit?.count, rule.descriptors?.length]),
    ).to.deep.equal([
      ["any /get", 1, 1],
      ["any", undefined, 1],
    ]);
    const limits = mesh.leaf("external-cluster", "rate-limit|limits.example|8081", cart);
    expect(limits).to.include({ address: "limits.example", port: 8081, http2: true });
    expect(mesh.leaves("external-cluster", buyer)).to.deep.equal([]);
    expect(mesh.get(buyer, 1, "/get").outcome).to.equal("delivered");
  });

  it("of one host: the oldest counts, the other is told", () => {
    const limit = (maxConnections: number) => ({ connectionSettings: { tcp: { maxConnections } } });
    const mesh = shop(
      setting(limit(1), "shop/a-young", "2026-02-01T00:00:00Z"),
      setting(limit(2), "shop/z-old", "2026-01-01T00:00:00Z"),
    );
    const { connection } = mesh.leaf("upstream-cluster", "outbound|shop/cart|80", buyer);
    expect(connection?.maxConnections).to.equal(2);
    expect(mesh.findings()).to.deep.equal(["UpstreamTrafficSetting/shop/a-young Conflicted spec.host"]);
  });

  it("of another namespace, of nothing, and of hosts that nobody refers to: no effect", () => {
    const limit = { connectionSettings: { tcp: { maxConnections: 1 } } };
    const mesh = shop(
      upstreamSetting("web/cart", { host: HOST, ...limit }),
      upstreamSetting("web/gone", { host: "gone.web.svc.cluster.local", ...limit }),
      upstreamSetting("web/outside", { host: "www.api.example.com", ...limit }),
    );
    const cluster = mesh.leaf("upstream-cluster", "outbound|shop/cart|80", buyer);
    expect(cluster).not.to.have.property("connection");
    expect(mesh.findings().filter(found => !found.includes("web/cart"))).to.deep.equal([
      "UpstreamTrafficSetting/web/gone UnresolvedReference spec.host",
      "UpstreamTrafficSetting/web/outside NoEffect spec.host",
    ]);
    expect(mesh.told("UpstreamTrafficSetting", "cart")).to.have.length(1);
  });
});

describe("retries", () => {
  const terms = { retryOn: "5xx,409", numRetries: 5, perTryTimeout: "1s", retryBackoffBaseInterval: "20ms" };
  const again = (spec: object = {}, key = "web/again", created?: string) =>
    retry(
      key,
      {
        source: account("web/buyer"),
        destinations: [{ kind: "Service", name: "cart", namespace: "shop" }],
        retryPolicy: terms,
        ...spec,
      },
      created,
    );
  const retryOf = (mesh: ShopMesh, from: typeof buyer, name = "cart") =>
    mesh.leaf("route-table", `outbound|shop/${name}|80`, from).rules[0]?.retry;

  it("are of their client and their destination alone", () => {
    const mesh = shop(withRetries, again());
    expect(retryOf(mesh, buyer)).to.deep.equal({
      retryOn: ["5xx", "retriable-status-codes"],
      statusCodes: [409],
      perTryTimeoutMs: 1000,
      numRetries: 5,
      backoffBaseMs: 20,
    });
    expect(retryOf(mesh, buyer, "book")).to.equal(undefined);
    expect(retryOf(mesh, thief)).to.equal(undefined);
    expect(mesh.findings()).to.deep.equal([]);
    const { origins } = mesh.leaf("route-table", "outbound|shop/cart|80", buyer).rules[0] ?? {};
    expect(origins?.map(({ kind }) => kind)).to.deep.equal(["Service", "Retry"]);
    mesh.world.drop(again());
    expect(retryOf(mesh, buyer)).to.equal(undefined);
  });

  it("are off unless MeshConfig's flag is on", () => {
    const mesh = shop(again());
    expect(retryOf(mesh, buyer)).to.equal(undefined);
    expect(mesh.findings()).to.deep.equal(["Retry/web/again NoEffect spec"]);
  });

  it("of one client and destination: the oldest counts", () => {
    const young = again({ retryPolicy: { ...terms, numRetries: 1 } }, "web/a-young", "2026-02-01T00:00:00Z");
    const mesh = shop(withRetries, young, again({}, "web/z-old", "2026-01-01T00:00:00Z"));
    expect(retryOf(mesh, buyer)?.numRetries).to.equal(5);
    expect(mesh.findings()).to.deep.equal(["Retry/web/a-young Conflicted spec.destinations"]);
  });

  it("of nobody, to nothing, and of another namespace's client: none, and it is told", () => {
    const gone = [{ kind: "Service", name: "gone", namespace: "shop" }];
    const mesh = shop(
      withRetries,
      again({ source: account("web/nobody"), destinations: gone }),
      again({}, "shop/foreign"),
    );
    expect(retryOf(mesh, buyer)).to.equal(undefined);
    const found = mesh.findings();
    expect(found.slice(-3)).to.deep.equal([
      "Retry/web/again UnresolvedReference spec.destinations",
      "Retry/web/again NoEffect spec.source",
      "Retry/web/again NoEffect spec.source",
    ]);
    expect(found[0]).to.contain("Retry/shop/foreign");
  });
});
