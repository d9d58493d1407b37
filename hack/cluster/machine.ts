import { existsSync, readdirSync, readFileSync } from "node:fs";
import { capture } from "./shell";

/** What of a machine a cluster could change: sorted lines by part. */
export type MachineState = Readonly<Record<string, readonly string[]>>;

/** Folder that containerd fixes for the sockets of its shims. */
const SHIM_SOCKETS = "/run/containerd/s";

async function lines(command: string): Promise<readonly string[]> {
  const text = await capture("sh", ["-c", command]);
  return text
    .split("\n")
    .filter(line => line !== "")
    .sort();
}

function deadSockets(): readonly string[] {
  const listening = readFileSync("/proc/net/unix", "utf8");
  const all = existsSync(SHIM_SOCKETS) ? readdirSync(SHIM_SOCKETS) : [];
  return all.filter(name => !listening.includes(`${SHIM_SOCKETS}/${name}`)).sort();
}

/** Looks at the machine: links, routes, packet filters, network namespaces, control groups, mounts, forgotten sockets. */
export async function machineState(): Promise<MachineState> {
  return {
    links: await lines("ip -o link | cut -d: -f2 | cut -d@ -f1"),
    "IPv4 routes": await lines("ip route"),
    "IPv6 routes": await lines("ip -6 route"),
    "IPv4 packet filter": await lines("iptables-save | grep -v '^[#:]' || true"),
    "IPv6 packet filter": await lines("ip6tables-save | grep -v '^[#:]' || true"),
    "network namespaces": await lines("ls /run/netns 2>/dev/null || true"),
    "control groups": await lines("ls -d /sys/fs/cgroup/* /sys/fs/cgroup/*/*/ 2>/dev/null || true"),
    // Pods of a cluster beside this one come and go; what is below a cluster's own folder is in leftovers().
    mounts: await lines("cut -d' ' -f5 /proc/self/mountinfo | grep -v /containerd/ | grep -v /kubelet/"),
    "sockets of shims that nobody listens on": deadSockets(),
  };
}

/** What is there after and was not before, by part; a part without additions has an empty list. */
export function additions(before: MachineState, after: MachineState): MachineState {
  const found = Object.entries(after).map(([part, now]) => {
    const known = new Set(before[part]);
    return [part, now.filter(line => !known.has(line))] as const;
  });
  return Object.fromEntries(found);
}

/** Whether a line of a machine's state can come from an embedded cluster, whatever else starts and ends on the machine. */
function isOfCluster(line: string): boolean {
  return /osm|kube|cni|containerd/i.test(line);
}

/** One thing that the end of a cluster is to leave nothing of; `detail` says what is left of it nevertheless. */
export interface Finding {
  readonly title: string;
  readonly detail?: string;
}

/**
 * Ends a cluster and tells what it has left. `down` throws when something of its own is left that it knows of; the rest is
 * found by comparing the machine with what it was `before` the cluster.
 */
export async function leftByDown(
  before: MachineState,
  down: () => Promise<void>,
): Promise<readonly Finding[]> {
  const title = (part: string): string => `npm run cluster:down leaves no ${part}`;
  const own = title("processes, mounts, control groups, links and files of the cluster");
  try {
    await down();
  } catch (error) {
    return [{ title: own, detail: String(error) }];
  }
  const parts = Object.entries(additions(before, await machineState()));
  const rest = parts.map(([part, added]) => {
    const left = added.filter(isOfCluster).join("\n");
    return { title: title(`new ${part}`), ...(left === "" ? {} : { detail: left }) };
  });
  return [{ title: own }, ...rest];
}
