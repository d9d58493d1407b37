/** Commands of `sh` blocks, in words; enough of a shell's grammar for what guides print. */

/** A line that a reader runs. */
export interface Command {
  readonly words: readonly string[];
  /** The file that its output goes to. */
  readonly output?: string;
  /** What stands in its here-document. */
  readonly input?: string;
}

interface Line {
  readonly text: string;
  readonly input?: string;
}

/** Lines with their continuation, and here-documents taken out. */
function linesOf(block: string): readonly Line[] {
  const lines: Line[] = [];
  const rest = block.replaceAll(/\\\n\s*/g, " ").split("\n");
  for (let line = rest.shift(); line !== undefined; line = rest.shift()) {
    const [mark, , word] = /<<-?(['"]?)(\w+)\1/.exec(line) ?? [];
    if (mark === undefined) lines.push({ text: line });
    else {
      const end = rest.indexOf(word ?? "");
      if (end < 0) throw new Error(`no ${word ?? ""} after: ${line}`);
      lines.push({
        text: line.replace(mark, ""),
        input: rest
          .splice(0, end + 1)
          .slice(0, -1)
          .join("\n"),
      });
    }
  }
  return lines;
}

const TOKEN = /\s+|#.*$|\|\||&&|[|;]|>{1,2}|(?:[^\s'"|;&>\\]|\\.|&(?!&)|'[^']*'|"(?:[^"\\]|\\.)*")+/y;
const ENDS = new Set(["|", "||", "&&", ";"]);

function tokensOf(text: string): readonly string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const [token] = TOKEN.exec(text) ?? [];
    if (token === undefined) throw new Error(`not understood from column ${at + 1}: ${text}`);
    if (token.startsWith("#")) break;
    if (token.trim() !== "") tokens.push(token);
  }
  return tokens;
}

function unquoted(token: string): string {
  return token.replaceAll(
    /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g,
    (_, single?: string, double?: string, plain?: string) =>
      single ?? double?.replaceAll(/\\(.)/g, "$1") ?? plain ?? "",
  );
}

/** All commands of a block. Settings of variables before a command are left out. Throws for what is not understood. */
export function commandsOf(block: string): readonly Command[] {
  return linesOf(block).flatMap(({ text, input }) => {
    const parts: { words: string[]; output?: string }[] = [{ words: [] }];
    const tokens = [...tokensOf(text)];
    for (let token = tokens.shift(); token !== undefined; token = tokens.shift()) {
      const last = parts.at(-1) ?? { words: [] };
      if (ENDS.has(token)) parts.push({ words: [] });
      else if (token.startsWith(">")) last.output = unquoted(tokens.shift() ?? "");
      else if (last.words.length > 0 || !/^[A-Z_][A-Z0-9_]*=/.test(token)) last.words.push(unquoted(token));
    }
    return parts
      .filter(({ words }) => words.length > 0)
      .map(part => ({ ...part, ...(input === undefined ? {} : { input }) }));
  });
}

/** Arguments of the `osm` command, however it is started; undefined: it is another command. */
export function osmArguments({ words }: Command): readonly string[] | undefined {
  const text = words.join(" ");
  const [start] = /^(osm|kubectl osm|npm run (-s )?osm --|dist\/bin\/osm)(?= |$)/.exec(text) ?? [];
  return start === undefined ? undefined : words.slice(start.split(" ").length);
}

/** Options of kubectl whose value is the next word. */
const VALUED = new Set(
  "-n --namespace -l --selector -o --output -p --patch -f --filename -c --container --type --patch-file --timeout --for".split(
    " ",
  ),
);

/** Words of a kubectl command that are no options. */
export function kubectlWords({ words }: Command): readonly string[] {
  const found: string[] = [];
  const end = words.indexOf("--");
  const rest = words.slice(1, end < 0 ? undefined : end);
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (VALUED.has(word)) rest.shift();
    else if (!word.startsWith("-")) found.push(word);
  }
  return found;
}
