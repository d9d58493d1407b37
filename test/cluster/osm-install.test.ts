import { expect } from "chai";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { stringify } from "yaml";
import { buildChart } from "../../hack/chart/build";
import { kubectlPath } from "../../hack/cluster/binaries";
import { kubeconfigFile } from "../../hack/cluster/credentials";
import { down } from "../../hack/cluster/down";
import { ensureHelm } from "../../hack/cluster/index";
import { Progress, toStderr, until } from "../../hack/cluster/progress";
import { clusterSettings, type ClusterSettings } from "../../hack/cluster/settings";
import { run, type RunResult } from "../../hack/cluster/shell";
import { up } from "../../hack/cluster/up";
import { Kubectl } from "../../hack/demo/kubectl";
import { asList } from "../../hack/demo/manifests";
import { ensureImportedImages } from "../../hack/images/import";
import { imageNames } from "../../hack/images/names";
import { ALL_ROLES } from "../../hack/images/recipes";
import { buildCommand } from "../../hack/osm/build";
import { MODULE, WATCHER } from "../../src/install/names";
import { report } from "./support/mesh";
import { buildModule } from "./support/module";
import { callers, counted, otherRelease } from "./support/walk";

const CONTROL = "pepr-system";
const MESH = ["--mesh-name", "shop-mesh"];

// A whole cluster of its own, and the mesh there and gone three times: about six minutes of two cores.
if (process.env["OSM_FULL"] === "1")
  describe("osm install, mesh upgrade, rollback and uninstall on a whole cluster", function () {
    this.timeout(1_800_000);
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-install-"));
    const apart = { OSM_CLUSTER_NAME: "osm-install", OSM_STATE: undefined, OSM_CLUSTER_INDEX: undefined };
    let settings: ClusterSettings;
    let kubectl: Kubectl;
    let program: string;
    let manifest: string;
    let empty: readonly string[];

    const must = (...args: readonly string[]): Promise<string> => kubectl.must(args, undefined, 300_000);
    const osmAs = (kubeconfig: string, ...args: readonly string[]): Promise<RunResult> =>
      run(process.execPath, [program, ...args], { env: { KUBECONFIG: kubeconfig }, timeoutMs: 600_000 });
    const osm = (...args: readonly string[]): Promise<RunResult> =>
      osmAs(kubeconfigFile(settings, "admin"), ...args);
    async function osmMust(...args: readonly string[]): Promise<string> {
      const { code, stdout, stderr } = await osm(...args);
      expect(code, `osm ${args.join(" ")}\n${stdout}\n${stderr}`).to.equal(0);
      return stdout;
    }

    /** Every object but those that come and go by themselves: `kind namespace name`. */
    async function inventory(): Promise<readonly string[]> {
      const listed = (await must("api-resources", "--verbs=list", "-o", "name")).split("\n");
      const kinds = listed.filter(kind => kind !== "" && !/^(events|leases)/.test(kind));
      const columns = "custom-columns=K:.kind,S:.metadata.namespace,N:.metadata.name";
      return (await must("get", kinds.join(","), "-A", "--no-headers", "-o", columns))
        .split("\n")
        .map(line => line.trim().replaceAll(/ +/g, " "))
        .filter(line => line !== "")
        .sort();
    }
    async function nothingLeft(): Promise<void> {
      await until("an inventory as before", 120_000, async () => {
        expect(await inventory()).to.deep.equal(empty);
        return true;
      });
    }

    before(async () => {
      settings = clusterSettings({ ...process.env, ...apart });
      await down(toStderr, settings);
      await up(toStderr, settings);
      const progress = new Progress(toStderr);
      await ensureImportedImages(ALL_ROLES, settings, progress);
      kubectl = new Kubectl(await kubectlPath(progress), kubeconfigFile(settings, "admin"));
      manifest = await buildModule(folder);
      program = await buildCommand(path.join(folder, "bin"));
      empty = await inventory();
    });
    after(async () => {
      await down(toStderr, settings);
      rmSync(folder, { recursive: true, force: true });
    });

    it("refuses who has not the rights, and names them; nothing is changed", async () => {
      await must("create", "serviceaccount", "guest");
      const token = (await must("create", "token", "guest")).trim();
      const config = await kubectl.json<{ clusters: object[]; users: object[] }>(["config", "view", "--raw"]);
      const guest = path.join(folder, "guest");
      writeFileSync(guest, stringify({ ...config, users: [{ ...config.users[0], user: { token } }] }));
      // To look whether a mesh is there is the least that is needed.
      const reading = [
        "create",
        "clusterrolebinding",
        "guest",
        "--clusterrole=view",
        "--serviceaccount=default:guest",
      ];
      await must(...reading);
      const { code, stderr } = await osmAs(guest, "install", "--osm-chart-path", manifest);
      await must("delete", "serviceaccount/guest", "clusterrolebinding/guest");
      expect([code, stderr]).to.deep.equal([
        1,
        "Error: you may not: create namespaces, patch secrets in pepr-system, patch deployments.apps in pepr-system, " +
          "patch clusterroles.rbac.authorization.k8s.io, escalate clusterroles.rbac.authorization.k8s.io, " +
          "patch clusterrolebindings.rbac.authorization.k8s.io; a cluster administrator may\n",
      ]);
      await nothingLeft();
    });

    it("installs as a printed command of Open Service Mesh asks it to, with add-ons", async () => {
      const began = Date.now();
      const said = await osmMust(
        ...["install", "--osm-chart-path", manifest, ...MESH, "--namespace", "mesh-system"],
        ...["--enable-prometheus", "--enable-grafana", "--deploy-jaeger"],
        ...["--set=OpenServiceMesh.envoyLogLevel=info", "--set", "osm.osmController.replicaCount=3"],
      );
      report(`installed in ${((Date.now() - began) / 1_000).toFixed(0)} s`);
      expect(said).to.contain(
        "OSM installed successfully in namespace [mesh-system] with mesh name [shop-mesh]\n",
      );
      // Their images are in no registry that is reached from here: that they are taken is what can be seen.
      const names = ["osm-prometheus", "osm-grafana", "jaeger"].map(name => `deployment/${name}`);
      await must("-n", "mesh-system", "get", ...names);
      const again = await osm("install", "--osm-chart-path", manifest, "--mesh-name", "other");
      expect(again.stderr).to.equal(
        "Error: mesh shop-mesh runs in this cluster already; osm mesh upgrade changes it\n",
      );
    });

    it("meshes a namespace whose pods then talk", async () => {
      await must("create", "namespace", "shop");
      await osmMust("namespace", "add", "shop", ...MESH);
      await kubectl.must(["-n", "shop", "apply", "-f", "-"], asList(callers(imageNames(undefined).demo)));
      await must(
        "-n",
        "shop",
        "rollout",
        "status",
        "deployment/server",
        "deployment/client",
        "--timeout=240s",
      );
      await moreAnswers();
      const pods = await must(
        "-n",
        "shop",
        "get",
        "pods",
        "-o",
        "jsonpath={.items[*].spec.initContainers[*].name}",
      );
      expect(pods).to.contain("envoy");
    });

    /** Waits for twenty more answers; gives how many calls have failed in all. */
    async function moreAnswers(): Promise<number> {
      const look = async (): Promise<{ good: number; bad: number } | undefined> =>
        counted(await must("-n", "shop", "logs", "deployment/client", "-c", "app", "--tail=1"));
      const before = (await until("the first answers", 240_000, look)).good;
      return until("twenty more answers", 240_000, async () => {
        const now = await look();
        return now !== undefined && now.good >= before + 20 ? { bad: now.bad } : undefined;
      }).then(({ bad }) => bad);
    }

    it("runs pods that the standard `restricted` takes, with a root that nobody can write to", async () => {
      const label = "pod-security.kubernetes.io/enforce=restricted";
      const asked = ["label", "--dry-run=server", "--overwrite", "namespace", CONTROL, label];
      const { code, stderr } = await kubectl.attempt(asked);
      expect([code, stderr]).to.deep.equal([0, ""]);
      const write = `try { require("node:fs").writeFileSync("/app/x", ""); } catch (error) { console.log(error.code); }`;
      for (const name of [MODULE, WATCHER]) {
        const exec = ["-n", CONTROL, "exec", `deployment/${name}`, "--", "/usr/local/bin/node", "-e", write];
        expect((await must(...exec)).trim(), name).to.equal("EROFS");
      }
      interface Pods {
        readonly items: readonly {
          readonly spec: {
            readonly initContainers: readonly { readonly name: string; readonly securityContext?: object }[];
          };
        }[];
      }
      const { items } = await kubectl.json<Pods>(["-n", "shop", "get", "pods"]);
      for (const { spec } of items)
        expect(spec.initContainers.find(({ name }) => name === "envoy")?.securityContext).to.deep.include({
          readOnlyRootFilesystem: true,
          runAsNonRoot: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ["ALL"] },
          seccompProfile: { type: "RuntimeDefault" },
        });
    });

    const running = async (): Promise<unknown> => {
      const path = "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].args[1]}";
      const shown = await must("-n", CONTROL, "get", "deployment", MODULE, "-o", path);
      const config = ["-n", "mesh-system", "get", "meshconfig", "osm-mesh-config"];
      return [...shown.split(" "), await must(...config, "-o", "jsonpath={.spec.sidecar.logLevel}")];
    };

    it("upgrades to another release and back with what was set, and no request fails", async () => {
      const other = path.join(folder, "other.yaml");
      writeFileSync(other, otherRelease(readFileSync(manifest, "utf8")));
      const first = (await running()) as string[];
      expect(first).to.include.members(["3", "info"]);
      for (const [source, expected] of [
        [other, "another"],
        [manifest, "the first"],
      ] as const) {
        const said = await osmMust("mesh", "upgrade", ...MESH, "--osm-chart-path", source);
        expect(said).to.contain("OSM successfully upgraded mesh [shop-mesh]\n");
        const now = (await running()) as string[];
        expect([now[0], now[2]], expected).to.deep.equal(["3", "info"]);
        expect(now[1] === first[1] ? "the first" : "another").to.equal(expected);
        expect(await moreAnswers(), "failed").to.equal(0);
        await until(
          "a well mesh",
          240_000,
          async () => (await osm("status", ...MESH)).stdout.includes("All is well") || undefined,
        );
      }
    });

    it("uninstalls, and nothing is left; a pod that keeps its sidecar goes on", async () => {
      await osmMust("namespace", "remove", "shop", ...MESH);
      await osmMust("uninstall", "mesh", "-f", "-a", "--delete-namespace", ...MESH);
      expect(await moreAnswers(), "failed").to.equal(0);
      await must("delete", "namespace", "shop");
      await nothingLeft();
    });

    it("is applied by a GitOps tool again and again, and changes nothing the third time", async () => {
      const chart = buildChart(manifest, path.join(folder, "osm-pepr"), "1.2.3");
      const rendered = await run(await ensureHelm(toStderr), [
        "template",
        "osm",
        chart,
        "--kube-version",
        "1.34.0",
      ]);
      const file = path.join(folder, "rendered.yaml");
      writeFileSync(file, rendered.stdout);
      // Without force: whatever the mesh has taken over would be a conflict.
      const apply = (): Promise<string> => must("apply", "--server-side", "-f", file);
      const versions = (): Promise<string> =>
        must(
          "get",
          "-f",
          file,
          "-o",
          "custom-columns=K:.kind,N:.metadata.name,G:.metadata.generation,M:.metadata.managedFields[*].manager",
          "--show-managed-fields",
        );
      await apply();
      await apply();
      await must(
        "-n",
        CONTROL,
        "rollout",
        "status",
        `deployment/${MODULE}`,
        `deployment/${WATCHER}`,
        "--timeout=300s",
      );
      await until("the watcher's writings", 240_000, () =>
        must("-n", CONTROL, "get", "service/osm-controller", "poddisruptionbudget/osm-controller"),
      );
      await until("the MeshConfig", 240_000, () =>
        must("-n", "osm-system", "get", "meshconfig/osm-mesh-config"),
      );
      const before = await versions();
      expect(before).to.match(new RegExp(`Deployment +${MODULE} +1 `));
      await apply();
      expect(await versions()).to.equal(before);
      await osmMust("uninstall", "mesh", "-f", "-a", "--delete-namespace");
      await nothingLeft();
    });

    it("leaves what Helm has installed to Helm, and takes the chart by its folder", async () => {
      const helm = await ensureHelm(toStderr);
      const chart = path.join(folder, "osm-pepr");
      const bin = path.join(folder, "helm-bin");
      await run("sh", ["-euc", 'mkdir -p "$1"; ln -sf "$2" "$1/helm"', "sh", bin, helm]);
      const env = {
        KUBECONFIG: kubeconfigFile(settings, "admin"),
        PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      };
      const byChart = (...args: readonly string[]): Promise<RunResult> =>
        run(process.execPath, [program, ...args, "--osm-chart-path", chart], { env, timeoutMs: 600_000 });
      const installed = await byChart(
        "install",
        "--set",
        "osm.enableEgress=false,osmController.replicaCount=1",
      );
      expect(installed.code, installed.stderr).to.equal(0);
      expect((await osm("mesh", "upgrade")).stderr).to.contain("Helm installed this mesh: helm upgrade osm");
      const upgraded = await byChart("mesh", "upgrade", "--set", "osm.trustDomain=example.org");
      expect(upgraded.code, upgraded.stderr).to.equal(0);
      const shape =
        "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].env[?(@.name=='OSM_TRUST_DOMAIN')].value}";
      expect(await must("-n", CONTROL, "get", "deployment", MODULE, "-o", shape)).to.equal("1 example.org");
      const egress = "jsonpath={.spec.traffic.enableEgress}";
      expect(await must("-n", "osm-system", "get", "meshconfig", "osm-mesh-config", "-o", egress)).to.equal(
        "false",
      );
      expect((await osm("uninstall", "mesh", "-f")).stderr).to.contain(
        "Helm installed this mesh: helm uninstall osm",
      );
      const gone = await run(helm, ["uninstall", "osm", "--wait", "--kubeconfig", env.KUBECONFIG], {
        timeoutMs: 300_000,
      });
      expect(gone.code, gone.stderr).to.equal(0);
      await osmMust("uninstall", "mesh", "-f", "-a", "--delete-namespace");
      await nothingLeft();
    });
  });
