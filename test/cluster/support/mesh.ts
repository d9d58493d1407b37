import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { ensureCluster, ensureImages, type Cluster } from "../../../hack/cluster";
import { until, type Log } from "../../../hack/cluster/progress";
import { deploy } from "../../../hack/demo/control-plane";
import { Kubectl } from "../../../hack/demo/kubectl";
import { MODULE, WATCHER } from "../../../src/install/names";
import { PEPR_NAMESPACE } from "../../../src/model/mesh-words";
import type { KubeClient } from "../../../src/runtime/kube";
import { createKubeClient } from "../../../src/runtime/kube/client";
import { kubeconfigCredentials } from "../../../src/runtime/kube/credentials";

/** True when the full counts of the acceptance list are wanted (`npm run test:long`). */
export const FULL = process.env["OSM_FULL"] === "1";

/** Prints a figure that a test has measured, indented below its title. */
export const report: Log = line => {
  process.stdout.write(`      ${line}\n`);
};

const quiet: Log = () => undefined;

/** A pod, as far as tests look at it. */
export interface PodView {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly serviceAccountName?: string;
    readonly containers: readonly { readonly name: string }[];
    readonly initContainers?: readonly { readonly name: string }[];
  };
  readonly status: {
    readonly podIP?: string;
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** The embedded cluster with the mesh deployed on it, as every test of it shares them. */
export class Mesh {
  private constructor(
    public readonly cluster: Cluster,
    public readonly kubectl: Kubectl,
    /** For what kubectl would be too slow for: thousands of writes. As administrator. */
    public readonly api: KubeClient,
  ) {}

  private static opened: Promise<Mesh> | undefined;

  /** Brings up the cluster, its images, and by `npx pepr deploy -y` the mesh, each only if it is not there yet. */
  public static open(): Promise<Mesh> {
    Mesh.opened ??= Mesh.start();
    return Mesh.opened;
  }

  private static async start(): Promise<Mesh> {
    const cluster = await ensureCluster(quiet);
    await ensureImages(quiet);
    const kubectl = new Kubectl(cluster.kubectl, cluster.kubeconfig);
    const credentials = kubeconfigCredentials(parse(readFileSync(cluster.kubeconfig, "utf8")));
    // Sockets are the process's to leave open: unreferenced idle ones do not keep mocha from ending.
    const mesh = new Mesh(cluster, kubectl, createKubeClient(credentials));
    const deployed = await kubectl.attempt(["-n", PEPR_NAMESPACE, "get", "deployment", MODULE, WATCHER]);
    if (deployed.code !== 0) await mesh.deploy();
    await mesh.settled();
    return mesh;
  }

  /** `npx pepr deploy -y`, as anybody would type it. Each line of its output goes to `note`. */
  public async deploy(note: Log = quiet, folder?: string): Promise<void> {
    await deploy(this.kubectl, note, folder);
  }

  /** Waits until all pods of the control plane are those that are wanted, and ready. */
  public async settled(): Promise<void> {
    const status = ["-n", PEPR_NAMESPACE, "rollout", "status", "--timeout=240s"];
    await this.kubectl.must([...status, `deployment/${MODULE}`, `deployment/${WATCHER}`], undefined, 250_000);
  }

  /** Pods of the control plane that stay, of one Deployment or of both. */
  public async controlPlane(app?: string): Promise<readonly PodView[]> {
    const selector = app === undefined ? `app in (${MODULE},${WATCHER})` : `app=${app}`;
    const where = ["-n", PEPR_NAMESPACE, "get", "pods", "-l", selector];
    const { items } = await this.kubectl.json<{ items: PodView[] }>(where);
    return items.filter(pod => pod.metadata.deletionTimestamp === undefined);
  }

  /** Waits until no pod of these UIDs exists any more. */
  public async gone(uids: readonly string[], namespace = PEPR_NAMESPACE): Promise<void> {
    await until("the end of deleted pods", 120_000, async () => {
      const { items } = await this.kubectl.json<{ items: PodView[] }>(["-n", namespace, "get", "pods"]);
      return items.some(pod => uids.includes(pod.metadata.uid)) ? undefined : true;
    });
  }
}
