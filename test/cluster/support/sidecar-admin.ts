import { closeSync, openSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { until } from "../../../hack/cluster/progress";
import { FILE_ADMIN_SOCKET, VOLUME_RUN } from "../../../src/injector/names";
import type { Mesh, PodView } from "./mesh";

/**
 * Envoy's administration interface of a meshed pod. It is a unix socket that no container but the sidecar can open; this
 * machine is the node, so it reaches the socket as root in the pod's volume.
 */
export class SidecarAdmin {
  private readonly folder: string;

  public constructor(mesh: Mesh, pod: PodView) {
    const volume = path.join("volumes", "kubernetes.io~empty-dir", VOLUME_RUN);
    this.folder = path.join(mesh.cluster.state, "kubelet", "pods", pod.metadata.uid, volume);
  }

  /** Reads a page. */
  public get(page: string): Promise<string> {
    // The path as a whole is longer than a socket's may be.
    const folder = openSync(this.folder, "r");
    const socketPath = `/proc/self/fd/${folder}/${FILE_ADMIN_SOCKET}`;
    return new Promise<string>((resolve, reject) => {
      const call = http.get({ socketPath, path: page, agent: false, timeout: 30_000 }, response => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () => {
          resolve(text);
        });
        response.on("error", reject);
      });
      call.on("timeout", () => call.destroy(new Error(`${page}: no answer`)));
      call.on("error", reject);
    }).finally(() => {
      closeSync(folder);
    });
  }

  /** Sums of counters by what `pattern` captures, e.g. `ssl\.versions\.(.+)` by TLS version. */
  public async counters(pattern: string): Promise<Readonly<Record<string, number>>> {
    const text = await this.get(`/stats?filter=${encodeURIComponent(pattern)}`);
    const sums: Record<string, number> = {};
    for (const line of text.split("\n")) {
      const [, key] = new RegExp(`${pattern}: \\d+$`).exec(line) ?? [];
      if (key !== undefined) sums[key] = (sums[key] ?? 0) + Number(line.split(": ")[1]);
    }
    return sums;
  }

  /** Waits until of all these counters only `wanted` grows, by `by` between two looks at them. */
  public async onlyCounts(pattern: string, wanted: string, by = 3): Promise<void> {
    let last = await this.counters(pattern);
    await until(
      `${wanted} alone among ${pattern}`,
      60_000,
      async () => {
        const now = await this.counters(pattern);
        const grown = Object.keys(now).filter(key => (now[key] ?? 0) > (last[key] ?? 0));
        if (grown.some(key => key !== wanted)) last = now;
        return (now[wanted] ?? 0) >= (last[wanted] ?? 0) + by ? true : undefined;
      },
      300,
    );
  }

  /**
   * Waits until each worker has taken connections since now. The main thread shows configuration as active before the workers
   * have it, and on a machine that is short of time they may have it a second later.
   */
  public async workersTurned(): Promise<void> {
    const pattern = String.raw`listener\..*\.(worker_\d+)\.downstream_cx_total`;
    const before = await this.counters(pattern);
    await until("connections at each worker", 60_000, async () => {
      const now = await this.counters(pattern);
      const turned = Object.entries(now).every(([worker, count]) => count >= (before[worker] ?? 0) + 2);
      return turned ? true : undefined;
    });
  }

  /** The configuration that is in force: clusters and listeners from ADS that serve, not those that are warming. */
  public async active(): Promise<string> {
    const parts = ["dynamic_active_clusters", "dynamic_listeners"];
    const pages = await Promise.all(parts.map(part => this.get(`/config_dump?resource=${part}`)));
    return pages.join("\n");
  }
}
