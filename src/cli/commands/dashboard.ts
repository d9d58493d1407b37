import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { Option, type Command } from "commander";
import type { StatusPage } from "../../runtime/api/pages";
import type { CliContext } from "../context";
import { startDashboard, type Dashboard } from "../dashboard/server";
import { openBrowser } from "../dashboard/browser";
import { forwardGrafana } from "../dashboard/grafana";
import { CommandError, UsageError } from "../failure";
import { openMeshApi, type MeshApi } from "../mesh-api";
import { judge } from "../status/judge";
import { seePods, type PodsSeen } from "../status/pods";

interface DashboardOptions {
  readonly localPort: string;
  readonly remotePort: string;
  readonly openBrowser: boolean;
  readonly browser: boolean;
  readonly grafana?: boolean;
}

const HELP = `
Examples:
  osm dashboard                       the mesh, live, in a browser
  osm dashboard --no-open-browser     only print the address, for a browser elsewhere
  osm dashboard --grafana             Grafana of the mesh's namespace, as Open Service Mesh opened it

The page is served on loopback to whoever has the printed address. It asks the control plane's read-only API: needs the Role of
docs/guides/dashboard.md.`;

/** The page, as it was built beside the command. */
const PAGE = "osm-dashboard.html";
/** Pods are listed again after this, milliseconds. */
const PODS_MS = 10_000;

function pageText(): string {
  const program = path.dirname(process.argv[1] ?? "");
  const found = [path.join(program, PAGE), path.resolve(program, "../../dist/bin", PAGE)].find(file =>
    existsSync(file),
  );
  if (found === undefined)
    throw new CommandError(`${PAGE} is not beside the command; in the repository: npm run build:osm`);
  return readFileSync(found, "utf8");
}

/** What the page asks for: the API's answers, the status judged as `osm status` judges it. */
export function answersOf(
  context: Pick<CliContext, "kube" | "now">,
  api: MeshApi,
): (name: string, query: string) => Promise<unknown> {
  let pods: { readonly at: number; readonly seen: PodsSeen } | undefined;
  const status = async (): Promise<unknown> => {
    const page = await api.get<StatusPage>("/v1/status");
    if (pods === undefined || context.now() - pods.at > PODS_MS)
      pods = { at: context.now(), seen: await seePods(await context.kube(), page) };
    return judge(page, pods.seen);
  };
  return (name, query) => {
    if (name === "status") return status();
    if (name === "topology" || name === "traffic") return api.get(`/v1/${name}`);
    if (name === "explain") return api.get(`/v1/explain?${query}`);
    return Promise.resolve(undefined);
  };
}

function portOf(text: string, option: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (port >= 0 && port <= 65_535) return port;
  throw new UsageError(`--${option}: ${JSON.stringify(text)} is not a port`);
}

/** Keeps going until the process is told to end. */
function untilInterrupted(): Promise<void> {
  return new Promise(resolve => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, resolve);
  });
}

async function serve(context: CliContext, port: number): Promise<Dashboard> {
  const html = pageText();
  const api = openMeshApi(context);
  // What is missing is better said here than in the browser.
  await api.get<StatusPage>("/v1/status");
  const dashboard = await startDashboard({ port, html, ask: answersOf(context, api) });
  return {
    url: dashboard.url,
    close: async () => {
      await dashboard.close();
      api.close();
    },
  };
}

/** `osm dashboard`. */
export function addDashboardCommand(program: Command, context: CliContext): void {
  // Whoever runs a managed mesh runs its dashboards, and keeps the rights to read all of it.
  if (context.config.kind === "managed") return;
  program
    .command("dashboard")
    .description("show the mesh in a browser: live topology, proxies, policies and certificates")
    .option("-p, --local-port <port>", "port on this machine; 0 takes any free one", "0")
    .option("-r, --remote-port <port>", "with --grafana: its port in the cluster", "3000")
    .option("--no-open-browser", "do not open a browser")
    .addOption(new Option("--no-browser", "the same").hideHelp())
    .option("--grafana", "open Grafana instead")
    .addHelpText("after", HELP)
    .action(async (options: DashboardOptions) => {
      const port = portOf(options.localPort, "local-port");
      const remote = portOf(options.remotePort, "remote-port");
      const running =
        options.grafana === true
          ? await forwardGrafana(context, { port, remote })
          : await serve(context, port);
      context.say(`${running.url}\nCtrl-C ends it.`);
      const forget = options.openBrowser && options.browser ? openBrowser(running.url) : () => undefined;
      await untilInterrupted();
      forget();
      await running.close();
    });
}
