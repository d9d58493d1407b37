import { isIP } from "node:net";
import type { Command } from "commander";
import type { CliContext } from "../context";
import { explainObjects } from "../explain/explain";
import { renderExplanation } from "../explain/render";
import { EXIT, UsageError } from "../failure";
import { createAddresses } from "../offline/addresses";
import { readCluster } from "../offline/cluster";
import type { KubeDocument } from "../offline/documents";
import { readFiles } from "../offline/files";
import { present } from "../offline/present";

interface ExplainOptions {
  readonly from: string;
  readonly to: string;
  readonly address?: string;
  readonly method?: string;
  readonly path?: string;
  readonly header: readonly string[];
  readonly filename: readonly string[];
  readonly namespace?: string;
}

const HELP = `
A caller is a POD, a ServiceAccount or KIND/NAME (deploy, sts, ds, sa, pod), with .NAMESPACE behind or NAMESPACE/ in front.
A destination is SERVICE[.NAMESPACE][:PORT], POD.SERVICE.NAMESPACE, pod/NAME.NAMESPACE:PORT, an address, or a URL
(http, https, h2, grpc, tcp); its namespace is the caller's unless it is named.

With -f nothing is asked of a cluster: what a cluster would add (addresses, EndpointSlices, pods of Deployments, sidecars) is
made up, and said. Without -f the objects of the cluster are read with your own rights.

Examples:
  osm explain --from deploy/bookbuyer.bookbuyer --to bookstore.bookstore:14001 --path /books-bought
  osm explain --from bookthief/bookthief --to bookstore.bookstore -f manifests/ -o json
  kubectl get -A -o yaml namespaces,pods,services,endpointslices | osm explain -f - --from shop/web-1 --to pay

Exit codes: 0 it is delivered (or leaves the mesh), 3 it is refused, in whole or in part.`;

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];

/** `NAME: VALUE` or `NAME=VALUE`. */
function headersOf(given: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    given.map(text => {
      const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*[:=]\s*(.*)$/.exec(text) ?? [];
      if (name === undefined) throw new UsageError(`--header ${JSON.stringify(text)}: expected NAME: VALUE`);
      return [name.toLowerCase(), value ?? ""];
    }),
  );
}

async function sources(
  context: CliContext,
  files: readonly string[],
  namespace: string,
): Promise<{ readonly documents: readonly KubeDocument[]; readonly notes: readonly string[] }> {
  if (files.length === 0) return readCluster(await context.kube(), context);
  return {
    documents: await readFiles(files, { namespace, readStdin: () => context.readStdin() }),
    notes: [],
  };
}

/** Options that must look like something; throws {@link UsageError} for those that do not. */
function checked({ path, address }: ExplainOptions): void {
  if (path !== undefined && !path.startsWith("/"))
    throw new UsageError(`--path ${path}: a path begins with /`);
  if (address !== undefined && isIP(address) === 0)
    throw new UsageError(`--address ${address}: expected an address such as 203.0.113.7`);
}

async function explain(context: CliContext, options: ExplainOptions): Promise<void> {
  checked(options);
  const { from, to, method, path, address } = options;
  const offline = options.filename.length > 0;
  const namespace = options.namespace ?? (offline ? "default" : context.namespace);
  const { documents, notes } = await sources(context, options.filename, namespace);
  const { meshName, osmNamespace } = context;
  const headers = headersOf(options.header);
  const answer = explainObjects(
    documents,
    { meshName, osmNamespace, addresses: createAddresses(), ...(offline ? {} : { plan: new Set<string>() }) },
    { from, to, namespace, headers, ...present({ address, method: method?.toUpperCase(), path }) },
  );
  const explanation = { ...answer, notes: [...notes, ...answer.notes] };
  context.out.show(explanation, () => renderExplanation(explanation));
  if (explanation.verdict !== "delivered") context.exitWith(EXIT.refused);
}

/** `osm explain`. */
export function addExplainCommand(program: Command, context: CliContext): void {
  program
    .command("explain")
    .description("what happens to a call, step by step, and which rule of which object decides")
    .requiredOption("--from <caller>", "who calls: POD, SA or deploy/NAME, with .NAMESPACE")
    .requiredOption("--to <destination>", "what is called: SERVICE[.NAMESPACE][:PORT] or a URL")
    .option("--address <address>", "what DNS answers for the destination (default: as the objects say)")
    .option("--method <method>", "of the HTTP request (default: GET)")
    .option("--path <path>", "of the HTTP request (default: /)")
    .option("-H, --header <name: value>", "of the HTTP request; can be repeated", collect, [])
    .option(
      "-f, --filename <file>",
      "read objects from a file, a folder or - instead of the cluster; can be repeated",
      collect,
      [],
    )
    .option("-n, --namespace <namespace>", "of names and objects that have none")
    .addHelpText("after", HELP)
    .action((options: ExplainOptions) => explain(context, options));
}
