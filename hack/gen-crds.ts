import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";

/**
 * Embeds `crds/*.yaml`, the source of truth, into `src/install/crds.generated.ts`: the module bundle has no files beside it.
 * `--check` changes nothing and fails when the embedded copy is not current.
 */

const ROOT = path.resolve(__dirname, "..");
const TARGET = path.join(ROOT, "src", "install", "crds.generated.ts");

/** A TypeScript string literal in single quotes, as prettier leaves it. */
function literal(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** The text of the generated file. */
export function generated(): string {
  const folder = path.join(ROOT, "crds");
  const files = readdirSync(folder)
    .filter(name => name.endsWith(".yaml"))
    .sort();
  const rows = files.map(name => {
    const definition: unknown = parse(readFileSync(path.join(folder, name), "utf8"));
    return `  ${literal(JSON.stringify(definition))},\n`;
  });
  return [
    "/** Made from crds/*.yaml by hack/gen-crds.ts; change those and run `npm run gen:crds`. One JSON document each. */\n",
    `export const CRD_DOCUMENTS: readonly string[] = [\n${rows.join("")}];\n`,
  ].join("");
}

function main(args: readonly string[]): void {
  const text = generated();
  if (!args.includes("--check")) {
    writeFileSync(TARGET, text);
    return;
  }
  if (readFileSync(TARGET, "utf8") === text) return;
  process.stderr.write("src/install/crds.generated.ts is not current: run npm run gen:crds\n");
  process.exitCode = 1;
}

if (require.main === module) main(process.argv.slice(2));
