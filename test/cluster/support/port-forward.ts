import { spawn } from "node:child_process";
import { until } from "../../../hack/cluster/progress";
import type { Mesh } from "./mesh";

/** A port of a pod on its own loopback. */
export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** Runs something with a local port that leads to a pod's, also to what the pod serves on its loopback only. */
export async function throughPortForward<T>(
  { kubectl }: Pick<Mesh, "kubectl">,
  { namespace, pod, port }: PodPort,
  use: (localPort: number) => Promise<T>,
): Promise<T> {
  const args = kubectl.arguments(["-n", namespace, "port-forward", `pod/${pod}`, `:${port}`]);
  // What it says about a port that is closed is no news.
  const child = spawn(kubectl.program, args, { stdio: ["ignore", "pipe", "ignore"] });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (said += part));
  try {
    const local = await until("its port", 30_000, () => /127\.0\.0\.1:(\d+)/.exec(said)?.[1]);
    return await use(Number(local));
  } finally {
    child.kill();
  }
}
