import { Argument, type Command } from "commander";
import type { KubeObject } from "../../runtime/kube";
import { candidates, completionScript, SHELLS, type Shell } from "../completion";
import type { CliContext } from "../context";
import type { ListOf } from "../mesh-found";
import { FORMATS } from "../output";

/** Collections whose names stand for arguments and options of these names. */
const COLLECTIONS: Readonly<Record<string, (context: CliContext) => string>> = {
  namespace: () => "/api/v1/namespaces",
  namespaces: () => "/api/v1/namespaces",
  "osm-namespace": () => "/api/v1/namespaces",
  pod: ({ namespace }) => `/api/v1/namespaces/${namespace}/pods`,
};

async function liveNames(context: CliContext, argument: string): Promise<readonly string[]> {
  if (argument === "output") return FORMATS;
  const path = COLLECTIONS[argument]?.(context);
  if (path === undefined) return [];
  const { items } = await (await context.kube()).get<ListOf<KubeObject>>(path);
  return items.map(({ metadata }) => metadata.name);
}

/** `osm completion SHELL`. */
export function addCompletionCommands(program: Command, context: CliContext): void {
  program
    .command("completion")
    .description("print a script that completes this command's words in a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
Examples:
  source <(osm completion bash)
  osm completion zsh > "\${fpath[1]}/_osm"
  osm completion fish | source
  osm completion kubectl > ~/bin/kubectl_complete-osm    # for "kubectl osm", beside kubectl-osm`,
    )
    .action((shell: Shell) => {
      context.write(completionScript(shell));
    });
}

/** Answers what the scripts ask: words that may stand next, as kubectl expects them of a plugin. Never fails. */
export async function answerCompletion(
  program: Command,
  context: CliContext,
  words: readonly string[],
): Promise<void> {
  try {
    // Says which cluster is asked for names; what is only begun may not be complete.
    program.parseOptions([...words]);
  } catch {
    // Then it is the current one.
  }
  const found = await candidates(program, words, argument => liveNames(context, argument));
  const lines = found.map(({ word, words: what }) => `${word}\t${what}`);
  // 4 says that file names are none of it.
  context.write(`${[...lines, ":4"].join("\n")}\n`);
}
