/** Processes of Node that the benchmark measures. */
import { fork, type ChildProcess } from "node:child_process";
import { pepr } from "../../package.json";
import { BoundProcess } from "../support/cgroup";

/** Starts a bundle with the environment of the control plane's pods: the C library's settings are part of what is measured. */
export function startBundle(file: string): ChildProcess {
  const env = { ...process.env, ...pepr.env };
  const child = fork(file, [], { execArgv: profiling(), env });
  if (process.env["OSM_BENCH_BOUND"] === "1") bound(child);
  return child;
}

/** Of the Deployments that `pepr deploy` makes: one CPU, 1 GiB. */
const POD = { cores: 1, bytes: 1024 ** 3 };

/** Bounds a process as a pod is bounded, and takes its groups away a moment after its end: the kernel lets go of it then. */
function bound(child: ChildProcess): void {
  const bounds = BoundProcess.of(child.pid ?? 0, POD);
  child.once("exit", () =>
    setTimeout(() => {
      bounds.lift();
    }, 500),
  );
}

/** With `OSM_BENCH_PROFILE=<folder>` each process leaves a CPU profile there when it ends. */
function profiling(): string[] {
  const folder = process.env["OSM_BENCH_PROFILE"];
  return folder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${folder}`];
}

/** Sends a message, and waits for the first that comes back. Rejects when the process ends before. */
export function firstAnswer<T>(child: ChildProcess, message: object): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once("message", answer => {
      resolve(answer as T);
    });
    child.once("exit", code => {
      reject(new Error(`a process of the benchmark ended (${String(code)})`));
    });
    child.send(message);
  });
}

/** Ends a process and waits for it. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>(resolve =>
    child.once("exit", () => {
      resolve();
    }),
  );
  // A process that is profiled writes as it exits; it does so when it loses its parent.
  if (profiling().length > 0 && child.connected) child.disconnect();
  else child.kill("SIGKILL");
  await gone;
}
