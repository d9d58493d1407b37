import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { run } from "../../hack/cluster/shell";
import {
  ADS_PORT,
  ADS_SERVICE,
  ANNOTATION_PERMISSIVE,
  PEPR_NAMESPACE,
  SIDECAR_UID,
} from "../../src/model/mesh-words";
import { type ExternalEnvoy, runExternalEnvoy } from "../support/external-proxy";
import { attachMachine, type AttachedMachine } from "../support/netns";
import { createWorkshop, type Workshop } from "../support/sidecar";
import { ClientPod } from "./support/client-pod";
import { deployment, HTTP_PORT, service, serviceAccount } from "./support/manifests";
import { Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";

const ROOT = path.resolve(__dirname, "../..");
const SMI = { specs: "specs.smi-spec.io/v1alpha4", access: "access.smi-spec.io/v1alpha3" };
const ASK = `fetch(process.argv[1], { signal: AbortSignal.timeout(5000) })
  .then(answer => answer.text().then(text => console.log(answer.status + " " + text)), () => console.log("0"))
  .finally(() => process.exit(0))`;

describe("a machine outside of the cluster", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let client: ClientPod;
  let machine: AttachedMachine;
  let workshop: Workshop;
  let envoy: Omit<ExternalEnvoy, "present">;
  let folder: string;

  /** `npm run osm -- …`, as a user has it. */
  const osm = async (...args: readonly string[]): Promise<string> => {
    const program = ["--import", "tsx", path.join(ROOT, "src/cli/main.ts"), ...args];
    const env = {
      ...process.env,
      KUBECONFIG: mesh.cluster.kubeconfig,
      PATH: `${path.dirname(mesh.kubectl.program)}:${process.env["PATH"] ?? ""}`,
    };
    const { code, stdout, stderr } = await run(process.execPath, program, {
      timeoutMs: 120_000,
      env,
      cwd: ROOT,
    });
    if (code !== 0) throw new Error(`osm ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  const addressOf = async (name: string, namespace = shop.name): Promise<string> => {
    const where = ["-n", namespace, "get", "service", name];
    const { spec } = await mesh.kubectl.json<{ spec: { clusterIP: string } }>(where);
    return spec.clusterIP;
  };
  const vmUrl = async (): Promise<string> => `http://${await addressOf("vm")}:${HTTP_PORT}/`;
  /** Status and text of a call from the machine. */
  const fromVm = (url: string): string => machine.place.run([process.execPath, "-e", ASK, url]).trim();
  const workload = {
    apiVersion: "config.openservicemesh.io/v1alpha2",
    kind: "ExternalWorkload",
    metadata: { name: "vm", labels: { app: "vm" } },
    spec: { serviceAccountName: "vm", addresses: ["198.51.100.10"] },
  };
  const target = (name: string, to: string, from: string): object => ({
    apiVersion: SMI.access,
    kind: "TrafficTarget",
    metadata: { name },
    spec: {
      destination: { kind: "ServiceAccount", name: to, namespace: shop.name },
      sources: [{ kind: "ServiceAccount", name: from, namespace: shop.name }],
      rules: [{ kind: "HTTPRouteGroup", name: "all" }],
    },
  });

  before(async () => {
    mesh = await Mesh.open();
    [shop, workshop] = await Promise.all([TestNamespace.create(mesh, "machine", true), createWorkshop()]);
    await mesh.kubectl.must(["annotate", "namespace", shop.name, `${ANNOTATION_PERMISSIVE}=disabled`]);
    await shop.apply(
      ...["client", "server", "vm"].map(serviceAccount),
      deployment("server", { program: "server-app", serviceAccount: "server" }),
      deployment("client", { program: "client-app", serviceAccount: "client" }),
      service("server"),
      service("vm"),
      workload,
    );
    machine = await attachMachine("vm", mesh.cluster.netns);
    const script = readFileSync(path.join(__dirname, "support/server-app.cjs"), "utf8");
    machine.place.start([process.execPath, "-e", script], {
      stdio: "ignore",
      env: { ...process.env, HOSTNAME: "the-vm", PORTS: String(HTTP_PORT) },
    });
    await shop.rolledOut("server", "client");
    client = new ClientPod((await shop.readyPod("client")).status.podIP);
  });
  after(async () => {
    await (envoy as typeof envoy | undefined)?.stop();
    await (machine as AttachedMachine | undefined)?.close();
    (workshop as Workshop | undefined)?.remove();
    await TestNamespace.removeAll();
  });

  it("joins by osm proxy bootstrap", async () => {
    folder = path.join(workshop.folder, "vm");
    mkdirSync(folder);
    const ads = `${await addressOf(ADS_SERVICE, PEPR_NAMESPACE)}:${ADS_PORT}`;
    const said = await osm("proxy", "bootstrap", `${shop.name}/vm`, "--ads", ads, "--folder", folder);
    expect(said).to.contain(`${shop.name}/vm may join the mesh`);
    chmodSync(folder, 0o755);
    for (const name of ["", ...readdirSync(folder)])
      chownSync(path.join(folder, name), SIDECAR_UID, SIDECAR_UID);
    envoy = await runExternalEnvoy(machine.place, workshop, folder);
    await until("its configuration", 60_000, async () =>
      (await envoy.admin("/ready")).startsWith("LIVE") ? true : undefined,
    );
  });

  it("is called by a pod as an endpoint of a Service, and calls one, as TrafficTargets for its account say", async () => {
    expect((await client.get(await vmUrl())).status, "nobody has allowed it").to.not.equal(200);
    const server = `http://${await addressOf("server")}:${HTTP_PORT}/`;
    expect(fromVm(server), "nobody has allowed it").to.not.match(/^200/);
    await shop.apply(
      {
        apiVersion: SMI.specs,
        kind: "HTTPRouteGroup",
        metadata: { name: "all" },
        spec: { matches: [{ name: "all", pathRegex: "/.*", methods: ["*"] }] },
      },
      target("to-vm", "vm", "client"),
      target("from-vm", "server", "vm"),
    );
    const answer = await until("an answer of the machine", 60_000, async () => {
      const got = await client.get(await vmUrl());
      return got.status === 200 ? got : undefined;
    });
    expect(answer.body).to.equal("the-vm /");
    expect(await envoy.stat("listener.0.0.0.0_15003.ssl.handshake")).to.be.greaterThan(0);
    const name = (await shop.readyPod("server")).metadata.name;
    const heard = await until("an answer to the machine", 60_000, () => {
      const got = fromVm(server);
      return got.startsWith("200") ? got : undefined;
    });
    expect(heard).to.equal(`200 ${name} /`);
  });

  it("is told of as in force by all proxies", async () => {
    await shop.kubectl(["wait", "--for=condition=Programmed", "--timeout=60s", "externalworkload/vm"]);
    await shop.kubectl(["wait", "--for=condition=ResolvedRefs", "--timeout=60s", "externalworkload/vm"]);
  });

  it("renews its certificate by reading alone", async () => {
    expect(await osm("proxy", "renew", `${shop.name}/vm`, "--folder", folder)).to.contain("is good until");
  });

  it("is cut off when it is deleted", async () => {
    await shop.kubectl(["delete", "externalworkload", "vm"]);
    await until("a refusal", 60_000, async () =>
      (await client.get(await vmUrl())).status === 200 ? undefined : true,
    );
    await until("the end of its stream", 60_000, async () =>
      (await envoy.stat("control_plane.connected_state")) === 0 ? true : undefined,
    );
  });
});
