/** The control plane under measurement: a replica, which serves proxies, or the one process that has all duties. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { pepr } from "../../package.json";
import type { TestApiServer } from "../support/kube-apiserver";
import { kubeconfigOf } from "../support/kubeconfig";
import { bundle } from "./build";
import { firstAnswer, startBundle } from "./child";
import type { ReplicaStarted, StartReplica } from "./controller";

/** A control plane that runs, and where. */
export interface Plane {
  readonly child: ChildProcess;
  readonly started: ReplicaStarted;
}

/** Starts a control plane that follows that API server; it knows the whole mesh when this resolves. */
export type StartPlane = (server: TestApiServer) => Promise<Plane>;

/** A replica as in a pod, without the watcher's duties (status, roots, Deployments). */
export function replica(): StartPlane {
  const program = bundle(path.join(__dirname, "controller.ts"));
  return async ({ port, ca, token }) => {
    const child = startBundle(program);
    const message: StartReplica = { server: `https://127.0.0.1:${port}`, ca, token };
    return { child, started: await firstAnswer<ReplicaStarted>(child, message) };
  };
}

/** What `npm run control-plane` is: all duties in one process outside of the cluster. */
export function outside(): StartPlane {
  const program = bundle(path.join(__dirname, "../../hack/control-plane/main.ts"));
  return async server => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-bench-"));
    const [config, root] = [path.join(folder, "kubeconfig"), path.join(folder, "root.pem")];
    const { port, ca, token } = server;
    writeFileSync(config, kubeconfigOf({ server: `https://127.0.0.1:${port}`, ca, token }));
    const args = [program, "--kubeconfig", config, "--ads-address", "127.0.0.1:0", "--root-file", root];
    const env = { ...process.env, ...pepr.env };
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "ignore"] });
    try {
      const line = await new Promise<string>((resolve, reject) => {
        createInterface({ input: child.stdout }).once("line", resolve);
        child.once("exit", code => {
          reject(new Error(`the control plane ended (${String(code)})`));
        });
      });
      const { adsPort } = JSON.parse(line) as { readonly adsPort: number };
      return { child, started: { port: adsPort, root: readFileSync(root, "utf8") } };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
}
