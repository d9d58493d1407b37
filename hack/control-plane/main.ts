/**
 * `npm run control-plane -- --kubeconfig F --ads-address HOST:PORT`: the mesh's control plane as one plain process outside of any
 * cluster, for measuring and for tests. It follows that API server, writes status, rotates roots and serves ADS with both ways of
 * identity (a pod's token, an external proxy's certificate), as the pods of the product do; webhooks it has none, so nothing is
 * injected or refused. Ready (one line of JSON on stdout) when the ADS port is open; ends on SIGTERM or SIGINT.
 *
 * Others may serve proxies beside it, as replicas do: each with `--replica --ledger-address HOST:PORT`, and the first one is told
 * of them by `--follow`. They write nothing. A process that starts it with a channel can ask it what is in it (`facts.ts`).
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { version } from "../../package.json";
import { chosenCredentials } from "../../src/cli/kubeconfig";
import { systemClock } from "../../src/runtime/clock";
import { WATCHER } from "../../src/install/names";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import type { KubeClient } from "../../src/runtime/kube";
import { getIfThere } from "../../src/runtime/kube/read";
import type { OutsideLedger } from "../../src/runtime/control-plane/ledger";
import { startControlPlane } from "../../src/runtime/control-plane/start";
import { createKubeClient } from "../../src/runtime/kube/client";
import { createLog } from "../../src/runtime/log";
import { readSettings } from "../../src/runtime/settings";
import { answerFacts } from "./facts";

interface Options {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly adsAddress: Address;
  readonly healthPort: number;
  readonly osmNamespace?: string;
  readonly meshName?: string;
  readonly trustDomain?: string;
  readonly rootFile?: string;
  readonly replica?: boolean;
  readonly ledgerAddress?: Address;
  readonly follow?: readonly string[];
}

interface Address {
  readonly host: string;
  readonly port: number;
}

function port(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number <= 65_535) return number;
  throw new InvalidArgumentError("expected a port: 0 (any free one) to 65535.");
}

function address(text: string): Address {
  const [, bracketed, plain, end = ""] = /^(?:\[([^\]]+)\]|([^:]*)):(\d+)$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || host === "")
    throw new InvalidArgumentError("expected HOST:PORT, like 127.0.0.1:15128.");
  return { host, port: port(end) };
}

const command = new Command("control-plane")
  .description("The control plane as one process outside of a cluster, without webhooks.")
  .option("--kubeconfig <file>", "in place of KUBECONFIG and ~/.kube/config")
  .option("--context <name>", "context of the kubeconfig, in place of the current one")
  .option("--ads-address <host:port>", "where ADS listens; port 0 takes any free one", address, {
    host: "127.0.0.1",
    port: 15128,
  })
  .option("--health-port <port>", "port of health and metrics; 0 takes any free one", port, 0)
  .option("--osm-namespace <namespace>", "namespace of the mesh's MeshConfig")
  .option("--mesh-name <name>", "name of the mesh")
  .option("--trust-domain <domain>", "of the identities that the built-in CA issues")
  .option("--root-file <file>", "gets the PEM of the roots that verify the ADS server, once it is ready")
  .option("--replica", "serve proxies beside another one, which writes")
  .option(
    "--ledger-address <host:port>",
    "of a replica: where it tells the other one of its proxies",
    address,
  )
  .option("--follow <host:port...>", "ledgers of the replicas beside this one");

function settingsOf(options: Options, folder: string): ReturnType<typeof readSettings> {
  const { osmNamespace, meshName, trustDomain } = options;
  return readSettings(
    { OSM_NAMESPACE: osmNamespace, OSM_MESH_NAME: meshName, OSM_TRUST_DOMAIN: trustDomain },
    folder,
  );
}

/** Where replicas outside of the cluster find each other. */
function ledgerOf({ ledgerAddress, follow }: Options): OutsideLedger {
  return { ...ledgerAddress, ...(follow === undefined ? {} : { follow }) };
}

/** Two writers would rotate the same roots and write each other's status. */
async function refuseBesideAnother(kube: KubeClient): Promise<void> {
  const path = `/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/deployments/${WATCHER}`;
  if ((await getIfThere(kube, path)) !== undefined)
    throw new Error(`this cluster has a control plane already (Deployment ${PEPR_NAMESPACE}/${WATCHER})`);
}

async function main(options: Options): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-control-plane-"));
  process.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  const log = createLog({
    level: "info",
    clock: systemClock,
    component: "outside",
    stream: process.stderr,
  });
  const choice = { ...options, env: process.env, now: () => Date.now() };
  const { host, port: adsPort } = options.adsAddress;
  const kube = createKubeClient(chosenCredentials(choice));
  await refuseBesideAnother(kube);
  const plane = await startControlPlane({
    role: options.replica === true ? "outside-replica" : "outside",
    kube,
    settings: settingsOf(options, folder),
    log,
    clock: systemClock,
    random: Math.random,
    env: {},
    version,
    exit: () => process.exit(0),
    ads: { hosts: [host], port: adsPort },
    healthPort: options.healthPort,
    ledger: ledgerOf(options),
  });
  const end = (): void => {
    void plane.stop().then(() => process.exit(0));
  };
  // Whoever has started it with a channel is gone when that ends.
  process.once("SIGTERM", end).once("SIGINT", end).once("disconnect", end);
  answerFacts(plane);
  plane.constructed();
  if (options.rootFile !== undefined) writeFileSync(options.rootFile, plane.rootsPem());
  console.log(
    JSON.stringify({ ready: true, adsHost: host, adsPort: plane.adsPort, healthPort: plane.healthPort }),
  );
}

main(command.parse().opts<Options>()).catch((error: unknown) => {
  process.stderr.write(`control-plane: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
  process.exit();
});
