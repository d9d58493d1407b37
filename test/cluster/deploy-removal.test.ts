import { expect } from "chai";
import path from "node:path";
import { until } from "../../hack/cluster/progress";
import { run } from "../../hack/cluster/shell";
import { ANNOTATION_INJECTION, LABEL_MONITORED_BY } from "../../src/model/mesh-words";
import { ClientPod } from "./support/client-pod";
import { deployment } from "./support/manifests";
import { Mesh, report } from "./support/mesh";
import { hasSidecar, TEST_LABEL, TestNamespace } from "./support/namespace";
import { removalCommands } from "./support/removal";
import { Shop } from "./support/shop";

/** Names that look like the mesh's and are the embedded cluster's. */
const OF_THE_CLUSTER = /^(Node|CSINode) |^Lease kube-node-lease |^ClusterRoleBinding \S+ osm-cluster:/;

describe("removing the mesh as README says", function () {
  this.timeout(900_000);
  let mesh: Mesh;
  let leaving: TestNamespace;
  let forgotten: Shop;

  before(async () => {
    mesh = await Mesh.open();
    leaving = await TestNamespace.create(mesh, "leaving", true);
    await leaving.apply(deployment("server", { program: "server-app" }));
    forgotten = await Shop.open(mesh, "forgotten", 1);
    await leaving.rolledOut("server");
  });

  after(async () => {
    try {
      await mesh.settled().catch(() => mesh.deploy());
    } finally {
      await TestNamespace.removeAll();
    }
  });

  /** Every object whose name is of the mesh, outside the tests' own namespaces: `kind namespace name`. */
  async function traces(): Promise<readonly string[]> {
    const listed = await mesh.kubectl.must(["api-resources", "--verbs=list", "-o", "name"]);
    // Events tell of the past.
    const kinds = listed.split("\n").filter(kind => kind !== "" && !kind.startsWith("events"));
    const columns = "custom-columns=K:.kind,S:.metadata.namespace,N:.metadata.name";
    const all = ["get", kinds.join(","), "-A", "--no-headers", "-o", columns];
    const tests = await mesh.kubectl.must(["get", "namespaces", "-l", TEST_LABEL, "-o", "name"]);
    const own = new Set(tests.split("\n").map(name => name.replace("namespace/", "")));
    return (await mesh.kubectl.must(all, undefined, 120_000))
      .split("\n")
      .map(line => line.trim().replaceAll(/ +/g, " "))
      .filter(line => {
        const [kind = "", namespace = "", name = ""] = line.split(" ");
        if (own.has(namespace) || (kind === "Namespace" && own.has(name))) return name === "osm-ca-root-cert";
        return /pepr|osm|openservicemesh|smi-spec/.test(name) && !OF_THE_CLUSTER.test(line);
      });
  }

  /** Restarts a Deployment and says whether its new pods have a sidecar. */
  async function restarted(namespace: TestNamespace, name: string): Promise<boolean> {
    const before = new Set((await namespace.pods(name)).map(pod => pod.metadata.uid));
    await namespace.kubectl(["rollout", "restart", `deployment/${name}`]);
    await namespace.rolledOut(name);
    const pods = (await namespace.pods(name)).filter(pod => !before.has(pod.metadata.uid));
    expect(pods).to.have.length(1);
    return pods.every(hasSidecar);
  }

  it("takes a namespace out", async () => {
    const { name } = leaving;
    await mesh.kubectl.must(["label", "namespace", name, `${LABEL_MONITORED_BY}-`]);
    await mesh.kubectl.must(["annotate", "namespace", name, `${ANNOTATION_INJECTION}-`]);
    await until("pods without sidecar", 60_000, async () =>
      (await restarted(leaving, "server")) ? undefined : true,
    );
  });

  it("leaves nothing, and lets pods be made everywhere", async () => {
    expect(await traces(), "before").to.include("Namespace <none> pepr-system");
    const began = Date.now();
    const env = {
      KUBECONFIG: mesh.cluster.kubeconfig,
      PATH: `${path.dirname(mesh.kubectl.program)}:${process.env["PATH"] ?? ""}`,
    };
    const result = await run("sh", ["-euc", removalCommands()], { env, timeoutMs: 300_000 });
    expect(result.code, result.stderr).to.equal(0);
    report(`removed in ${Date.now() - began} ms`);
    // The API server goes on naming kinds for a moment when their definitions are gone, and then does not know them.
    await until("no trace", 60_000, async () => {
      expect(await traces()).to.deep.equal([]);
      return true;
    });
    expect(await restarted(leaving, "server"), "sidecar").to.equal(false);
    // A pod that keeps its sidecar is served as before; one that is made anew in the same namespace has none.
    await forgotten.answers(forgotten.http);
    const bare = deployment("bare", { program: "client-app" });
    await forgotten.namespace.apply(bare);
    expect(hasSidecar(await forgotten.namespace.readyPod("bare"))).to.equal(false);
  });

  it("can be undone by another deploy, which takes in what was forgotten", async () => {
    await mesh.deploy();
    await mesh.settled();
    await until("pods with sidecar", 60_000, async () =>
      (await restarted(forgotten.namespace, "bare")) ? true : undefined,
    );
    const apps = ["server", "client"];
    const meshed = await Promise.all(apps.map(app => restarted(forgotten.namespace, app)));
    expect(meshed, apps.join(", ")).to.deep.equal([true, true]);
    const { podIP } = (await forgotten.namespace.readyPod("client")).status;
    const client = new ClientPod(podIP);
    await until("an answer", 60_000, async () =>
      (await client.get(forgotten.http)).status === 200 ? true : undefined,
    );
  });

  it("gives the control plane's pods what Pod Security's `restricted` asks for, and a read-only root", async () => {
    const label = "pod-security.kubernetes.io/enforce=restricted";
    const asked = ["label", "--dry-run=server", "--overwrite", "namespace", "pepr-system", label];
    // Each pod that does not meet it is a warning; those that Pepr's deploy began with are on their way out.
    await until("pods without a warning", 120_000, async () => {
      const { code, stderr } = await mesh.kubectl.attempt(asked);
      expect([code, stderr]).to.deep.equal([0, ""]);
      return true;
    });
    const roots = "jsonpath={.items[*].spec.containers[*].securityContext.readOnlyRootFilesystem}";
    const pods = ["-n", "pepr-system", "get", "pods", "-l", "pepr.dev/controller", "-o", roots];
    expect(new Set((await mesh.kubectl.must(pods)).split(" "))).to.deep.equal(new Set(["true"]));
  });
});
