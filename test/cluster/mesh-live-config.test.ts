import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { fetchText } from "./support/client-pod";
import { CONTROL_PORT, deployment, HTTP_PORT, service, TCP_PORT } from "./support/manifests";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { Shop } from "./support/shop";
import { SidecarAdmin } from "./support/sidecar-admin";

/** What observer-app.cjs has seen. */
interface Seen {
  /** Requests that the authorizer was asked about. */
  readonly checks: number;
  /** Method and path of what came to the stand-in for a Zipkin collector. */
  readonly paths: readonly string[];
  readonly spans: readonly { readonly traceId?: string; readonly kind?: string }[];
}

const VERSIONS = String.raw`ssl\.versions\.(.+)`;
const CIPHERS = String.raw`ssl\.ciphers\.(.+)`;
const CURVES = String.raw`ssl\.curves\.(.+)`;

describe("MeshConfig, changed while traffic flows", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let config: LiveMeshConfig;
  let shop: Shop;
  let outside: TestNamespace;
  let sidecars: readonly SidecarAdmin[];

  before(async () => {
    mesh = await Mesh.open();
    config = await LiveMeshConfig.of(mesh);
    shop = await Shop.open(mesh, "live", 1);
    outside = await TestNamespace.create(mesh, "observer", false);
    const ports = [
      { name: "grpc", port: 9191 },
      { name: "zipkin", port: 9411 },
    ];
    const observer = { apiVersion: "v1", kind: "Service", metadata: { name: "observer" } };
    await outside.apply(
      deployment("observer", { program: "observer-app" }),
      { ...observer, spec: { selector: { app: "observer" }, ports } },
      deployment("server", { program: "server-app" }),
      service("server"),
    );
    await outside.rolledOut("observer", "server");
    const pods = await Promise.all(["client", "server"].map(app => shop.namespace.readyPod(app)));
    sidecars = pods.map(pod => new SidecarAdmin(mesh, pod));
  });

  afterEach(async () => {
    await config.restore();
    await shop.answers(shop.http);
    await shop.answers(shop.tcp);
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  /** Waits until the configuration in force in both sidecars is (or is not) like this. There must be traffic. */
  async function inForce(what: RegExp, present = true): Promise<void> {
    await until(`${String(what)} in force: ${String(present)}`, 60_000, async () => {
      const active = await Promise.all(sidecars.map(sidecar => sidecar.active()));
      return active.every(text => what.test(text) === present) ? true : undefined;
    });
    await Promise.all(sidecars.map(sidecar => sidecar.workersTurned()));
  }

  async function onlyCounts(pattern: string, wanted: string): Promise<void> {
    await Promise.all(sidecars.map(sidecar => sidecar.onlyCounts(pattern, wanted)));
    await Promise.all(sidecars.map(sidecar => sidecar.workersTurned()));
  }

  async function observe(page: string): Promise<Seen> {
    const { podIP } = (await outside.readyPod("observer")).status;
    return JSON.parse(await fetchText(`http://${podIP}:${CONTROL_PORT}${page}`)) as Seen;
  }

  const observerName = (): string => `observer.${outside.name}.svc.cluster.local`;

  /** Narrows TLS to 1.2 and widens it again, in steps: at each of them old and new peers understand each other. */
  async function withTls12(work: () => Promise<void>): Promise<void> {
    const both = { tlsMinProtocolVersion: "TLSv1_2", tlsMaxProtocolVersion: "TLSv1_3" };
    await config.patch({ sidecar: both });
    await inForce(/"tls_minimum_protocol_version": "TLSv1_3"/, false);
    await config.patch({ sidecar: { tlsMaxProtocolVersion: "TLSv1_2" } });
    await onlyCounts(VERSIONS, "TLSv1.2");
    await work();
    await config.patch({ sidecar: both });
    await onlyCounts(VERSIONS, "TLSv1.3");
    await config.restore();
    await inForce(/"tls_minimum_protocol_version": "TLSv1_2"/, false);
  }

  it("tlsMinProtocolVersion, tlsMaxProtocolVersion and cipherSuites decide what sidecars agree on", async () => {
    await shop.under("TLS 1.3, 1.2 with one cipher suite, 1.3 again", async () => {
      await withTls12(async () => {
        await config.patch({ sidecar: { cipherSuites: ["ECDHE-ECDSA-AES256-GCM-SHA384"] } });
        await onlyCounts(CIPHERS, "ECDHE-ECDSA-AES256-GCM-SHA384");
        await config.patch({ sidecar: { cipherSuites: [] } });
        await inForce(/"cipher_suites"/, false);
      });
    });
  });

  it("ecdhCurves decides on the key exchange", async () => {
    await shop.under("one curve", async () => {
      await config.patch({ sidecar: { ecdhCurves: ["P-256"] } });
      await onlyCounts(CURVES, "P-256");
    });
  });

  it("enablePermissiveTrafficPolicyMode off refuses calls, on again lets them pass", async () => {
    await config.patch({ traffic: { enablePermissiveTrafficPolicyMode: false } });
    for (const url of [shop.http, shop.tcp]) await shop.refuses(url);
    for (let n = 0; n < 20; n += 1) expect((await shop.client.get(shop.http)).status).to.not.equal(200);
    await config.patch({ traffic: { enablePermissiveTrafficPolicyMode: true } });
    for (const url of [shop.http, shop.tcp]) await shop.answers(url);
    await shop.under("permissive again", () => Promise.resolve());
  });

  it("pathRegexMatch says how much of a path a route's expression must fit", async () => {
    const account = { kind: "ServiceAccount", name: "default", namespace: shop.namespace.name };
    const routes = { matches: [{ name: "read", pathRegex: "/shelf", methods: ["GET"] }] };
    const rules = [{ kind: "HTTPRouteGroup", name: "shelf" }];
    const [routeVersion, targetVersion] = ["specs.smi-spec.io/v1alpha4", "access.smi-spec.io/v1alpha3"];
    const metadata = { name: "shelf" };
    await shop.namespace.apply(
      { apiVersion: routeVersion, kind: "HTTPRouteGroup", metadata, spec: routes },
      {
        apiVersion: targetVersion,
        kind: "TrafficTarget",
        metadata,
        spec: { destination: account, sources: [account], rules },
      },
    );
    await config.patch({ traffic: { enablePermissiveTrafficPolicyMode: false } });
    await shop.refuses(shop.http);
    const [exact, longer] = [`${shop.http}shelf`, `${shop.http}shelf/one`];
    await shop.answers(exact);
    await shop.refuses(`${shop.http}other`);
    await shop.under(
      "an allowed path",
      async () => {
        await shop.answers(longer);
        await config.patch({ traffic: { pathRegexMatch: "Full" } });
        expect(await shop.refuses(longer)).to.equal(403);
        await config.patch({ traffic: { pathRegexMatch: "Prefix" } });
        await shop.answers(longer);
      },
      { urls: [exact] },
    );
    await shop.namespace.kubectl(["delete", "traffictarget/shelf", "httproutegroup/shelf"]);
  });

  it("pathWithEscapedSlashes says what becomes of a path with %2F", async () => {
    const seen = (what: string, status: number, end: string): Promise<true> =>
      until(`a path with an escaped slash ${what}`, 60_000, async () => {
        const answer = await shop.client.get(`${shop.http}a%2Fb`);
        return answer.status === status && answer.body?.endsWith(end) === true ? true : undefined;
      });
    await shop.under("escaped slashes", async () => {
      await seen("refused", 400, "");
      await config.patch({ traffic: { pathWithEscapedSlashes: "KeepUnchanged" } });
      await seen("kept", 200, " /a%2Fb");
      await config.patch({ traffic: { pathWithEscapedSlashes: "UnescapeAndForward" } });
      await seen("unescaped", 200, " /a/b");
    });
  });

  it("enableEgress off refuses what is outside the mesh, and nothing else", async () => {
    const foreign = [HTTP_PORT, TCP_PORT].map(port => `http://server.${outside.name}:${port}/`);
    await shop.under("egress off and on", async () => {
      for (const url of foreign) await shop.answers(url);
      await config.patch({ traffic: { enableEgress: false } });
      for (const url of foreign) await shop.refuses(url);
      await config.patch({ traffic: { enableEgress: true } });
      for (const url of foreign) await shop.answers(url);
    });
  });

  it("inboundExternalAuthorization asks a real authorizer, whose word counts", async () => {
    const authorization = {
      enable: true,
      address: observerName(),
      port: 9191,
      statPrefix: "live",
      timeout: "400ms",
      failureModeAllow: false,
    };
    const set = (change: object = {}): Promise<void> =>
      config.patch({ traffic: { inboundExternalAuthorization: { ...authorization, ...change } } });
    await shop.under("authorizer that allows", async () => {
      await set();
      await until("questions", 60_000, async () => ((await observe("/seen")).checks > 20 ? true : undefined));
    });
    const [, server] = sidecars;
    const counted = await server?.counters(String.raw`ext_authz\.live\.(.+)`);
    expect(counted?.["ok"], "answers under the configured prefix").to.be.greaterThan(20);
    // TCP is not HTTP: nobody is asked, whatever the authorizer says.
    const asking = { urls: [shop.tcp] };
    await shop.under(
      "authorizer that refuses, hangs, is down: TCP",
      async () => {
        for (const verdict of ["deny", "hang", "down"]) {
          await observe(`/verdict?is=${verdict}`);
          expect(await shop.refuses(shop.http), verdict).to.equal(403);
        }
        await set({ failureModeAllow: true });
        await shop.answers(shop.http);
        await observe("/verdict?is=hang");
        const began = Date.now();
        await shop.answers(shop.http);
        report(`answer past an authorizer that hangs: ${Date.now() - began} ms`);
        await observe("/verdict?is=deny");
        expect(await shop.refuses(shop.http)).to.equal(403);
      },
      asking,
    );
    await shop.under(
      "authorization off again",
      async () => {
        await config.restore();
        await shop.answers(shop.http);
      },
      asking,
    );
  });

  it("tracing sends spans to a collector (a stand-in that keeps what it is sent), and stops", async () => {
    const tracing = { enable: true, address: observerName(), port: 9411, endpoint: "/api/v2/spans" };
    await shop.under("tracing on and off", async () => {
      await config.patch({ observability: { tracing } });
      const seen = await until("spans of both ends", 60_000, async () => {
        const seen = await observe("/seen");
        const kinds = new Set(seen.spans.map(span => span.kind));
        return kinds.has("CLIENT") && kinds.has("SERVER") ? seen : undefined;
      });
      expect(seen.paths).to.include("POST /api/v2/spans");
      await config.patch({ observability: { tracing: { endpoint: "/elsewhere" } } });
      await until("spans at the other path", 60_000, async () =>
        (await observe("/seen")).paths.includes("POST /elsewhere") ? true : undefined,
      );
      await config.restore();
      await inForce(/"provider"/, false);
      // Spans that were made before are still sent; then it is quiet.
      await until(
        "silence",
        60_000,
        async () => {
          const { length } = (await observe("/seen")).paths;
          const { sent } = await shop.client.stats();
          await until("six more seconds of traffic", 60_000, async () =>
            (await shop.client.stats()).sent > sent + 600 ? true : undefined,
          );
          return (await observe("/seen")).paths.length === length ? true : undefined;
        },
        0,
      );
    });
  });
});
