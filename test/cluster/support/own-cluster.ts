import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { cranePath, kubectlPath } from "../../../hack/cluster/binaries";
import { containerdPaths } from "../../../hack/cluster/container-runtime";
import { kubeconfigFile } from "../../../hack/cluster/credentials";
import { down } from "../../../hack/cluster/down";
import { Progress, toStderr, until } from "../../../hack/cluster/progress";
import { clusterSettings, repositoryRoot, type ClusterSettings } from "../../../hack/cluster/settings";
import { capture, run, type RunResult } from "../../../hack/cluster/shell";
import { up } from "../../../hack/cluster/up";
import { Kubectl } from "../../../hack/demo/kubectl";
import { publishBase } from "../../../hack/images/build";

/** Name of the cluster, of its context and of its node. */
const NAME = "osm-own";
const REGISTRY_PORT = 5000;

/**
 * An image registry that knows no encryption, in the cluster's network namespace: on one address it is reached by whoever
 * pushes on this machine and by the cluster's containerd.
 */
class Registry {
  private constructor(
    /** Where it listens, `address:port`. */
    public readonly host: string,
    private readonly server: ChildProcess,
  ) {}

  public static async start(settings: ClusterSettings, folder: string): Promise<Registry> {
    const crane = await cranePath(new Progress(toStderr));
    const host = `${settings.nodeAddress}:${REGISTRY_PORT}`;
    const blobs = path.join(folder, "blobs");
    mkdirSync(blobs);
    const log = openSync(path.join(folder, "registry.log"), "a");
    const serve = [crane, "registry", "serve", "--address", host, "--disk", blobs];
    const server = spawn("nsenter", [`--net=${settings.netns}`, "--", ...serve], {
      stdio: ["ignore", log, log],
    });
    const registry = new Registry(host, server);
    await until("the registry", 60_000, () => registry.repositories());
    const known = path.join(containerdPaths(settings).registries, host);
    mkdirSync(known, { recursive: true });
    const plain = `[host."http://${host}"]\ncapabilities = ["pull", "resolve"]\n`;
    writeFileSync(path.join(known, "hosts.toml"), plain);
    return registry;
  }

  /** Names of what was pushed. */
  public async repositories(): Promise<readonly string[]> {
    const answer = await fetch(`http://${this.host}/v2/_catalog`);
    return ((await answer.json()) as { repositories: string[] | null }).repositories ?? [];
  }

  public async stop(): Promise<void> {
    if (this.server.exitCode !== null || this.server.signalCode !== null) return;
    const gone = once(this.server, "exit");
    this.server.kill("SIGKILL");
    await gone;
  }
}

/** Makes buildah take a store of its own and the registry without encryption; gives the environment that says so. */
function buildahEnvironment(folder: string, host: string): Record<string, string> {
  const storage = path.join(folder, "storage.conf");
  const registries = path.join(folder, "registries.conf");
  const place = (name: string): string => JSON.stringify(path.join(folder, name));
  writeFileSync(
    storage,
    `[storage]\ndriver = "vfs"\ngraphroot = ${place("root")}\nrunroot = ${place("run")}\n`,
  );
  writeFileSync(registries, `[[registry]]\nlocation = "${host}"\ninsecure = true\n`);
  return {
    CONTAINERS_STORAGE_CONF: storage,
    CONTAINERS_REGISTRIES_CONF: registries,
    BUILDAH_ISOLATION: "chroot",
  };
}

/**
 * A second cluster that stands for the user's own: it has no image of ours but its pause and its DNS, only a registry, and
 * everything that is run for it knows it by its kubeconfig alone.
 */
export class OwnCluster {
  private constructor(
    private readonly settings: ClusterSettings,
    public readonly registry: Registry,
    public readonly kubectl: Kubectl,
    private readonly build: { readonly folder: string; readonly env: Readonly<Record<string, string>> },
  ) {}

  /** Path of the kubeconfig whose current context is this cluster. */
  public get kubeconfig(): string {
    return kubeconfigFile(this.settings, "admin");
  }

  /** Where images are pushed to, as a user would write it. */
  public get images(): string {
    return `${this.registry.host}/mesh`;
  }

  public static async start(): Promise<OwnCluster> {
    const apart = { OSM_CLUSTER_NAME: NAME, OSM_STATE: undefined, OSM_CLUSTER_INDEX: undefined };
    const settings = clusterSettings({ ...process.env, ...apart });
    const folder = mkdtempSync(path.join(os.tmpdir(), `${NAME}-`));
    try {
      await down(toStderr, settings);
      await up(toStderr, settings);
      const registry = await Registry.start(settings, folder);
      const base = `${registry.host}/library/debian:bookworm`;
      await publishBase(base, new Progress(toStderr));
      const kubectl = new Kubectl(
        await kubectlPath(new Progress(toStderr)),
        kubeconfigFile(settings, "admin"),
      );
      const env = { ...buildahEnvironment(folder, registry.host), OSM_BASE_IMAGE: base };
      return new OwnCluster(settings, registry, kubectl, { folder, env });
    } catch (error) {
      await down(toStderr, settings);
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** `npm run demo`, told of this cluster as README says. No terminal is there to answer a question. */
  public demo(...args: readonly string[]): Promise<RunResult> {
    const env = {
      ...this.build.env,
      OSM_CLUSTER: "kubeconfig",
      KUBECONFIG: this.kubeconfig,
      OSM_REGISTRY: this.images,
    };
    const command = ["hack/bootstrap.cjs", "demo", ...args];
    return run(process.execPath, command, {
      cwd: repositoryRoot(),
      env,
      timeoutMs: 2_400_000,
      onLine: toStderr,
    });
  }

  /** Runs a script of the shell, in which kubectl means this cluster. */
  public shell(script: string): Promise<RunResult> {
    const env = {
      KUBECONFIG: this.kubeconfig,
      PATH: `${path.dirname(this.kubectl.program)}:${process.env["PATH"] ?? ""}`,
    };
    return run("sh", ["-euc", script], { env, timeoutMs: 300_000 });
  }

  /** Names of all images that the cluster's node has, without those that are told by their digest only. */
  public async imagesOnNode(): Promise<readonly string[]> {
    const { socket } = containerdPaths(this.settings);
    const listed = await capture("ctr", ["-a", socket, "-n", "k8s.io", "images", "ls", "-q"]);
    return listed.split("\n").filter(name => name !== "" && !/^sha256:|@sha256:/.test(name));
  }

  /** Ends cluster and registry; nothing is left. */
  public async stop(): Promise<void> {
    await this.registry.stop();
    await down(toStderr, this.settings);
    rmSync(this.build.folder, { recursive: true, force: true });
  }
}
