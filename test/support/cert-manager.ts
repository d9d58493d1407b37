import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parse } from "yaml";
import { certManagerDefinitions, ensureCertManager } from "../../hack/cluster/binaries";
import { Progress, toStderr } from "../../hack/cluster/progress";
import type { KubeClient, KubeObject } from "../../src/runtime/kube";
import type { TestApiServer } from "./kube-apiserver";
import { waitFor } from "./wait";
import { kubeconfigOf } from "./kubeconfig";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const KINDS = ["certificaterequests", "certificates", "clusterissuers", "issuers"] as const;

/** Installs the kinds of the module; its labels are templates of its chart and are left out. */
async function installKinds(kube: KubeClient): Promise<void> {
  const folder = await certManagerDefinitions();
  for (const file of readdirSync(folder).filter(name => name.endsWith(".yaml"))) {
    const definition = parse(readFileSync(path.join(folder, file), "utf8")) as KubeObject;
    await kube.create(DEFINITIONS, { ...definition, metadata: { name: definition.metadata.name } });
  }
  for (const kind of KINDS) {
    const served = (): Promise<unknown> =>
      kube.get(`/apis/cert-manager.io/v1/${kind}`).catch(() => undefined);
    await waitFor(`${kind} of cert-manager to be served`, served, 60_000);
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** A running controller of cert-manager. */
export interface CertManager {
  /** Ends it, as a crash would. */
  crash(): Promise<void>;
  startAgain(): void;
  stop(): Promise<void>;
}

/** Starts the real cert-manager controller against an API server; `osmNamespace` is where ClusterIssuers find Secrets. */
export async function startCertManager(server: TestApiServer, osmNamespace: string): Promise<CertManager> {
  const program = await ensureCertManager(new Progress(toStderr));
  const kube = server.client();
  await installKinds(kube);
  kube.close();
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-cert-manager-"));
  const kubeconfig = path.join(folder, "kubeconfig");
  const { port, ca, token } = server;
  writeFileSync(kubeconfig, kubeconfigOf({ server: `https://127.0.0.1:${port}`, ca, token }));
  const start = (): ChildProcess => {
    const log = openSync(path.join(folder, "controller.log"), "a");
    const args = [
      `--kubeconfig=${kubeconfig}`,
      `--cluster-resource-namespace=${osmNamespace}`,
      "--leader-elect=false",
      "--metrics-listen-address=127.0.0.1:0",
    ];
    return spawn(program, args, { stdio: ["ignore", log, log], cwd: folder });
  };
  let controller = start();
  return {
    crash: () => end(controller),
    startAgain: () => {
      controller = start();
    },
    stop: async () => {
      await end(controller);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
