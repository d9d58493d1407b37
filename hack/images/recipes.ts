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

interface Source {
  readonly folder: string;
  readonly onBase: boolean;
  readonly everywhere: boolean;
  /** It is made by who names it, and not with all others: few runs need it. */
  readonly onDemand?: true;
}

const FOLDERS: Readonly<Record<ImageRole, Source>> = {
  pause: { folder: "pause", onBase: false, everywhere: false },
  coredns: { folder: "coredns", onBase: false, everywhere: false },
  controller: { folder: "pepr-controller", onBase: true, everywhere: true },
  envoy: { folder: "envoy-sidecar", onBase: true, everywhere: true },
  init: { folder: "osm-init", onBase: true, everywhere: true },
  demo: { folder: "demo", onBase: true, everywhere: true },
  mariadb: { folder: "mariadb", onBase: true, everywhere: true },
  nginx: { folder: "nginx", onBase: true, everywhere: false, onDemand: true },
  zookeeper: { folder: "zookeeper", onBase: true, everywhere: false, onDemand: true },
  prometheus: { folder: "prometheus", onBase: true, everywhere: true, onDemand: true },
};

/** The recipe of an image. */
export function recipeOf(role: ImageRole): Recipe {
  const { folder, onBase, everywhere } = FOLDERS[role];
  const place = path.join(repositoryRoot(), "hack", "images", folder);
  return { role, name: IMAGES[role], folder: place, onBase, everywhere };
}

/** Every role that can be named. */
export const KNOWN_ROLES = Object.keys(FOLDERS) as readonly ImageRole[];

/** Every role but those that are made on demand, small and needed-first images before the others. */
export const ALL_ROLES = KNOWN_ROLES.filter(role => FOLDERS[role].onDemand !== true);

/** Whether all sources of an image are in the repository (the demo applications may be missing in a partial tree). */
export function hasSources(role: ImageRole): boolean {
  return role !== "demo" || existsSync(demoEntry());
}

/** What images are filled with beside the files of their folders, as far as its versions are known here. */
const FILLED: Readonly<Partial<Record<ImageRole, () => string | Promise<string>>>> = {
  envoy: () => CONTENT.envoy,
  controller: () => CONTENT.node,
  coredns: () => VERSIONS.coredns,
  demo: async () => `${CONTENT.node} ${await demoHash()}`,
};

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
    `\0${recipe.name}\0${recipe.onBase ? base : ""}\0${process.arch}\0${(await FILLED[recipe.role]?.()) ?? ""}`,
  );
  return hash.digest("hex").slice(0, 16);
}
