import { IMAGES } from "../../../hack/images/names";
import { KubeError } from "../../../src/runtime/kube";
import type { Mesh, PodView } from "./mesh";
import { hasSidecar } from "./namespace";

/** What became of the pods that were asked for, by namespace. */
export interface PatrolCounts {
  /** Created with a sidecar. */
  meshed: number;
  /** Created as they were sent, but for what Kubernetes itself adds. */
  bare: number;
  /** Neither: no sidecar and yet something of the mesh in it. */
  touched: number;
  refused: number;
  /** The API server's words for each refusal. */
  readonly refusals: Set<string>;
  readonly latenciesMs: number[];
}

/** A scheduler that nobody runs: such pods are stored like any other, and no kubelet has work with them. */
const NOBODY = "nobody";

function podOf(name: string): Record<string, unknown> {
  const container = { name: "app", image: IMAGES.pause, imagePullPolicy: "Never" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: "patrol" } },
    spec: { schedulerName: NOBODY, terminationGracePeriodSeconds: 0, containers: [container] },
  };
}

/** Whether nothing of the mesh is in a pod: one container, no init container, no annotation or label of ours. */
function isUntouched(pod: PodView): boolean {
  const marks = [...Object.keys(pod.metadata.annotations ?? {}), ...Object.keys(pod.metadata.labels ?? {})];
  return (
    pod.spec.containers.length === 1 &&
    (pod.spec.initContainers ?? []).length === 0 &&
    !marks.some(mark => mark.includes("openservicemesh.io") || mark.startsWith("osm-"))
  );
}

/** Asks for pods in one namespace, on time, whatever becomes of earlier ones. */
export class PodPatrol {
  public readonly counts: PatrolCounts = {
    meshed: 0,
    bare: 0,
    touched: 0,
    refused: 0,
    refusals: new Set(),
    latenciesMs: [],
  };
  private readonly running = new Set<Promise<void>>();
  private number = 0;
  private readonly timer: NodeJS.Timeout;

  private constructor(
    private readonly mesh: Mesh,
    private readonly namespace: string,
    everyMs: number,
  ) {
    this.timer = setInterval(() => {
      const one = this.ask().finally(() => this.running.delete(one));
      this.running.add(one);
    }, everyMs);
  }

  public static start(mesh: Mesh, namespace: string, everyMs: number): PodPatrol {
    return new PodPatrol(mesh, namespace, everyMs);
  }

  /** Pods asked for and answered. */
  public get answered(): number {
    const { meshed, bare, touched, refused } = this.counts;
    return meshed + bare + touched + refused;
  }

  /** Asks no more, waits for what is under way and gives the counts. */
  public async stop(): Promise<PatrolCounts> {
    clearInterval(this.timer);
    await Promise.all(this.running);
    return this.counts;
  }

  private async ask(): Promise<void> {
    this.number += 1;
    const began = Date.now();
    try {
      const path = `/api/v1/namespaces/${this.namespace}/pods`;
      const pod = (await this.mesh.api.create<unknown>(path, podOf(`patrol-${this.number}`))) as PodView;
      if (hasSidecar(pod)) this.counts.meshed += 1;
      else if (isUntouched(pod)) this.counts.bare += 1;
      else this.counts.touched += 1;
    } catch (error) {
      this.counts.refused += 1;
      const words = error instanceof KubeError ? `${error.status} ${error.message}` : String(error);
      this.counts.refusals.add(words.replaceAll(/patrol-\d+/g, "patrol-N"));
    }
    this.counts.latenciesMs.push(Date.now() - began);
  }
}
