/** What may stand next on the command line, from commander's own tree; and the shells' scripts that ask for it. */
import type { Argument, Command, Option } from "commander";

/** A word that may stand next. */
export interface Candidate {
  readonly word: string;
  readonly words: string;
}

/** What is asked of the cluster for an argument; rejects or gives nothing where it cannot be asked. */
export type LiveNames = (argument: string) => Promise<readonly string[]>;

const shells = ["bash", "zsh", "fish", "kubectl"] as const;
/** Shells that there is a script for, and kubectl, which asks its plugins by a program beside them. */
export const SHELLS: readonly Shell[] = shells;
/** One of {@link SHELLS}. */
export type Shell = (typeof shells)[number];

const visible = (command: Command): readonly Command[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter(({ parent }) => parent !== null);

function optionsOf(command: Command): readonly Option[] {
  const above = command.parent === null ? [] : optionsOf(command.parent);
  return [...command.options.filter(option => !option.hidden), ...above];
}

function takesValue(command: Command, word: string): Option | undefined {
  const found = optionsOf(command).find(option => option.long === word || option.short === word);
  return found !== undefined && (found.required || found.optional) ? found : undefined;
}

interface Position {
  readonly command: Command;
  /** Arguments that stand already. */
  readonly arguments: number;
  /** The option whose value is being typed. */
  readonly option: Option | undefined;
}

/** Where in the tree the next word stands, given those before it. */
function positionOf(root: Command, words: readonly string[]): Position {
  let at: Position = { command: root, arguments: 0, option: undefined };
  for (const word of words) {
    if (at.option !== undefined) at = { ...at, option: undefined };
    else if (word.startsWith("-")) at = { ...at, option: takesValue(at.command, word) };
    else {
      const { command } = at;
      const next = command.commands.find(inner => inner.name() === word || inner.aliases().includes(word));
      at =
        next === undefined ? { ...at, arguments: at.arguments + 1 } : { ...at, command: next, arguments: 0 };
    }
  }
  return at;
}

const named = (words: readonly string[]): readonly Candidate[] => words.map(word => ({ word, words: "" }));

function optionCandidates(command: Command): readonly Candidate[] {
  return optionsOf(command).flatMap(option =>
    option.long === undefined ? [] : [{ word: option.long, words: option.description }],
  );
}

async function valuesOf(what: Option | Argument | undefined, live: LiveNames): Promise<readonly Candidate[]> {
  if (what === undefined) return [];
  if (what.argChoices !== undefined) return named(what.argChoices);
  try {
    return named(await live(what.name()));
  } catch {
    return [];
  }
}

/** Candidates for the last of `words`, which may be empty or only begun. */
export async function candidates(
  root: Command,
  words: readonly string[],
  live: LiveNames,
): Promise<readonly Candidate[]> {
  const last = words.at(-1) ?? "";
  const { command, arguments: count, option } = positionOf(root, words.slice(0, -1));
  const begun = (all: readonly Candidate[]): readonly Candidate[] =>
    all.filter(({ word }) => word.startsWith(last));
  if (option !== undefined) return begun(await valuesOf(option, live));
  if (last.startsWith("-")) return begun(optionCandidates(command));
  const inner = visible(command).map(one => ({ word: one.name(), words: one.description() }));
  const argument = command.registeredArguments[count] ?? command.registeredArguments.at(-1);
  return begun([...inner, ...(await valuesOf(argument, live))]);
}

const BASH = `# bash completion for osm; to try: source <(osm completion bash)
_osm_complete() {
  local IFS=$'\\n'
  local words
  words=$(osm __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | grep -v '^:' | cut -f1)
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _osm_complete osm
`;
const ZSH = `#compdef osm
# zsh completion for osm; to try: source <(osm completion zsh)
_osm() {
  local -a found
  local line
  while IFS= read -r line; do
    [[ $line == :* ]] && continue
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <(osm __complete "\${(@)words[2,$CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe osm found; else _files; fi
}
compdef _osm osm
`;
const FISH = `# fish completion for osm; to try: osm completion fish | source
function __osm_complete
  set -l words (commandline -opc) (commandline -ct)
  osm __complete $words[2..-1] 2>/dev/null | string match -v ':*'
end
complete -c osm -f -a '(__osm_complete)'
`;
const KUBECTL = `#!/bin/sh
# Put this into the PATH as kubectl_complete-osm, beside kubectl-osm.
exec kubectl-osm __complete "$@"
`;

/** The script that a shell reads. */
export function completionScript(shell: Shell): string {
  return { bash: BASH, zsh: ZSH, fish: FISH, kubectl: KUBECTL }[shell];
}
