import type { EventEmitter } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { buildProgram } from "../src/cli/program";
import { systemClock } from "../src/runtime/clock";
import { repositoryRoot } from "./cluster/settings";

const FILE = path.join(repositoryRoot(), "docs/reference/cli.md");

const PREFACE = `# The \`osm\` command

Made from the command's own help by \`npm run gen:cli\`. \`npm run build:osm\` writes it as one program that needs nothing but Node
(\`dist/bin/osm\`, and a copy that kubectl finds as \`kubectl osm\`); in the repository \`npm run -s osm -- …\` runs it from source.

Exit codes: 0 fine, 1 it failed, 2 it was called wrongly, 3 (\`explain\`) the request is refused. Errors are one line that names the object and
the field. \`-o json\` and \`-o yaml\` print what tables show, and more. \`OSM_NAMESPACE\`, and \`install.namespace\` in ~/.osm/config.yaml (\`OSM_CONFIG\`
names another file), stand for \`--osm-namespace\`.

## What differs from Open Service Mesh's command

| Of OSM's | Here |
| --- | --- |
| \`install --osm-chart-path\` | a chart's folder (Helm must be installed) or a manifest; without it the manifest beside the program is applied, and no Helm is needed |
| \`install --set\` of values that mean nothing here | a warning that names the value; an unknown value is refused |
| \`--enforce-single-mesh\` | accepted; one control plane runs in a cluster, so it is always so |
| \`version\` | asks no release server on the internet |
| \`proxy get -p\`, \`dashboard -r\`, \`uninstall mesh -p\` | accepted without effect: no local port is opened |
| \`metrics enable\` | marks the namespace; pods are not touched, because they count from their creation on |
| \`alpha certificate rotate\` | starts the rotation that the control plane carries out by proof; \`-w\` bounds how long the command waits |
`;

function usageOf(command: Command, name: string): string {
  const help = command.createHelp();
  const optionRows = help.visibleOptions(command).filter(option => option.long !== "--help");
  const argumentRows = help.visibleArguments(command);
  const rows = [
    ...argumentRows.map(one => [help.argumentTerm(one), help.argumentDescription(one)]),
    ...optionRows.map(one => [help.optionTerm(one), help.optionDescription(one)]),
  ].map(
    ([term = "", words = ""]) => `| \`${term.replaceAll("|", "\\|")}\` | ${words.replaceAll("|", "\\|")} |`,
  );
  const table = rows.length === 0 ? "" : `\n| | |\n| --- | --- |\n${rows.join("\n")}\n`;
  return `\`\`\`\n${name} ${command.usage()}\n\`\`\`\n${table}`;
}

/** What `addHelpText("after")` adds, as it is printed. */
function afterHelp(command: Command): string {
  let said = "";
  const context = { error: false, command, write: (text: string) => void (said += text) };
  (command as unknown as EventEmitter).emit("afterHelp", context);
  return said.trim() === "" ? "" : `\n\`\`\`text\n${said.trim()}\n\`\`\`\n`;
}

function section(command: Command, name: string, depth: number): string {
  const inner = command
    .createHelp()
    .visibleCommands(command)
    .filter(one => one.name() !== "help")
    .sort((a, b) => (a.name() < b.name() ? -1 : 1));
  const aliases = command.aliases();
  const also = aliases.length === 0 ? "" : ` Also: \`${aliases.join("`, `")}\`.`;
  const own = `${"#".repeat(depth)} ${name}\n\n${command.description()}.${also}\n\n${usageOf(command, name)}${afterHelp(command)}`;
  return [own, ...inner.map(one => section(one, `${name} ${one.name()}`, Math.min(depth + 1, 4)))].join("\n");
}

/** The page, from the command's own tree. */
function page(): string {
  const nobody = (): void => undefined;
  const { root } = buildProgram({
    env: { HOME: "/nonexistent" },
    clock: systemClock,
    write: nobody,
    complain: nobody,
    ask: () => Promise.resolve(undefined),
    readAll: () => Promise.resolve(""),
  });
  const text = `${PREFACE}\n${section(root, "osm", 2)}`.replaceAll("..\n", ".\n").replaceAll(".. ", ". ");
  return `${text.trimEnd()}\n`;
}

/** `npm run gen:cli [-- --check]`. */
function main(): void {
  const text = page();
  if (!process.argv.includes("--check")) {
    writeFileSync(FILE, text);
    return;
  }
  if (readFileSync(FILE, "utf8") === text) return;
  console.error("docs/reference/cli.md is out of date: npm run gen:cli");
  process.exitCode = 1;
}

main();
