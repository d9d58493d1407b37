import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { containerdPaths } from "../cluster/container-runtime";
import type { Progress } from "../cluster/progress";
import type { ClusterSettings } from "../cluster/settings";
import { capture } from "../cluster/shell";
import { ensureArchive } from "./build";
import type { ImageRole } from "./names";
import { hasSources, recipeOf } from "./recipes";

function importedFile(settings: ClusterSettings, role: ImageRole): string {
  return path.join(settings.state, "imported", role);
}

function isImported(settings: ClusterSettings, role: ImageRole, hash: string): boolean {
  const file = importedFile(settings, role);
  return existsSync(file) && readFileSync(file, "utf8") === hash;
}

/**
 * Makes sure that the embedded cluster's containerd holds these images in their present content: builds what changed,
 * imports what is not there. Does nothing for an image that is there already.
 */
export async function ensureImportedImages(
  roles: readonly ImageRole[],
  settings: ClusterSettings,
  progress: Progress,
): Promise<void> {
  for (const role of roles) {
    const recipe = recipeOf(role);
    if (!hasSources(role)) {
      progress.say(`image ${recipe.name} left out: its sources are not in this tree`);
      continue;
    }
    const archive = await ensureArchive(recipe, progress);
    if (isImported(settings, role, archive.hash)) continue;
    await progress.step(`importing ${recipe.name}`, async note => {
      const socket = containerdPaths(settings).socket;
      await capture("ctr", ["-a", socket, "-n", "k8s.io", "images", "import", archive.file], {
        onLine: note,
      });
      mkdirSync(path.dirname(importedFile(settings, role)), { recursive: true });
      writeFileSync(importedFile(settings, role), archive.hash);
    });
  }
}
