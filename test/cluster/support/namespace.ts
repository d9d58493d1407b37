import { randomBytes } from "node:crypto";
import { until } from "../../../hack/cluster/progress";
import {
  ANNOTATION_INJECTION,
  ANNOTATION_METRICS,
  DEFAULT_MESH_NAME,
  LABEL_MONITORED_BY,
  SIDECAR_CONTAINER,
} from "../../../src/model/mesh-words";
import type { Mesh, PodView } from "./mesh";

/** Label on every namespace that these tests make. */
export const TEST_LABEL = "openservicemesh.io/test";

/** Whether a pod was given a sidecar. */
export function hasSidecar(pod: PodView): boolean {
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  return all.some(container => container.name === SIDECAR_CONTAINER);
}

function isReady(pod: PodView): boolean {
  const ready = pod.status.conditions?.some(each => each.type === "Ready" && each.status === "True") === true;
  return ready && pod.metadata.deletionTimestamp === undefined && pod.status.podIP !== undefined;
}

/** A namespace of one test, with a name of its own each time, so that a run that was broken off is not in the way. */
export class TestNamespace {
  /** Those that are still to be removed. */
  private static readonly made: TestNamespace[] = [];

  private constructor(
    public readonly mesh: Mesh,
    public readonly name: string,
  ) {}

  /** Makes it; `meshed` namespaces give their pods a sidecar, with its metrics open. */
  public static async create(mesh: Mesh, purpose: string, meshed: boolean): Promise<TestNamespace> {
    const name = `mesh-${purpose}-${randomBytes(3).toString("hex")}`;
    const labels = {
      [TEST_LABEL]: "cluster",
      ...(meshed ? { [LABEL_MONITORED_BY]: DEFAULT_MESH_NAME } : {}),
    };
    const annotations = meshed ? { [ANNOTATION_INJECTION]: "enabled", [ANNOTATION_METRICS]: "enabled" } : {};
    const made = new TestNamespace(mesh, name);
    TestNamespace.made.push(made);
    await mesh.api.create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, labels, annotations },
    });
    const account = ["-n", name, "get", "serviceaccount", "default"];
    await until("the namespace's account", 60_000, () => mesh.kubectl.must(account));
    return made;
  }

  /** kubectl in this namespace; throws when it fails. */
  public kubectl(args: readonly string[], input?: string): Promise<string> {
    return this.mesh.kubectl.must(["-n", this.name, ...args], input, 240_000);
  }

  public async apply(...items: readonly object[]): Promise<void> {
    await this.kubectl(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  }

  /** Waits until the Deployments are rolled out. */
  public async rolledOut(...deployments: readonly string[]): Promise<void> {
    const names = deployments.map(name => `deployment/${name}`);
    await this.kubectl(["rollout", "status", "--timeout=200s", ...names]);
  }

  /** Pods with this label `app`, default all, finished and leaving ones included. */
  public async pods(app?: string): Promise<readonly PodView[]> {
    const selector = app === undefined ? [] : ["-l", `app=${app}`];
    const { items } = JSON.parse(await this.kubectl(["get", "pods", "-o", "json", ...selector])) as {
      items: PodView[];
    };
    return items;
  }

  /** A ready pod with this label `app`. Waits up to two minutes for one. */
  public readyPod(app: string): Promise<PodView & { readonly status: { readonly podIP: string } }> {
    return until(`a ready pod of ${app}`, 120_000, async () => {
      const pod = (await this.pods(app)).find(isReady);
      if (pod?.status.podIP === undefined) return undefined;
      return { ...pod, status: { ...pod.status, podIP: pod.status.podIP } };
    });
  }

  /** Starts the removal of all that were made, however far their test has come; it goes on by itself. */
  public static async removeAll(): Promise<void> {
    for (const { mesh, name } of TestNamespace.made.splice(0)) {
      await mesh.kubectl.attempt(["delete", "namespace", name, "--wait=false"]);
    }
  }
}
