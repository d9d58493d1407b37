/**
 * Proves on a cluster of its own that `down` leaves nothing behind and that `up` repairs what is broken. Apart from the
 * ladder's tests, because those share a cluster that must stay. Run: node --import tsx test/cluster/teardown.check.ts
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { down, leftovers } from "../../hack/cluster/down";
import { kubeconfigFile } from "../../hack/cluster/credentials";
import { kubectlPath } from "../../hack/cluster/binaries";
import { additions, machineState } from "../../hack/cluster/machine";
import { isAlive, recordedProcesses, type ProcessRecord } from "../../hack/cluster/processes";
import { Progress, toStderr, until } from "../../hack/cluster/progress";
import { clusterSettings, type ClusterSettings } from "../../hack/cluster/settings";
import { capture } from "../../hack/cluster/shell";
import { up } from "../../hack/cluster/up";
import { IMAGES } from "../../hack/images/names";

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
  for (const [part, lines] of Object.entries(before)) {
    const added = additions(before, after)[part] ?? [];
    const same = lines.join("\n") === (after[part] ?? []).join("\n");
    demand(
      same,
      `${part} of the machine are as before${added.length === 0 ? "" : ` (new: ${added.join(" ")})`}`,
    );
  }
  await down(toStderr, settings);
  demand(true, "a second down is content");
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
