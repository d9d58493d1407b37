import { expect } from "chai";
import { createPublicKey, verify } from "node:crypto";
import { ensureCluster, ensureImages, kubectl, tryKubectl, type Cluster } from "../../hack/cluster";
import { until } from "../../hack/cluster/progress";
import { IMAGES } from "../../hack/images/names";

/** Namespace of this test; a fresh one each time, so that a run that was broken off leaves nothing in the way. */
const NAMESPACE = `embedded-cluster-${Date.now().toString(36)}`;

const quiet = (): void => undefined;

function inNamespace(args: readonly string[], input?: string): Promise<string> {
  return kubectl(["-n", NAMESPACE, ...args], {
    timeoutMs: 120_000,
    ...(input === undefined ? {} : { input }),
  });
}

/** Container that runs a line of JavaScript with the Node of the controller image. */
function node(name: string, script: string): Record<string, unknown> {
  return {
    name,
    image: IMAGES.controller,
    imagePullPolicy: "IfNotPresent",
    command: ["node", "-e", script],
    resources: { requests: { cpu: "5m", memory: "32Mi" } },
  };
}

const SERVER = `
  const greeting = require("node:fs").readFileSync("/shared/greeting", "utf8");
  require("node:http").createServer((_, response) => response.end(greeting)).listen(8080, "::");
`;

function deployment(): unknown {
  const labels = { app: "greeter" };
  const mount = { volumeMounts: [{ name: "shared", mountPath: "/shared" }] };
  const init = {
    ...node("init", `require("node:fs").writeFileSync("/shared/greeting", "from init")`),
    ...mount,
  };
  const probe = { readinessProbe: { httpGet: { path: "/", port: 8080 }, periodSeconds: 1 } };
  const template = {
    metadata: { labels },
    spec: {
      terminationGracePeriodSeconds: 0,
      volumes: [{ name: "shared", emptyDir: {} }],
      initContainers: [init],
      containers: [{ ...node("server", SERVER), ...mount, ...probe }],
    },
  };
  const spec = { replicas: 2, selector: { matchLabels: labels }, template };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "greeter" }, spec };
}

function service(): unknown {
  const ports = [{ port: 80, targetPort: 8080 }];
  const spec = { selector: { app: "greeter" }, ports, ipFamilyPolicy: "PreferDualStack" };
  return { apiVersion: "v1", kind: "Service", metadata: { name: "greeter" }, spec };
}

function job(name: string, spec: Record<string, unknown>): unknown {
  const template = { spec: { restartPolicy: "Never", terminationGracePeriodSeconds: 1, ...spec } };
  return { apiVersion: "batch/v1", kind: "Job", metadata: { name }, spec: { backoffLimit: 0, template } };
}

async function runJob(name: string, spec: Record<string, unknown>): Promise<string> {
  await inNamespace(["apply", "-f", "-"], JSON.stringify(job(name, spec)));
  await inNamespace(["wait", "--for=condition=complete", "--timeout=110s", `job/${name}`]);
  return inNamespace(["logs", `job/${name}`, "-c", "main"]);
}

describe("embedded cluster", function () {
  this.timeout(900_000);
  let cluster: Cluster;

  before(async () => {
    cluster = await ensureCluster(quiet);
    await ensureImages(quiet, ["controller"]);
    await kubectl(["create", "namespace", NAMESPACE]);
  });

  after(async () => {
    await tryKubectl(["delete", "namespace", NAMESPACE, "--wait=false"]);
  });

  it("finds itself healthy on a second up and changes nothing", async () => {
    const uid = ["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"];
    const before = await kubectl(uid);
    const lines: string[] = [];
    await ensureCluster(line => lines.push(line));
    expect(lines.join("\n")).to.contain("is up already");
    expect(await kubectl(uid)).to.equal(before);
  });

  it("runs an init container and serves its result through a Service name, over IPv4 and IPv6", async () => {
    const items = [deployment(), service()];
    await inNamespace(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    await inNamespace(["rollout", "status", "deployment/greeter", "--timeout=120s"]);
    const script = `
      const get = family => new Promise((resolve, reject) => require("node:http")
        .get({ host: "greeter.${NAMESPACE}.svc.cluster.local.", family }, response => response.on("data", resolve))
        .on("error", reject));
      // Pods are ready before every rule that leads to them is written.
      const again = () => Promise.all([get(4), get(6)])
        .then(all => console.log(all.map(String).join("|")), () => setTimeout(again, 300));
      again();
    `;
    const said = await runJob("caller", { containers: [node("main", script)] });
    expect(said.trim()).to.equal("from init|from init");
  });

  it("completes a Job whose native sidecar starts before it and would run for ever", async () => {
    const sidecar = {
      ...node("sidecar", `require("node:http").createServer((_, r) => r.end("sidecar")).listen(9000)`),
      restartPolicy: "Always",
      startupProbe: { tcpSocket: { port: 9000 }, periodSeconds: 1 },
    };
    const script = `fetch("http://127.0.0.1:9000/").then(r => r.text()).then(text => console.log(text))`;
    const said = await runJob("with-sidecar", {
      initContainers: [sidecar],
      containers: [node("main", script)],
    });
    expect(said.trim()).to.equal("sidecar");
  });

  it("publishes the keys that its service-account tokens are signed with", async () => {
    const token = await inNamespace(["create", "token", "default", "--audience=osm-mesh"]);
    const [header = "", payload = "", signature = ""] = token.trim().split(".");
    const { kid } = JSON.parse(Buffer.from(header, "base64url").toString()) as { kid: string };
    const { keys } = JSON.parse(await kubectl(["get", "--raw", "/openid/v1/jwks"])) as {
      keys: (Record<string, string> & { kid: string })[];
    };
    const jwk = keys.find(key => key.kid === kid);
    expect(jwk, "key of the token").to.not.equal(undefined);
    const key = createPublicKey({ key: jwk ?? {}, format: "jwk" });
    const signed = Buffer.from(`${header}.${payload}`);
    expect(verify("sha256", signed, key, Buffer.from(signature, "base64url"))).to.equal(true);
  });

  it("enforces a ValidatingAdmissionPolicy", async () => {
    const name = NAMESPACE;
    const rule = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] };
    const namespaceSelector = { matchLabels: { "kubernetes.io/metadata.name": NAMESPACE } };
    const policy = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicy",
      metadata: { name },
      spec: {
        matchConstraints: { resourceRules: [rule] },
        validations: [{ expression: "object.metadata.name != 'refused'", message: "refused by policy" }],
      },
    };
    const binding = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingAdmissionPolicyBinding",
      metadata: { name },
      spec: { policyName: name, validationActions: ["Deny"], matchResources: { namespaceSelector } },
    };
    try {
      const items = [policy, binding];
      await kubectl(["apply", "-f", "-"], {
        input: JSON.stringify({ apiVersion: "v1", kind: "List", items }),
      });
      const dryRun = ["-n", NAMESPACE, "create", "configmap", "refused", "--dry-run=server"];
      const said = await until("the policy's effect", 30_000, async () => {
        const result = await tryKubectl(dryRun);
        return result.code === 0 ? undefined : result.stderr;
      });
      expect(said).to.contain("refused by policy");
    } finally {
      await tryKubectl(["delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name]);
    }
  });

  it("is reached from this machine at the address in its kubeconfig", async () => {
    const server = "jsonpath={.clusters[0].cluster.server}";
    const address = await kubectl(["config", "view", "-o", server]);
    expect(address).to.equal(`https://${cluster.settings.nodeAddress}:6443`);
    expect(await kubectl(["get", "--raw", "/readyz"])).to.equal("ok");
  });
});
