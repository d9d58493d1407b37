import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { encodeLeaf } from "../../src/envoy/encode";
import { objectRefKey } from "../../src/model/object-ref";
import type { Leaf } from "../../src/policy/types";
import type { PolicyDescription } from "../../src/runtime/engine";
import type { EncodedResource } from "../../src/xds/resource";
import { resourcesOf } from "../../src/xds/resource";
import { resourceJson } from "./envoy-json";
import type { TestObject } from "./objects";
import type { World } from "./world";
import { createWorld, proxyOf } from "./world";

/** Folder of all scenes; a scene is a folder with `given.yaml`. */
export const SCENES = path.resolve(__dirname, "../golden");

/** Files that a scene may have besides `given.yaml`. */
const OUTPUTS = ["policy.yaml", "envoy.yaml"] as const;

/** Names of all scenes. */
export function sceneNames(): readonly string[] {
  return readdirSync(SCENES, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => entry.name)
    .sort();
}

/** Proxies with the same configuration. */
export interface SceneGroup {
  /** Like `shop/cart-1`, sorted; the first names the group. */
  readonly pods: readonly string[];
  readonly description: PolicyDescription;
  readonly resources: readonly EncodedResource[];
}

/** A scene that has been compiled. */
export interface Scene {
  readonly world: World;
  readonly groups: readonly SceneGroup[];
}

/** Objects of a scene, in the order of the file. */
export function givenOf(name: string): readonly TestObject[] {
  const text = readFileSync(path.join(SCENES, name, "given.yaml"), "utf8");
  return parseAllDocuments(text).map(document => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return document.toJS() as TestObject;
  });
}

/** Compiles a scene with every proxy connected. */
export function compileScene(name: string): Scene {
  const world = createWorld(encodeLeaf);
  const objects = givenOf(name);
  world.feed(...objects);
  const groups = new Map<string, SceneGroup>();
  for (const target of objects.filter(object => object.kind === "Pod")) {
    const description = world.engine.describe(proxyOf(target).podUid);
    if (description === undefined) continue;
    const connection = world.connect(target);
    const pod = `${target.metadata.namespace ?? ""}/${target.metadata.name}`;
    const key = JSON.stringify(description.group);
    const pods = [...(groups.get(key)?.pods ?? []), pod].sort();
    const resources = [...connection.latest().values()].flatMap(set => [...resourcesOf(set)]);
    groups.set(key, { pods, description, resources });
  }
  return {
    world,
    groups: [...groups.values()].sort((a, b) => ((a.pods[0] ?? "") < (b.pods[0] ?? "") ? -1 : 1)),
  };
}

/** Things that some groups have, each once, with the groups that have it ("all" when every group does). */
function once<T>(
  groups: readonly SceneGroup[],
  of: (group: SceneGroup) => readonly T[],
  keyOf: (item: T) => string,
): readonly { readonly item: T; readonly for: string | readonly string[] }[] {
  const found = new Map<string, { item: T; users: string[] }>();
  for (const group of groups) {
    for (const item of of(group)) {
      const entry = found.get(keyOf(item)) ?? { item, users: [] };
      entry.users.push(group.pods[0] ?? "");
      found.set(keyOf(item), entry);
    }
  }
  return [...found.keys()].sort().flatMap(key => {
    const entry = found.get(key);
    return entry === undefined
      ? []
      : [{ item: entry.item, for: entry.users.length === groups.length ? "all" : entry.users }];
  });
}

function printLeaf(leaf: Leaf): unknown {
  // Whom a leaf is for and which objects it comes from, in one line each.
  return JSON.parse(
    JSON.stringify(leaf, (key, value: unknown) =>
      key === "origins" ? (value as Leaf["origins"]).map(objectRefKey) : value,
    ),
  ) as unknown;
}

function yaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** `policy.yaml` of a scene: groups, every leaf once, findings. */
export function printPolicy({ world, groups }: Scene): string {
  const leaves = once(
    groups,
    group => group.description.leaves,
    leaf => `${leaf.kind}|${leaf.name}|${JSON.stringify(leaf)}`,
  );
  return yaml({
    groups: groups.map(({ pods, description: { group } }) => ({ pods, ...group })),
    leaves: leaves.map(entry => ({ for: entry.for, leaf: printLeaf(entry.item) })),
    findings: Object.fromEntries(
      [...world.engine.diagnostics()].map(([subject, found]) => [
        subject,
        found.map(({ severity, code, field, message }) => ({ severity, code, field, message })),
      ]),
    ),
  });
}

/** `envoy.yaml` of a scene: every resource once, as Envoy's own JSON. */
export function printEnvoy({ groups }: Scene): string {
  const keyOf = (resource: EncodedResource): string =>
    `${resource.typeUrl}|${resource.name}|${resource.version}`;
  const resources = once(groups, group => group.resources, keyOf);
  return yaml(
    resources.map(entry => ({
      type: entry.item.typeUrl.slice(entry.item.typeUrl.lastIndexOf(".") + 1),
      name: entry.item.name,
      for: entry.for,
      resource: resourceJson(entry.item),
    })),
  );
}

/** How golden files are treated; from the environment of the test run. */
export function goldenMode(env: Readonly<Record<string, string | undefined>>): "compare" | "rewrite" {
  if (env["UPDATE_GOLDEN"] !== "1") return "compare";
  if (env["CI"] !== undefined) throw new Error("golden files are never rewritten in CI");
  return "rewrite";
}

/** The golden text of a file; rewritten first when that is asked for. */
export function golden(scene: string, file: (typeof OUTPUTS)[number], actual: string): string {
  const target = path.join(SCENES, scene, file);
  if (goldenMode(process.env) === "rewrite") writeFileSync(target, actual);
  return existsSync(target) ? readFileSync(target, "utf8") : `(no ${file}: run with UPDATE_GOLDEN=1)\n`;
}

/** Files in a scene's folder that nothing writes or reads. */
export function strayFiles(scene: string): readonly string[] {
  const known = new Set<string>(["given.yaml", ...OUTPUTS]);
  return readdirSync(path.join(SCENES, scene)).filter(file => !known.has(file));
}
