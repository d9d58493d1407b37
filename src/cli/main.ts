import path from "node:path";
import { parseArgs } from "node:util";
import { ADS_PORT } from "../model/mesh-words";
import { systemClock } from "../runtime/clock";
import { createKubeClient } from "../runtime/kube/client";
import { kubectlCredentials } from "../runtime/kube/kubeconfig";
import { adsAddressOf, portsOf, rangesOf } from "./options";
import { bootstrapProxy, CommandError, renewProxy } from "./proxy";

const USAGE = `osm proxy bootstrap NAMESPACE/NAME --ads HOST[:PORT] --folder FOLDER [options]
osm proxy renew NAMESPACE/NAME --folder FOLDER

Joins an Envoy outside of the cluster, declared as an ExternalWorkload, to the mesh.

  --ads HOST[:PORT]          where the proxy reaches the control plane (port ${ADS_PORT})
  --folder FOLDER            where files are written
  --at FOLDER                the folder as the proxy's machine knows it (default: the same)
  --inbound-exclude PORTS    ports that callers reach without the proxy (default: 22)
  --outbound-ranges RANGES   calls that go through the proxy, such as the cluster's ranges (default: all)
  --ipv6                     listen on IPv6 too
  --replace-key              the ExternalWorkload may name another key, which is shut out`;

const OPTIONS = {
  ads: { type: "string" },
  folder: { type: "string" },
  at: { type: "string" },
  "inbound-exclude": { type: "string", default: "22" },
  "outbound-ranges": { type: "string", default: "" },
  ipv6: { type: "boolean", default: false },
  "replace-key": { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

function needed(value: string | undefined, option: string): string {
  if (value === undefined || value === "") throw new CommandError(`--${option} is needed\n\n${USAGE}`);
  return value;
}

async function run(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
  const [noun, verb, workload] = positionals;
  const known = noun === "proxy" && (verb === "bootstrap" || verb === "renew") && workload !== undefined;
  if (values.help || !known) {
    if (values.help) process.stdout.write(`${USAGE}\n`);
    else throw new CommandError(USAGE);
    return;
  }
  const folder = path.resolve(needed(values.folder, "folder"));
  const adsAddress = verb === "bootstrap" ? adsAddressOf(needed(values.ads, "ads")) : "";
  const inboundExcludedPorts = portsOf(values["inbound-exclude"], "inbound-exclude");
  const outboundRanges = rangesOf(values["outbound-ranges"], "outbound-ranges");
  const kube = createKubeClient(await kubectlCredentials());
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const command = { kube, clock: systemClock, workload, folder, say };
  if (verb === "renew") return renewProxy(command);
  return bootstrapProxy({
    ...command,
    replaceKey: values["replace-key"],
    setup: {
      adsAddress,
      folder: values.at ?? folder,
      inboundExcludedPorts,
      outboundRanges,
      ipv6: values.ipv6,
    },
  });
}

run(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
