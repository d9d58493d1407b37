import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { repositoryRoot, VERSIONS } from "../cluster/settings";
import { IMAGES, type ImageRole } from "./names";
import { bundleDemo, CONTENT, demoEntry } from "./staging";

/** How one image is made. */
export interface Recipe {
  readonly role: ImageRole;
  readonly name: string;
  /** Folder with the Dockerfile. */
  readonly folder: string;
  /** Whether it stands on the Debian base. */
  readonly onBase: boolean;
  /** Whether a cluster of the user's own needs it too; the controller, so that one registry is all it has to reach. */
  readonly everywhere: boolean;
}

const FOLDERS: Readonly<Record<ImageRole, { folder: string; onBase: boolean; everywhere: boolean }>> = {
  pause: { folder: "pause", onBase: false, everywhere: false },
  coredns: { folder: "coredns", onBase: false, everywhere: false },
  controller: { folder: "pepr-controller", onBase: true, everywhere: true },
  envoy: { folder: "envoy-sidecar", onBase: true, everywhere: true },
  init: { folder: "osm-init", onBase: true, everywhere: true },
  demo: { folder: "demo", onBase: true, everywhere: true },
  mariadb: { folder: "mariadb", onBase: true, everywhere: true },
};

/** The recipe of an image. */
export function recipeOf(role: ImageRole): Recipe {
  const { folder, onBase, everywhere } = FOLDERS[role];
  const place = path.join(repositoryRoot(), "hack", "images", folder);
  return { role, name: IMAGES[role], folder: place, onBase, everywhere };
}

/** Every role, small and needed-first images before the others. */
export const ALL_ROLES = Object.keys(FOLDERS) as readonly ImageRole[];

/** Whether all sources of an image are in the repository (the demo applications may be missing in a partial tree). */
export function hasSources(role: ImageRole): boolean {
  return role !== "demo" || existsSync(demoEntry());
}

async function contentOf(role: ImageRole): Promise<string> {
  switch (role) {
    case "envoy":
      return CONTENT.envoy;
    case "controller":
      return CONTENT.node;
    case "coredns":
      return VERSIONS.coredns;
    case "demo":
      return `${CONTENT.node} ${await demoHash()}`;
    case "init":
    case "mariadb":
    case "pause":
      return "";
  }
}

async function demoHash(): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-demo-"));
  try {
    const file = path.join(folder, "main.js");
    await bundleDemo(file);
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Hash of everything an image is made from: its folder, the versions it is filled with, its name and its base. */
export async function contentHash(recipe: Recipe, base: string): Promise<string> {
  const hash = createHash("sha256");
  for (const file of readdirSync(recipe.folder).sort()) {
    hash.update(`${file}\0`).update(readFileSync(path.join(recipe.folder, file)));
  }
  hash.update(
    `\0${recipe.name}\0${recipe.onBase ? base : ""}\0${process.arch}\0${await contentOf(recipe.role)}`,
  );
  return hash.digest("hex").slice(0, 16);
}
