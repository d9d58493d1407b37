import { clusterSettings } from "../cluster/settings";
import { toStderr, Progress } from "../cluster/progress";
import { selectTarget } from "../cluster/target";
import { withLock } from "../cluster/lock";
import { up } from "../cluster/up";
import { ensureImportedImages } from "./import";
import type { ImageRole } from "./names";
import { pushImages } from "./push";
import { ALL_ROLES, KNOWN_ROLES } from "./recipes";

function wantedRoles(args: readonly string[]): readonly ImageRole[] {
  const named = args.filter(arg => !arg.startsWith("--"));
  const unknown = named.filter(name => !KNOWN_ROLES.some(role => role === name));
  if (unknown.length > 0)
    throw new Error(`no such image: ${unknown.join(", ")}; there are ${KNOWN_ROLES.join(", ")}`);
  return named.length === 0 ? ALL_ROLES : KNOWN_ROLES.filter(role => named.includes(role));
}

/** Builds the images that changed and brings them to the selected cluster. Arguments: roles (default all), `--yes`. */
async function main(args: readonly string[]): Promise<void> {
  const roles = wantedRoles(args);
  const target = await selectTarget({ yes: args.includes("--yes"), log: toStderr });
  const progress = new Progress(toStderr);
  if (target.kind === "own") {
    await pushImages(roles, progress);
    return;
  }
  const settings = clusterSettings();
  await up(toStderr, settings);
  await withLock(settings, toStderr, () => ensureImportedImages(roles, settings, progress));
  progress.say(`${roles.length} images are in cluster ${settings.name}`);
}

main(process.argv.slice(2)).catch((error: unknown) => {
  toStderr(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
});
