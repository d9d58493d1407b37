import { createHash } from "node:crypto";
import { createServer, type Server } from "node:net";
import { until, type Log } from "./progress";
import type { ClusterSettings } from "./settings";

/** Longest wait for another `up`, `down` or image import of the same cluster: a first build may take this long. */
const WAIT_MS = 30 * 60_000;

/**
 * Abstract unix socket of this cluster's state folder. One process at a time can be bound to it, and the kernel frees it when that process
 * ends, however it ends: there is no file that could be half-written, outlive its holder, or be taken over twice.
 */
function lockAddress({ state }: ClusterSettings): string {
  return `\0osm-pepr/${createHash("sha256").update(state).digest("hex").slice(0, 32)}`;
}

/** The lock, or undefined while another process has it. Rejects when the kernel refuses for another reason. */
function tryTake(address: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer(connection => connection.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen({ path: address }, () => {
      // Held for as long as there is work; it shall not keep the process alive by itself.
      resolve(server.unref());
    });
  });
}

/** Runs `work` while no other process of this machine changes the same cluster; a holder that dies has given it back. */
export async function withLock<T>(settings: ClusterSettings, log: Log, work: () => Promise<T>): Promise<T> {
  const address = lockAddress(settings);
  let held = await tryTake(address);
  if (held === undefined) {
    log(`another process is changing cluster ${settings.name}: waiting for it`);
    held = await until(`release of cluster ${settings.name}`, WAIT_MS, () => tryTake(address));
  }
  const lock = held;
  try {
    return await work();
  } finally {
    await new Promise(resolve => lock.close(resolve));
  }
}
