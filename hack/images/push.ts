import path from "node:path";
import type { Progress } from "../cluster/progress";
import { capture, onPath, run } from "../cluster/shell";
import { withContext } from "./build";
import type { ImageRole } from "./names";
import { hasSources, recipeOf } from "./recipes";

/** Debian image that a registry serves; on the embedded cluster a local copy stands in for it. */
const PUBLIC_BASE = "docker.io/library/debian:bookworm-slim";

/** The first tool that works: docker's command alone, without a daemon that it reaches, builds nothing. */
async function builder(): Promise<string> {
  for (const tool of ["docker", "podman", "buildah"]) {
    if ((await onPath(tool)) !== undefined && (await run(tool, ["info"])).code === 0) return tool;
  }
  throw new Error("docker (with its daemon), podman or buildah is needed to build and push images");
}

/**
 * Builds the images that a cluster of the user's own needs and pushes them where `OSM_REGISTRY` says, with the login of
 * whichever of docker, podman and buildah is there. Throws without `OSM_REGISTRY`.
 */
export async function pushImages(roles: readonly ImageRole[], progress: Progress): Promise<void> {
  if (process.env["OSM_REGISTRY"] === undefined) {
    throw new Error(
      "set OSM_REGISTRY to a place the cluster can pull from, e.g. OSM_REGISTRY=registry.example.org/mesh",
    );
  }
  const tool = await builder();
  for (const recipe of roles.map(recipeOf).filter(each => each.everywhere && hasSources(each.role))) {
    await progress.step(`building and pushing ${recipe.name}`, note =>
      withContext(recipe, progress, async context => {
        const base = process.env["OSM_BASE_IMAGE"] ?? PUBLIC_BASE;
        const file = path.join(context, "Dockerfile");
        await capture(
          tool,
          ["build", "--build-arg", `BASE=${base}`, "-t", recipe.name, "-f", file, context],
          {
            onLine: note,
          },
        );
        await capture(tool, ["push", recipe.name], { onLine: note });
      }),
    );
  }
}
