/**
 * Proves on a cluster of its own that `down` leaves nothing behind and that `up` repairs what is broken. Apart from the
 * ladder's tests, because those share a cluster that must stay. Run: node --import tsx test/cluster/teardown.check.ts
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { down, leftovers } from "../../hack/cluster/down";
import { kubeconfigFile } from "../../hack/cluster/credentials";
import { kubectlPath } from "../../hack/cluster/binaries";
import { isAlive, recordedProcesses, type ProcessRecord } from "../../hack/cluster/processes";
import { Progress, toStderr, until } from "../../hack/cluster/progress";
import { clusterSettings, type ClusterSettings } from "../../hack/cluster/settings";
import { capture } from "../../hack/cluster/shell";
import { up } from "../../hack/cluster/up";
import { IMAGES } from "../../hack/images/names";

/** What of the machine a cluster could change: compared before and after. */
async function machineState(): Promise<Record<string, string>> {
  const listing = (lines: string): string => lines.split("\n").sort().join("\n");
  return {
    links: listing(await capture("sh", ["-c", "ip -o link | cut -d: -f2 | cut -d@ -f1"])),
    routes: listing(await capture("ip", ["route"])),
    routes6: listing(await capture("ip", ["-6", "route"])),
    namespaces: listing(await capture("sh", ["-c", "ls /run/netns 2>/dev/null || true"])),
    filter: listing(await capture("sh", ["-c", "iptables-save | grep -v '^[#:]' || true"])),
    filter6: listing(await capture("sh", ["-c", "ip6tables-save | grep -v '^[#:]' || true"])),
    cgroups: listing(
      await capture("sh", ["-c", "ls -d /sys/fs/cgroup/* /sys/fs/cgroup/*/*/ 2>/dev/null || true"]),
    ),
    // Pods of a cluster beside this one come and go; what is below our own folder is in leftovers().
    mounts: listing(
      await capture("sh", [
        "-c",
        "cut -d' ' -f5 /proc/self/mountinfo | grep -v /containerd/ | grep -v /kubelet/",
      ]),
    ),
    "sockets of shims that nobody listens on": deadSockets(),
  };
}

function deadSockets(): string {
  const folder = "/run/containerd/s";
  const listening = readFileSync("/proc/net/unix", "utf8");
  const all = existsSync(folder) ? readdirSync(folder) : [];
  return all.filter(name => !listening.includes(`${folder}/${name}`)).join("\n");
}

function demand(condition: boolean, what: string): void {
  if (!condition) throw new Error(`FAILED: ${what}`);
  toStderr(`ok: ${what}`);
}

function find(settings: ClusterSettings, name: string): ProcessRecord {
  const record = recordedProcesses(settings).find(each => each.name === name);
  if (record === undefined) throw new Error(`${name} is not on record`);
  return record;
}

async function runPod(settings: ClusterSettings): Promise<void> {
  const kubectl = await kubectlPath(new Progress(toStderr));
  const kubeconfig = `--kubeconfig=${kubeconfigFile(settings, "admin")}`;
  const container = { name: "holder", image: IMAGES.pause, imagePullPolicy: "Never" };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "holder" },
    spec: { containers: [container] },
  };
  await until("creation of a pod", 30_000, async () => {
    await capture(kubectl, [kubeconfig, "apply", "-f", "-"], { input: JSON.stringify(pod) });
    return true;
  });
  await capture(kubectl, [kubeconfig, "wait", "--for=condition=Ready", "--timeout=60s", "pod/holder"]);
}

async function killComponent(settings: ClusterSettings, name: string): Promise<void> {
  const record = find(settings, name);
  process.kill(record.pid, "SIGKILL");
  await until(`the end of ${name}`, 5000, () => (isAlive(record) ? undefined : true));
}

async function checkAll(settings: ClusterSettings): Promise<void> {
  const before = await machineState();
  await up(toStderr, settings);
  await runPod(settings);
  demand((await leftovers(settings)).length > 0, "a running cluster is seen on the machine");

  const apiserver = find(settings, "kube-apiserver");
  await killComponent(settings, "kubelet");
  await killComponent(settings, "kube-scheduler");
  await up(toStderr, settings);
  demand(isAlive(apiserver), "repair keeps what still runs");
  demand(isAlive(find(settings, "kubelet")), "repair starts what had died");

  await capture("ip", ["link", "del", settings.hostLink]);
  await up(toStderr, settings);
  demand(!isAlive(apiserver), "a cluster without its network is made anew");
  await runPod(settings);

  const pids = recordedProcesses(settings);
  await down(toStderr, settings);
  demand(!pids.some(isAlive), "no process is left");
  demand(!existsSync(settings.state), "no state is left");
  const after = await machineState();
  for (const [part, value] of Object.entries(before)) {
    demand(
      after[part] === value,
      `${part} of the machine are as before${difference(value, after[part] ?? "")}`,
    );
  }
  await down(toStderr, settings);
  demand(true, "a second down is content");
}

function difference(before: string, after: string): string {
  const known = new Set(before.split("\n"));
  const added = after.split("\n").filter(line => !known.has(line));
  return added.length === 0 ? "" : ` (new: ${added.join(" ")})`;
}

async function main(): Promise<void> {
  // A folder that is not a cluster's state must survive.
  const foreign = mkdtempSync("/tmp/osm-foreign-");
  try {
    await capture("sh", ["-c", `echo precious > ${path.join(foreign, "file")}`]);
    const wrong = clusterSettings({ ...process.env, OSM_CLUSTER_NAME: "osm-teardown", OSM_STATE: foreign });
    const refused = await down(() => undefined, wrong).then(
      () => false,
      () => true,
    );
    demand(
      refused && readFileSync(path.join(foreign, "file"), "utf8") === "precious\n",
      "foreign folders are refused",
    );
  } finally {
    rmSync(foreign, { recursive: true, force: true });
  }
  await checkAll(clusterSettings({ ...process.env, OSM_CLUSTER_NAME: "osm-teardown" }));
}

main().catch((error: unknown) => {
  toStderr(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
});
