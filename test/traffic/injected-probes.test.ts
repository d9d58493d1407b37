import { chmodSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { createRoot, issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import { sdsDocuments } from "../../src/injector/bootstrap";
import { FILE_ROOT_SDS, FILE_TOKEN_SDS } from "../../src/injector/names";
import { ANNOTATION_METRICS } from "../../src/model/mesh-words";
import {
  bootstrapOf,
  injected,
  initScriptOf,
  NAMESPACE,
  podOf,
  requestFor,
  SETTINGS,
} from "../support/injection";
import { createNetwork, type Network, type NetworkPod } from "../support/netns";
import { createWorkshop, type Workshop } from "../support/sidecar";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

interface Call {
  readonly host?: string;
  readonly port: number;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A gRPC health check of this service. */
  readonly service?: string;
}
interface Answer {
  readonly status?: number;
  readonly body?: string;
  readonly location?: string;
  readonly serving?: number;
  readonly error?: string;
  readonly ms?: number;
}

/** One probe of every kind; each container of the pod listens on loopback only. */
const CONTAINERS = [
  {
    name: "web",
    ports: [{ name: "web", containerPort: 8080 }],
    livenessProbe: { httpGet: { path: "/healthz?full=1", port: "web" } },
    readinessProbe: { httpGet: { path: "/tls", port: 8443, scheme: "HTTPS" } },
    startupProbe: { tcpSocket: { port: 3306 } },
    lifecycle: { preStop: { httpGet: { path: "/shutdown", port: "web" } } },
  },
  {
    name: "web2",
    livenessProbe: { httpGet: { path: "/redirect", port: 8080 } },
    readinessProbe: { tcpSocket: { port: 3307 } },
    startupProbe: { httpGet: { path: "/slow", port: 8080 } },
  },
  {
    name: "web3",
    livenessProbe: { grpc: { port: 9000 } },
    readinessProbe: { httpGet: { path: "/sick", port: 8080 } },
    startupProbe: { httpGet: { path: "/slow", port: 8080 }, timeoutSeconds: 4 },
  },
];
const GRPC_CHECK = "/grpc.health.v1.Health/Check";

describe("probes of an injected pod through the real Envoy", function () {
  this.timeout(120_000);
  let network: Network;
  let pod: NetworkPod;
  let node: NetworkPod;
  let workshop: Workshop;
  /** What the application was asked for. */
  const seen = (): string => readFileSync(path.join(workshop.folder, "app.log"), "utf8");
  const namespace = { ...NAMESPACE, annotations: { ...NAMESPACE.annotations, [ANNOTATION_METRICS]: "yes" } };
  const request = requestFor(podOf({}, { containers: CONTAINERS }), {
    namespace,
    settings: { ...SETTINGS, ipv6: true, adsAddress: "127.0.0.1:9" },
  });

  const calls = (from: NetworkPod, list: readonly Call[]): Answer[] => {
    const script = path.join(__dirname, "../support/kubelet.cjs");
    const input = JSON.stringify(list.map(call => ({ host: pod.ip, ...call })));
    return JSON.parse(from.run([process.execPath, script], input)) as Answer[];
  };
  const probe = (port: number, target: string, more: Partial<Call> = {}): Answer => {
    const [answer] = calls(node, [{ port, path: target, ...more }]);
    if (answer === undefined) throw new Error("no answer");
    return answer;
  };

  before(async () => {
    [network, workshop] = await Promise.all([createNetwork(["pod", "node"]), createWorkshop()]);
    [pod, node] = [network.pod("pod"), network.pod("node")];
    const injectedPod = injected(request);
    pod.run(["/bin/sh", "-c", initScriptOf(injectedPod)]);
    await startApplication();
    const run = path.join(workshop.folder, "run");
    mkdirSync(run);
    chmodSync(run, 0o777);
    const paths = { identity: workshop.folder, run };
    const documents = sdsDocuments(paths);
    writeFileSync(path.join(workshop.folder, FILE_TOKEN_SDS), documents.token);
    writeFileSync(path.join(workshop.folder, FILE_ROOT_SDS), documents.root);
    const value = bootstrapOf(injectedPod, paths);
    // No control plane here; the static part is what is tried.
    delete value["dynamic_resources"];
    const args = [
      "--service-node",
      "n",
      "--service-cluster",
      "c",
      "--disable-hot-restart",
      "--log-level",
      "warn",
    ];
    pod.start([workshop.envoy, ...args, "--config-yaml", JSON.stringify(value)], {
      uid: 1500,
      stdio: "ignore",
    });
    await waitFor("Envoy", () => probe(15904, "/ready").status === 200, 60_000);
  });
  after(async () => {
    await network.close();
    workshop.remove();
  });

  async function startApplication(): Promise<void> {
    const files = ["key.pem", "cert.pem"].map(name => path.join(workshop.folder, name));
    const { keyPem, certPem } = someCertificate();
    for (const [index, text] of [keyPem, certPem].entries()) writeFileSync(files[index] ?? "", text);
    const script = path.join(__dirname, "../support/probed-app.cjs");
    const output = openSync(path.join(workshop.folder, "app.log"), "a");
    pod.start([process.execPath, script, ...files], { stdio: ["ignore", output, "inherit"] });
    await waitFor("the application", () => seen().includes("ready"));
  }

  it("http: the application sees its own path and the kubelet's headers", () => {
    const answer = probe(15901, "/osm-liveness-probe/web", {
      headers: { "x-probe": "1", host: "shop.example" },
    });
    expect(answer).to.include({ status: 200, body: "app /healthz?full=1" });
    const line =
      seen()
        .split("\n")
        .find(text => text.startsWith("GET /healthz?full=1")) ?? "";
    expect(line).to.contain('"host":"shop.example"').and.contain('"x-probe":"1"');
    expect(line).to.not.contain("x-envoy").and.not.contain("x-request-id");
    expect(probe(15901, "/osm-liveness-probe/web", { host: pod.ip6 }).status).to.equal(200);
    expect(probe(15901, "/osm-liveness-probe/web", { method: "HEAD" }).status).to.equal(200);
  });

  it("https: whatever the certificate says", () => {
    expect(probe(15902, "/osm-readiness-probe/web")).to.include({ status: 200, body: "app /tls" });
  });

  it("tcp: succeeds when the port accepts, at once and without its greeting, and fails when it refuses", () => {
    const open = probe(15903, "/osm-startup-probe/web");
    expect(open).to.include({ status: 200, body: "" });
    expect(open.ms).to.be.below(4_000);
    expect(probe(15902, "/osm-readiness-probe/web2").status).to.equal(503);
  });

  it("grpc: passes the service name and the answer through", () => {
    expect(probe(15911, GRPC_CHECK, { service: "" })).to.deep.equal({ status: 200, serving: 1 });
    expect(probe(15911, GRPC_CHECK, { service: "sick" })).to.deep.equal({ status: 200, serving: 2 });
  });

  it("keeps failures failures, timeouts as they were, and does not send the kubelet to a path that is not served", () => {
    expect(probe(15902, "/osm-readiness-probe/web3").status).to.equal(503);
    expect(probe(15903, "/osm-startup-probe/web2").status).to.equal(504);
    expect(probe(15903, "/osm-startup-probe/web3")).to.include({ status: 200, body: "late" });
    const redirected = probe(15901, "/osm-liveness-probe/web2");
    expect(redirected.status).to.equal(302);
    expect(redirected.location).to.equal(undefined);
  });

  it("hooks: only who knows the pod's random id can call them", () => {
    expect(probe(15904, `/osm-pre-stop-hook/web/${request.uid}`)).to.include({
      status: 200,
      body: "app /shutdown",
    });
    expect(probe(15904, "/osm-pre-stop-hook/web").status).to.equal(404);
    expect(probe(15904, "/osm-pre-stop-hook/web/").status).to.equal(404);
  });

  it("no side door: nothing but the exact paths and harmless methods reaches application or admin (T-20, P-04)", () => {
    const asked = seen();
    const probePath = "/osm-liveness-probe/web";
    const variants = [
      "/",
      "/healthz",
      "/admin",
      `${probePath}/`,
      `${probePath}?x=1`,
      `${probePath}?`,
      `${probePath}2/`,
      `${probePath}/../admin`,
      `${probePath}/..`,
      "/osm-liveness-probe",
      "/osm-liveness-probe/",
      `${probePath};x`,
      `${probePath}%2f..%2fadmin`,
      `/${probePath}/`,
      "/OSM-liveness-probe/web",
      `${probePath}%00`,
      `${probePath}%23`,
      "/osm-liveness-probe/%77eb2x",
      "/osm-readiness-probe/web",
      "/stats/prometheus",
      "/quitquitquit",
      "/config_dump",
      "/ready",
    ];
    const ports = [15901, 15902, 15903, 15904, 15010, 15911];
    const own = new Set(["15904/ready", "15010/stats/prometheus", "15902/osm-readiness-probe/web"]);
    const list = ports
      .flatMap(port => variants.map(target => ({ port, path: target })))
      .filter(({ port, path: target }) => !own.has(`${port}${target}`));
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
      list.push(
        ...[`15901${probePath}`, "15904/ready", "15010/stats/prometheus"].map(place => ({
          port: Number(place.slice(0, 5)),
          path: place.slice(5),
          method,
        })),
      );
    }
    const answers = calls(node, list);
    const through = answers.flatMap((answer, index) =>
      [400, 404].includes(answer.status ?? 0) ? [] : [JSON.stringify([list[index], answer])],
    );
    verdict("P-04: probe and metrics listeners, admin", through.length === 0 && seen() === asked, {
      count: list.length,
      failed: through.length,
      bound: "0 let through",
    });
    expect(through).to.deep.equal([]);
    expect(seen()).to.equal(asked);
    const grpc = calls(node, [
      { port: 15911, path: "/shop.Orders/List", service: "" },
      { port: 15901, path: GRPC_CHECK, service: "" },
    ]);
    expect(grpc.map(({ serving }) => serving)).to.deep.equal([undefined, undefined]);
    expect(seen()).to.equal(asked);
  });

  it("metrics and the sidecar's readiness come from the admin socket, which nobody else may open", () => {
    expect(probe(15010, "/stats/prometheus").body).to.contain("envoy_server_live");
    expect(probe(15904, "/ready").body).to.contain("LIVE");
    const socket = path.join(workshop.folder, "run/admin.sock");
    expect(pod.run(["stat", "-c", "%a %u", socket]).trim()).to.equal("600 1500");
  });
});

function someCertificate(): { keyPem: string; certPem: string } {
  const now = Date.now();
  const root = createRoot(now);
  return issueServing(loadAuthority(root.certPem, root.keyPem), ["elsewhere"], {
    now,
    validityMs: 3_600_000,
  });
}
