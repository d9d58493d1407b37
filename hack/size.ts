import { readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Pepr refuses a module whose gzip, printed as base64, is longer than this (src/lib/helpers.ts of pepr 1.1.4). */
const PEPR_LIMIT = 1_048_576;
/** Share of the limit above which this check fails, so that there is room for a repair under pressure. */
const GATE = 0.8;

/** Length that the module's Secret data will have. */
export function shippedLength(code: Uint8Array): number {
  return gzipSync(code).toString("base64").length;
}

/** The module and what it was made of. */
export interface Bundled {
  readonly code: Uint8Array;
  /** Files that were read, relative to the root. */
  readonly files: readonly string[];
}

/**
 * The module of the sources in a folder, as `pepr build` bundles it (src/cli/build/buildModule.ts of pepr 1.1.4), without
 * writing it. Rejects when it cannot be built.
 */
export async function bundle(root: string): Promise<Bundled> {
  const manifest = readFileSync(path.join(root, "node_modules", "pepr", "package.json"), "utf8");
  const pepr = JSON.parse(manifest) as { readonly dependencies: Readonly<Record<string, string>> };
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["pepr.ts"],
    bundle: true,
    external: [...Object.keys(pepr.dependencies), "pepr", "@kubernetes/client-node"],
    format: "cjs",
    keepNames: true,
    legalComments: "external",
    metafile: true,
    minify: true,
    outfile: path.join(root, "dist", "pepr-osm.js"),
    platform: "node",
    treeShaking: true,
    write: false,
  });
  const code = outputFiles.find(file => file.path.endsWith(".js"))?.contents;
  if (code === undefined) throw new Error("esbuild wrote no module");
  return { code, files: Object.keys(metafile.inputs).sort() };
}

async function main(): Promise<void> {
  const root = path.resolve(__dirname, "..");
  const [{ code }, again] = await Promise.all([bundle(root), bundle(root)]);
  if (!Buffer.from(code).equals(again.code)) {
    console.error("the bundle is not the same when it is built a second time");
    process.exitCode = 1;
  }
  const length = shippedLength(code);
  const share = length / PEPR_LIMIT;
  console.log(
    `bundle ${code.length} bytes, shipped ${length} of ${PEPR_LIMIT} bytes: ${(share * 100).toFixed(1)} % ` +
      `of Pepr's limit (gate ${GATE * 100} %)`,
  );
  if (share <= GATE) return;
  console.error('the bundle is too large: "npx pepr build" lists what it is made of');
  process.exitCode = 1;
}

if (require.main === module) void main();
