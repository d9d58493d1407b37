/** Reads objects from files, folders and standard input. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { CommandError } from "../failure";
import { type KubeDocument, readDocuments } from "./documents";

/** What files are read with. */
export interface FileOptions {
  /** Of objects that name none. */
  readonly namespace: string;
  /** All of standard input, for `-`. */
  readonly readStdin: () => Promise<string>;
}

/** Files of a folder of manifests that hold no objects of a cluster. */
const NO_OBJECTS = /^(kustomization|Chart|values([.-].*)?)\.ya?ml$/;

/**
 * Objects of files, of folders (files that end in .yaml, .yml or .json, however deep, in the order of their names) and, for
 * `-`, of standard input. Throws {@link CommandError} for what cannot be read.
 */
export async function readFiles(
  names: readonly string[],
  options: FileOptions,
): Promise<readonly KubeDocument[]> {
  const { namespace } = options;
  const found: KubeDocument[] = [];
  for (const name of names) {
    if (name === "-") {
      found.push(...readDocuments(await options.readStdin(), { source: "standard input", namespace }));
      continue;
    }
    for (const source of filesOf(name)) {
      found.push(...readDocuments(readFileSync(source, "utf8"), { source, namespace }));
    }
  }
  if (found.length === 0) throw new CommandError(`there is no object in ${names.join(", ")}`);
  return found;
}

function filesOf(name: string): readonly string[] {
  const entry = statSync(name, { throwIfNoEntry: false });
  if (entry === undefined) throw new CommandError(`there is no file ${name}`);
  if (!entry.isDirectory()) return [name];
  return readdirSync(name, { recursive: true, encoding: "utf8" })
    .filter(file => /\.(ya?ml|json)$/.test(file) && !NO_OBJECTS.test(path.basename(file)))
    .filter(file => !file.split(path.sep).some(part => part.startsWith(".") || part === "node_modules"))
    .sort()
    .map(file => path.join(name, file));
}
