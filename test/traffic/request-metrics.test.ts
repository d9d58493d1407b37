import { expect } from "chai";
import { PORT_METRICS } from "../../src/model/mesh-words";
import type { Party } from "../../src/model/owner";
import type { Leaf, Permission, RouteTableLeaf } from "../../src/policy/types";
import { type Mesh, startMesh } from "../support/mesh";
import {
  everyRequest,
  inboundLeaves,
  outboundLeaves,
  podLeaves,
  serviceLeaves,
  type TestPort,
  type TestService,
} from "../support/mesh-leaves";
import { type Sample, samplesOf, type Selector, sumOf } from "../support/prometheus";
import { waitFor } from "../support/wait";

const BUYER = { namespace: "web", serviceAccount: "buyer" };
const SERVER = { namespace: "shop", serviceAccount: "server" };
const party = (namespace: string, name: string): Party => ({
  namespace,
  kind: "Deployment",
  name,
  pod: `${name}-7d9f-x2`,
});
const CLIENT = party("web", "buyer.v1");
const CART = party("shop", "cart");
/** A pod that is gone and still an endpoint. */
const GONE = party("shop", "gone");
const PEER: Party = { ...party("shop", "peers"), kind: "StatefulSet" };

const HTTP: TestPort = { port: 80, targetPort: 8080, protocol: "http" };
const GRPC: TestPort = { port: 90, targetPort: 9000, protocol: "grpc" };
const NOBODY: Permission = { kind: "allow", identities: [] };

const UNKNOWN: Party = { namespace: "unknown", kind: "unknown", name: "unknown", pod: "unknown" };

const labelsOf = (side: "source" | "destination", { namespace, kind, name, pod }: Party): Selector => ({
  [`${side}_namespace`]: namespace,
  [`${side}_kind`]: kind,
  [`${side}_name`]: name,
  [`${side}_pod`]: pod,
});
const BETWEEN = { ...labelsOf("source", CLIENT), ...labelsOf("destination", CART) };

/** First `/forbidden` for nobody, then everything for everybody. */
function rules(cluster: string): RouteTableLeaf["rules"] {
  const [all] = everyRequest([{ cluster, weight: 1 }], { kind: "anyone" });
  if (all === undefined) throw new Error("no rule");
  const matches = [{ path: { kind: "prefix" as const, value: "/forbidden" }, methods: [], headers: [] }];
  const grpc = [{ path: { kind: "exact" as const, value: "/test.Echo/Count" }, methods: [], headers: [] }];
  return [{ ...all, name: "forbidden", matches: [...matches, ...grpc], permission: NOBODY }, all];
}

/** Says of endpoints whose they are. */
function known(leaves: readonly Leaf[], whose: Party): Leaf[] {
  return leaves.map((leaf): Leaf => {
    if (leaf.kind !== "endpoint-set") return leaf;
    return { ...leaf, endpoints: leaf.endpoints.map(endpoint => ({ ...endpoint, party: whose })) };
  });
}

describe("request metrics", () => {
  let mesh: Mesh;
  const service = (name: string, address: string, endpoints: readonly string[]): TestService => ({
    name,
    addresses: [address],
    endpoints,
    identities: [SERVER],
    ports: [HTTP, GRPC],
  });
  const scrape = async (pod: string): Promise<readonly Sample[]> => {
    const call = { host: mesh.ip(pod), port: PORT_METRICS, path: "/stats/prometheus" };
    // As a Prometheus that would rather have something else.
    const headers = { accept: "application/vnd.google.protobuf", "accept-encoding": "gzip" };
    const { status, body } = await mesh.app("outside").callHttp({ ...call, headers });
    expect(status).to.equal(200);
    return samplesOf(body);
  };
  const total = async (pod: string, selector: Selector): Promise<number> =>
    sumOf(await scrape(pod), "osm_request_total", selector);
  /**
   * Does something, and expects it to add so much to the count of a pod. A request is counted when it is over, which may be
   * after the caller has its answer.
   */
  const adds = async (
    count: number,
    selector: Selector,
    act: () => Promise<unknown>,
    pod = "client",
  ): Promise<void> => {
    const before = await total(pod, selector);
    await act();
    await waitFor("the count", async () => (await total(pod, selector)) >= before + count);
    expect(await total(pod, selector)).to.equal(before + count);
  };
  const get = async (host: string, path = "/"): Promise<number> =>
    (await mesh.app("client").callHttp({ host, port: HTTP.port, path })).status;
  const grpcFails = async (address: string, count: number): Promise<void> => {
    let failed = 0;
    for (let i = 0; i < count; i += 1) {
      await mesh
        .app("client")
        .countGrpc(address, 1)
        .catch(() => (failed += 1));
    }
    expect(failed).to.equal(count);
  };

  before(async () => {
    mesh = await startMesh(
      { client: BUYER, quiet: BUYER, server: SERVER, outside: undefined },
      { client: CLIENT, server: CART },
    );
    await Promise.all([mesh.app("server").serveHttp(8080), mesh.app("server").serveGrpc(9000)]);
    const cart = known(serviceLeaves(service("cart", "10.98.0.1", [mesh.ip("server")])), CART);
    // Nothing listens at the inbound port of a pod without a sidecar.
    const gone = known(serviceLeaves(service("gone", "10.98.0.2", [mesh.ip("outside")])), GONE);
    const empty = serviceLeaves(service("empty", "10.98.0.3", []));
    const peers = podLeaves(service("peers", "", [mesh.ip("server")])).map(
      (leaf): Leaf => (leaf.kind === "outbound-listener" ? { ...leaf, party: PEER } : leaf),
    );
    for (const pod of ["client", "quiet"])
      mesh.configure(pod, [...outboundLeaves(true), ...cart, ...gone, ...empty, ...peers]);
    const terms = { plaintext: { routeTable: undefined } };
    mesh.configure("server", [
      ...outboundLeaves(true),
      ...inboundLeaves(SERVER, [
        { port: 8080, protocol: "http", rules: rules("local|8080"), terms },
        { port: 9000, protocol: "grpc", rules: rules("local|9000") },
      ]),
    ]);
    for (const pod of ["client", "quiet"])
      for (const port of [HTTP.port, 8080])
        await waitFor(`the way of ${pod} to port ${port}`, async () => {
          const host = port === 8080 ? mesh.ip("server") : "10.98.0.1";
          const call = mesh.app(pod).callHttp({ host, port, path: "/ready" });
          return (await call.catch(() => undefined))?.status === 200;
        });
  }).timeout(60_000);

  after(() => mesh.close());

  it("count answers with both ends and the code", async () => {
    const ok = { ...BETWEEN, response_code: "200" };
    for (let i = 0; i < 2; i += 1)
      await adds(1, ok, async () => {
        expect(await get("10.98.0.1")).to.equal(200);
      });
  });

  it("count refusals of the server", async () => {
    await adds(2, { ...BETWEEN, response_code: "403" }, async () => {
      expect(await get("10.98.0.1", "/forbidden")).to.equal(403);
      expect(await get("10.98.0.1", "/forbidden/2")).to.equal(403);
    });
  });

  it("count connections that fail with their destination, which OSM could not", async () => {
    await adds(1, { ...labelsOf("destination", GONE), response_code: "503" }, async () => {
      expect(await get("10.98.0.2")).to.equal(503);
    });
  });

  it("count what has no destination as unknown", async () => {
    await adds(1, { ...labelsOf("destination", UNKNOWN), response_code: "503" }, async () => {
      expect(await get("10.98.0.3")).to.equal(503);
    });
  });

  it("count a gRPC request by its status, as the HTTP code of that meaning", async () => {
    await adds(1, { ...BETWEEN, response_code: "200" }, async () => {
      expect(await mesh.app("client").callGrpc("10.98.0.1:90", "hello")).to.equal("server:hello");
    });
    await adds(2, { ...BETWEEN, response_code: "403" }, () => grpcFails("10.98.0.1:90", 2));
    await adds(3, { ...labelsOf("destination", GONE), response_code: "503" }, () =>
      grpcFails("10.98.0.2:90", 3),
    );
    expect(await total("client", { ...labelsOf("destination", GONE), response_code: "200" })).to.equal(0);
  });

  it("name the pod of a headless Service", async () => {
    const call = { host: mesh.ip("server"), port: 8080, path: "/" };
    const peer = { ...labelsOf("destination", PEER), response_code: "200" };
    await adds(1, peer, () => mesh.app("client").callHttp(call));
  });

  it("time every request that they count", async () => {
    const codes = await total("client", {});
    await waitFor("the histograms", async () => {
      const samples = await scrape("client");
      return sumOf(samples, "osm_request_duration_ms_count") === codes;
    });
    const samples = await scrape("client");
    expect(sumOf(samples, "osm_request_duration_ms_bucket", { le: "+Inf" })).to.equal(codes);
    const [first] = samples.filter(({ name }) => name === "osm_request_duration_ms_bucket");
    expect(Object.keys(first?.labels ?? {})).to.have.members([...Object.keys(BETWEEN), "le"]);
  });

  it("leave what the client has counted out at the server, and count callers of no mesh there", async () => {
    const stranger = { ...labelsOf("source", UNKNOWN), ...labelsOf("destination", CART) };
    await adds(
      1,
      { ...stranger, response_code: "200" },
      async () => {
        const call = { host: mesh.ip("server"), port: 8080, path: "/" };
        expect((await mesh.app("outside").callHttp(call)).status).to.equal(200);
      },
      "server",
    );
    expect(await total("server", {})).to.equal(1);
  });

  it("stand beside all else that Envoy counts, under its own names", async () => {
    const names = (text: string): readonly string[] =>
      [...new Set(samplesOf(text).map(({ name }) => name))].sort();
    await waitFor("the same names", async () => {
      const own = await mesh.sidecar("client").admin("/stats/prometheus");
      const renamed = own.replaceAll("envoy_osm_request_", "osm_request_");
      return (
        names(renamed).join() === [...new Set((await scrape("client")).map(({ name }) => name))].sort().join()
      );
    });
    expect(names(await mesh.sidecar("client").admin("/stats/prometheus"))).to.include(
      "envoy_osm_request_total",
    );
  });

  it("are not made where nobody scrapes", async () => {
    const stats = await mesh.sidecar("quiet").admin("/stats/prometheus");
    expect(stats).to.contain("envoy_http_downstream_rq_total").and.to.not.contain("osm_request");
  });

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
