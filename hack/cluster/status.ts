import { existsSync } from "node:fs";
import { kubeconfigFile } from "./credentials";
import { isAlive, logFolder, recordedProcesses } from "./processes";
import { onPath, run } from "./shell";
import type { ClusterSettings } from "./settings";

function residentMegabytes(pids: readonly number[]): Promise<number> {
  return run("ps", ["-o", "rss=", "-p", pids.join(",")]).then(result =>
    Math.round(
      result.stdout
        .trim()
        .split("\n")
        .reduce((sum, line) => sum + Number(line), 0) / 1024,
    ),
  );
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function printNodes(kubeconfig: string): Promise<boolean> {
  const kubectl = (await onPath("kubectl")) ?? "kubectl";
  const result = await run(kubectl, [`--kubeconfig=${kubeconfig}`, "get", "nodes", "-o", "wide"], {
    timeoutMs: 10_000,
  }).catch((error: unknown) => ({ code: 1, stdout: "", stderr: String(error) }));
  say((result.stdout || result.stderr).trim());
  return result.code === 0;
}

/**
 * Prints what runs, how to reach it and where to look; with `onlyKubeconfig`, the path of the kubeconfig alone. Gives the
 * exit code: 0 when everything runs, 1 otherwise.
 */
export async function printStatus(settings: ClusterSettings, onlyKubeconfig: boolean): Promise<number> {
  const kubeconfig = kubeconfigFile(settings, "admin");
  if (onlyKubeconfig) {
    if (existsSync(kubeconfig)) say(kubeconfig);
    return existsSync(kubeconfig) ? 0 : 1;
  }
  const records = recordedProcesses(settings);
  if (records.length === 0) {
    say(`cluster ${settings.name} is down; "npm run cluster:up" starts it`);
    return 1;
  }
  for (const record of records) {
    say(`${isAlive(record) ? "running" : "DEAD   "}  ${record.name.padEnd(24)} pid ${record.pid}`);
  }
  const alive = records.filter(isAlive);
  say(
    `memory      ${alive.length === 0 ? 0 : await residentMegabytes(alive.map(record => record.pid))} MB resident`,
  );
  say(`kubeconfig  ${kubeconfig}`);
  say(`API server  https://${settings.nodeAddress}:6443`);
  say(`namespace   ${settings.netns} (nsenter --net=${settings.netns} …)`);
  say(`logs        ${logFolder(settings)}`);
  const answers = await printNodes(kubeconfig);
  return answers && alive.length === records.length ? 0 : 1;
}
