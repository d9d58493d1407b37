import { Command, CommanderError } from "commander";
import { DEFAULT_MESH_NAME, DEFAULT_OSM_NAMESPACE } from "../model/mesh-words";
import { COMMANDS } from "./commands";
import { answerCompletion } from "./commands/completion";
import { readConfig } from "./config-file";
import { createContext, formatOf, type GlobalOptions, type RunContext } from "./context";
import { EXIT, exitCodeOf, failureWords, type ExitCode } from "./failure";
import type { Host } from "./host";
import { VERSION } from "./version";

const EXAMPLES = `
Examples:
  osm install                                   the mesh, into the current cluster
  osm namespace add shop                        new pods of the namespace get a sidecar
  osm status                                    is every proxy configured, and if not, why
  osm explain --from deploy/web.shop --to pay   what happens to a call, and which rule decides

Exit codes: 0 fine, 1 it failed, 2 the command was called wrongly, 3 (explain) the request is refused.
kubectl finds it as "kubectl osm" where a copy named kubectl-osm is in the PATH.`;

/** The name people call it by: a plugin of kubectl when kubectl starts it. */
export function programName(file: string): string {
  return /(^|[\\/])kubectl-osm([.\w]*)$/.test(file) ? "kubectl osm" : "osm";
}

function addGlobalOptions(root: Command): void {
  root
    .option(
      "--osm-namespace <namespace>",
      `namespace of the mesh's MeshConfig (default: ${DEFAULT_OSM_NAMESPACE})`,
    )
    .option("--mesh-name <name>", `name of the mesh (default: ${DEFAULT_MESH_NAME})`)
    .option("--kubeconfig <file>", "in place of KUBECONFIG and ~/.kube/config")
    .option("--context <name>", "context of the kubeconfig, in place of the current one")
    .option("-o, --output <format>", "table, json or yaml (default: table)")
    .option("--verbose", "say each request to the API server, and what it answered");
}

/** The command without any of its subcommands. */
function rootCommand(host: Host, name: string): Command {
  const root = new Command(name)
    .description("Open Service Mesh on Pepr: install, look into and steer the mesh of a cluster.")
    .version(VERSION, "--version", "version of this command")
    .exitOverride()
    .configureHelp({ showGlobalOptions: true, sortSubcommands: true })
    .configureOutput({
      writeOut: host.write,
      writeErr: host.complain,
      outputError: (text, write) => {
        write(text.replace(/^error: /, "Error: "));
      },
    })
    .addHelpText("after", EXAMPLES);
  addGlobalOptions(root);
  return root;
}

/** Whoever calls a command wrongly is told where its help is, not shown all of it. */
function hintAtHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(${path} --help says more)`);
  for (const inner of command.commands) hintAtHelp(inner, `${path} ${inner.name()}`);
}

/** The whole command; nothing runs before it is given arguments. */
export function buildProgram(
  host: Host,
  name = "osm",
): { readonly root: Command; readonly context: RunContext } {
  const config = readConfig(host.env);
  const root = rootCommand(host, name);
  const context = createContext(root, host, config);
  for (const add of COMMANDS) add(root, context);
  hintAtHelp(root, name);
  root.hook("preAction", (_, action) => {
    // `-o` of bug-report names a file, as it did in OSM.
    if (action.name() !== "bug-report") formatOf(root.opts<GlobalOptions>().output);
  });
  return { root, context };
}

function report(error: unknown, host: Host, verbose: boolean): ExitCode {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  host.complain(`Error: ${failureWords(error, verbose)}\n`);
  return exitCodeOf(error);
}

/** Runs the command with arguments and says how it ended. Never rejects; an error is one line. */
export async function runProgram(args: readonly string[], host: Host, name = "osm"): Promise<ExitCode> {
  let context: RunContext | undefined;
  try {
    const built = buildProgram(host, name);
    ({ context } = built);
    const [first, ...rest] = args;
    if (first === "__complete") await answerCompletion(built.root, built.context, rest);
    else await built.root.parseAsync([...args], { from: "user" });
    return context.exitCode ?? EXIT.ok;
  } catch (error) {
    return report(error, host, context?.verbose ?? false);
  } finally {
    context?.close();
  }
}
