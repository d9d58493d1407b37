import { readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parse } from "yaml";
import { DEFAULT_OSM_NAMESPACE } from "../model/mesh-words";
import { CommandError } from "./failure";

/** Who installs the mesh: the user, or whoever runs the cluster for him. */
export type InstallKind = "self-hosted" | "managed";

/** What stands in OSM's configuration file, under `install`. */
export interface CliConfig {
  readonly kind: InstallKind;
  /** Name of the distribution that manages the mesh. Default "". */
  readonly distribution: string;
  /** Namespace of MeshConfig. Default osm-system. */
  readonly namespace: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** Where the file is: `OSM_CONFIG`, else ~/.osm/config.yaml. */
export function configPath(env: Env): string {
  const named = env["OSM_CONFIG"];
  return named === undefined || named === ""
    ? path.join(env["HOME"] ?? os.homedir(), ".osm", "config.yaml")
    : named;
}

function textAt(tree: unknown, field: string, file: string): string | undefined {
  const value = (tree as Readonly<Record<string, unknown>> | null | undefined)?.[field];
  if (value === undefined || value === null || value === "") return undefined;
  if (typeof value !== "string") throw new CommandError(`${file}: install.${field} is not text`);
  return value;
}

function parsed(text: string, file: string): unknown {
  try {
    return (parse(text) as { install?: unknown } | null)?.install;
  } catch (error) {
    throw new CommandError(
      `${file}: ${error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : ""}`,
    );
  }
}

/** Reads the configuration file; none is as good as an empty one. Throws {@link CommandError} that names file and field. */
export function readConfig(env: Env): CliConfig {
  const file = configPath(env);
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ENOENT") throw error;
  }
  const install = parsed(text, file);
  const kind = textAt(install, "kind", file) ?? "self-hosted";
  if (kind !== "self-hosted" && kind !== "managed")
    throw new CommandError(
      `${file}: install.kind is ${JSON.stringify(kind)}, neither self-hosted nor managed`,
    );
  return {
    kind,
    distribution: textAt(install, "distribution", file) ?? "",
    namespace: textAt(install, "namespace", file) ?? DEFAULT_OSM_NAMESPACE,
  };
}
