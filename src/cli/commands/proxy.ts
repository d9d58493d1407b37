import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { ADS_PORT } from "../../model/mesh-words";
import type { CliContext } from "../context";
import { adsAddressOf, portsOf, rangesOf } from "../options";
import { askSidecar, type AdminCall } from "../stream/sidecar-admin";
import { bootstrapProxy, renewProxy, type ProxyCommand } from "../proxy";

interface BootstrapOptions {
  readonly ads: string;
  readonly folder: string;
  readonly at?: string;
  readonly inboundExclude: string;
  readonly outboundRanges: string;
  readonly ipv6: boolean;
  readonly replaceKey: boolean;
}

async function commandOf(context: CliContext, workload: string, folder: string): Promise<ProxyCommand> {
  const kube = await context.kube();
  const say = (line: string): void => {
    context.say(line);
  };
  return { kube, clock: context.clock, workload, folder: path.resolve(folder), say };
}

async function bootstrap(context: CliContext, workload: string, options: BootstrapOptions): Promise<void> {
  const folder = path.resolve(options.folder);
  const setup = {
    adsAddress: adsAddressOf(options.ads),
    folder: options.at ?? folder,
    inboundExcludedPorts: portsOf(options.inboundExclude, "inbound-exclude"),
    outboundRanges: rangesOf(options.outboundRanges, "outbound-ranges"),
    ipv6: options.ipv6,
  };
  const command = await commandOf(context, workload, folder);
  await bootstrapProxy({ ...command, replaceKey: options.replaceKey, setup });
}

/** `osm proxy bootstrap` and `osm proxy renew`: Envoys outside of the cluster. */
function addExternalCommands(proxy: Command, context: CliContext): void {
  proxy
    .command("bootstrap")
    .description("join an Envoy outside of the cluster, declared as an ExternalWorkload, to the mesh")
    .argument("<namespace/name>", "the ExternalWorkload")
    .requiredOption("--ads <host[:port]>", `where the proxy reaches the control plane (port ${ADS_PORT})`)
    .requiredOption("--folder <folder>", "where files are written")
    .option("--at <folder>", "the folder as the proxy's machine knows it (default: the same)")
    .option("--inbound-exclude <ports>", "ports that callers reach without the proxy", "22")
    .option(
      "--outbound-ranges <ranges>",
      "calls that go through the proxy, such as the cluster's ranges (default: all)",
      "",
    )
    .option("--ipv6", "listen on IPv6 too", false)
    .option("--replace-key", "the ExternalWorkload may name another key, which is shut out", false)
    .action((workload: string, options: BootstrapOptions) => bootstrap(context, workload, options));
  proxy
    .command("renew")
    .description(
      "fetch the certificate that the control plane has renewed for an Envoy outside of the cluster",
    )
    .argument("<namespace/name>", "the ExternalWorkload")
    .requiredOption("--folder <folder>", "where its files are")
    .action(async (workload: string, options: { readonly folder: string }) => {
      await renewProxy(await commandOf(context, workload, options.folder));
    });
}

interface AdminOptions {
  readonly namespace?: string;
  readonly file?: string;
}

/** Asks a pod's Envoy, and writes what it says to a file or standard output as it is. */
async function askProxy(
  context: CliContext,
  pod: string,
  call: AdminCall,
  options: AdminOptions,
): Promise<void> {
  const namespace = options.namespace ?? context.namespace;
  const text = await askSidecar(context.credentials(), { namespace, pod }, call);
  if (options.file === undefined) context.write(text.endsWith("\n") ? text : `${text}\n`);
  else writeFileSync(options.file, text);
}

const ADMIN_VERBS = [
  {
    name: "get",
    method: "GET",
    words: "print a page of the administration interface of a pod's Envoy",
    example: "osm proxy get config_dump web-7d4b9 -n shop",
  },
  {
    name: "set",
    method: "POST",
    words: "do something at the administration interface of a pod's Envoy",
    example: "osm proxy set 'logging?level=debug' web-7d4b9 -n shop",
  },
] as const;

/** `osm proxy get` and `osm proxy set`. */
function addAdminCommands(proxy: Command, context: CliContext): void {
  for (const { name, method, words, example } of ADMIN_VERBS) {
    proxy
      .command(name)
      .description(words)
      .argument("<query>", "page, such as config_dump, clusters, stats, certs")
      .argument("<pod>", "name of the pod")
      .option("-n, --namespace <namespace>", "its namespace (default: that of the kubeconfig's context)")
      .option("-f, --file <file>", "write the answer to a file")
      .option("-p, --local-port <port>", "without effect: no local port is opened")
      .addHelpText(
        "after",
        `
Envoy's interface is a socket that only the sidecar can open, so the question is asked in its container: it needs the right to
create pods/exec, and perl in the sidecar's image, which the mesh's own has.

Example:
  ${example}`,
      )
      .action((page: string, pod: string, options: AdminOptions) =>
        askProxy(context, pod, { method, page }, options),
      );
  }
}

/** `osm proxy …`. */
export function addProxyCommands(program: Command, context: CliContext): void {
  const proxy = program
    .command("proxy")
    .description("look into sidecars, and join proxies outside of the cluster");
  addAdminCommands(proxy, context);
  addExternalCommands(proxy, context);
}
