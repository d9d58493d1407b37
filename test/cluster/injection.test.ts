import { readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { IMAGES } from "../../hack/images/names";
import { createRoot, issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import { deployment, HTTP_PORT, service } from "./support/manifests";
import { Mesh, type PodView } from "./support/mesh";
import { hasSidecar, TestNamespace } from "./support/namespace";

const NODE = "/usr/local/bin/node";

/** Runs a script of this folder's kind in a pod that has only Node. */
function nodeContainer(name: string, script: string, more: Readonly<Record<string, unknown>> = {}): object {
  return {
    name,
    image: IMAGES.demo,
    imagePullPolicy: "IfNotPresent",
    command: [NODE, "-e", script],
    resources: { requests: { cpu: "5m", memory: "24Mi" } },
    ...more,
  };
}

function pod(name: string, spec: Readonly<Record<string, unknown>>, annotations = {}): object {
  const metadata = { name, labels: { app: name }, annotations };
  return { apiVersion: "v1", kind: "Pod", metadata, spec: { terminationGracePeriodSeconds: 5, ...spec } };
}

const SLEEP = "setInterval(() => undefined, 1000)";

/** Something behind every kind of probe, on the pod's loopback only; see probed-app.cjs. */
function probedPod(): object {
  const now = Date.now();
  const root = createRoot(now);
  const pair = issueServing(loadAuthority(root.certPem, root.keyPem), ["elsewhere"], {
    now,
    validityMs: 86_400_000,
  });
  const app = readFileSync(path.join(__dirname, "../support/probed-app.cjs"), "utf8");
  const files = `
    const files = ["/tmp/key.pem", "/tmp/cert.pem"];
    require("node:fs").writeFileSync(files[0], process.env.KEY);
    require("node:fs").writeFileSync(files[1], process.env.CERT);
    process.argv.splice(1, process.argv.length, "app", ...files);
  `;
  const fast = { periodSeconds: 1, timeoutSeconds: 5 };
  const idle = (name: string, probes: object): object => nodeContainer(name, SLEEP, { ...probes });
  return pod("probed", {
    containers: [
      nodeContainer("web", `${files}${app}`, {
        env: [
          { name: "KEY", value: pair.keyPem },
          { name: "CERT", value: pair.certPem },
        ],
        ports: [{ name: "web", containerPort: 8080 }],
        startupProbe: { httpGet: { path: "/healthz?full=1", port: "web" }, ...fast, failureThreshold: 60 },
        livenessProbe: { tcpSocket: { port: 3306 }, ...fast },
        readinessProbe: { httpGet: { path: "/tls", port: 8443, scheme: "HTTPS" }, ...fast },
        lifecycle: { preStop: { httpGet: { path: "/before-stop", port: "web" } } },
      }),
      // The same application answers for these: containers of a pod share its loopback.
      idle("second", {
        readinessProbe: { grpc: { port: 9000 }, ...fast },
        livenessProbe: { httpGet: { path: "/redirect", port: 8080 }, ...fast, initialDelaySeconds: 10 },
      }),
      idle("third", { readinessProbe: { grpc: { port: 9000, service: "shop" }, ...fast } }),
    ],
  });
}

describe("injected pods on the real cluster", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "injection", true);
    await shop.apply(deployment("server", { program: "server-app" }), service("server"));
    await shop.rolledOut("server");
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  const podNamed = async (name: string): Promise<PodView> =>
    JSON.parse(await shop.kubectl(["get", "pod", name, "-o", "json"])) as PodView;
  const logs = (name: string, container: string): Promise<string> =>
    shop.kubectl(["logs", name, "-c", container]);
  const refusal = async (manifest: object): Promise<string> => {
    const result = await mesh.kubectl.attempt(
      ["-n", shop.name, "apply", "-f", "-"],
      JSON.stringify(manifest),
    );
    expect(result.code).to.not.equal(0);
    return `${result.stdout}${result.stderr}`;
  };

  it("become ready through http, https, tcp and gRPC probes of an application that listens on loopback only", async () => {
    await shop.apply(probedPod());
    await shop.kubectl(["wait", "--for=condition=Ready", "--timeout=200s", "pod/probed"]);
    await until("every probe in the log, one that redirects too", 60_000, async () => {
      const log = await logs("probed", "web");
      expect(log).to.contain("GET /healthz?full=1").and.contain("GET /tls").and.contain("kube-probe/");
      expect(log).to.contain("POST /grpc.health.v1.Health/Check").and.contain("GET /redirect");
      return true;
    });
    const restarts = "jsonpath={.status.containerStatuses[*].restartCount}";
    expect((await shop.kubectl(["get", "pod", "probed", "-o", restarts])).trim()).to.equal("0 0 0");
    expect(await runsHook(mesh, shop)).to.contain("GET /before-stop");
  });

  it("end when their work is done, and speak through the mesh in init containers already", async () => {
    const call = `
      const http = require("node:http");
      const again = () => {
        const request = http.get("http://server.${shop.name}:${HTTP_PORT}/", { agent: false }, response => {
          console.log(process.env.STAGE, response.statusCode, response.headers.server ?? "");
          response.resume();
          if (response.statusCode === 200) response.on("end", () => process.exit(0));
          else setTimeout(again, 500);
        });
        request.on("error", () => setTimeout(again, 500));
      };
      again();
    `;
    const stage = (name: string): object =>
      nodeContainer(name, call, { env: [{ name: "STAGE", value: name }] });
    const template = {
      metadata: { labels: { app: "work" } },
      spec: { restartPolicy: "Never", initContainers: [stage("prepare")], containers: [stage("work")] },
    };
    await shop.apply({
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: "work" },
      spec: { template, backoffLimit: 0 },
    });
    await shop.kubectl(["wait", "--for=condition=Complete", "--timeout=200s", "job/work"]);
    const [done] = await shop.pods("work");
    if (done === undefined) throw new Error("the job left no pod");
    expect(hasSidecar(done)).to.equal(true);
    expect(await logs(done.metadata.name, "prepare")).to.contain("prepare 200");
    expect(await logs(done.metadata.name, "work")).to.contain("work 200");
  });

  it("prove themselves whatever the pod says about groups and API tokens", async () => {
    const spec = {
      securityContext: { fsGroup: 2000, runAsUser: 4000, runAsNonRoot: true },
      automountServiceAccountToken: false,
      dnsPolicy: "ClusterFirst",
      containers: [nodeContainer("app", SLEEP)],
    };
    await shop.apply(pod("grouped", spec));
    // The sidecar is ready only when ADS has taken its token and sent configuration.
    await shop.kubectl(["wait", "--for=condition=Ready", "--timeout=200s", "pod/grouped"]);
    expect(hasSidecar(await podNamed("grouped"))).to.equal(true);
  });

  it("are not made of pods with the host's network, whose owner is told by an event", async () => {
    const spec = { hostNetwork: true, containers: [nodeContainer("app", SLEEP)] };
    await shop.apply(pod("hosted", spec));
    expect(hasSidecar(await podNamed("hosted"))).to.equal(false);
    const found = await until("the event", 60_000, async () => {
      const events = await shop.kubectl(["get", "events", "-o", "json"]);
      const { items } = JSON.parse(events) as {
        items: { reason?: string; message?: string; involvedObject?: { name?: string } }[];
      };
      return items.find(
        event => event.reason === "SidecarNotInjected" && event.involvedObject?.name === "hosted",
      );
    });
    expect(found.message).to.contain("host");
  });

  it("are refused with the key or field to change", async () => {
    const plain = { containers: [nodeContainer("app", SLEEP)] };
    const key = "openservicemesh.io/sidecar-injection";
    expect(await refusal(pod("odd", plain, { [key]: "perhaps" })))
      .to.contain(key)
      .and.contain("perhaps");
    const ports = "openservicemesh.io/outbound-port-exclusion-list";
    expect(await refusal(pod("odd", plain, { [ports]: "http" }))).to.contain(ports);
    const named = { containers: [nodeContainer("envoy", SLEEP)] };
    expect(await refusal(pod("odd", named))).to.contain("spec.containers[0].name");
    const user = { ...plain, securityContext: { runAsUser: 1500 } };
    expect(await refusal(pod("odd", user))).to.contain("spec.securityContext.runAsUser");
    await shop.apply(pod("out", plain, { [key]: "Disabled" }));
    expect(hasSidecar(await podNamed("out"))).to.equal(false);
  });
});

/** Deletes the pod and reads what its application was asked for until its end. */
async function runsHook(mesh: Mesh, namespace: TestNamespace): Promise<string> {
  const following = mesh.kubectl.attempt(["-n", namespace.name, "logs", "-f", "probed", "-c", "web"]);
  await namespace.kubectl(["delete", "pod", "probed", "--wait=true"]);
  return (await following).stdout;
}
