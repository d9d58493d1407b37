import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";

/** Pepr refuses a module whose gzip, printed as base64, is longer than this (src/lib/helpers.ts of pepr 1.1.4). */
const PEPR_LIMIT = 1_048_576;
/** Share of the limit above which this check fails, so that there is room for a repair under pressure. */
const GATE = 0.8;

/** Length that the module's Secret data will have. */
export function shippedLength(code: Buffer): number {
  return gzipSync(code).toString("base64").length;
}

function main(): void {
  const file = path.resolve(__dirname, "..", "dist", "pepr-osm.js");
  if (!existsSync(file)) {
    console.error(`${file} is missing: run "npx pepr build" first`);
    process.exitCode = 1;
    return;
  }
  const code = readFileSync(file);
  const length = shippedLength(code);
  const share = length / PEPR_LIMIT;
  console.log(
    `bundle ${code.length} bytes, shipped ${length} of ${PEPR_LIMIT} bytes: ${(share * 100).toFixed(1)} % ` +
      `of Pepr's limit (gate ${GATE * 100} %)`,
  );
  if (share <= GATE) return;
  console.error("the bundle is too large: see what grew in the build's own size list");
  process.exitCode = 1;
}

if (require.main === module) main();
