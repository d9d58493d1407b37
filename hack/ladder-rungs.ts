import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { repositoryRoot } from "./cluster/settings";

/** The rungs, cheapest first: a fault is best met on the lowest rung that can show it. */
export const RUNGS = ["check", "unit", "property", "golden", "stream", "traffic", "cluster"] as const;

/** One of {@link RUNGS}. */
export type Rung = (typeof RUNGS)[number];

/** Folders below test/ of a rung; by default the one of its name. A bare API server counts as part of the cluster. */
const FOLDERS: Readonly<Partial<Record<Rung, readonly string[]>>> = { cluster: ["api", "cluster"] };

/** How many rungs `npm run test:fast` climbs. */
const FAST = 4;

/** A rung that is climbed, or those of its files whose names hold one of `parts`. */
export interface Step {
  readonly rung: Rung;
  /** None: all files. */
  readonly parts: readonly string[];
}

/** Test files of a rung whose names hold one of `parts` (all for none), relative to the repository, as they are run. */
export function testFiles({ rung, parts }: Step): readonly string[] {
  return (FOLDERS[rung] ?? [rung]).flatMap(name => {
    const folder = path.join("test", name);
    if (!existsSync(path.join(repositoryRoot(), folder))) return [];
    const files = readdirSync(path.join(repositoryRoot(), folder), { recursive: true, encoding: "utf8" });
    return files
      .filter(file => file.endsWith(".test.ts"))
      .filter(file => parts.length === 0 || parts.some(part => path.basename(file).includes(part)))
      .sort()
      .map(file => path.join(folder, file));
  });
}

/**
 * What the arguments name: `fast`, `long [NAME…]`, or names; nothing for all. A name is that of a rung, or a part of the
 * names of test files, which are then run by themselves. Throws for a name that is neither.
 */
export function wantedSteps(args: readonly string[]): readonly Step[] {
  const [first, ...rest] = args;
  if (first === "fast") return RUNGS.slice(0, FAST).map(rung => ({ rung, parts: [] }));
  const names = first === "long" ? rest : args;
  const isRung = (name: string): boolean => RUNGS.some(rung => rung === name);
  const parts = names.filter(name => !isRung(name));
  const unknown = parts.filter(part => RUNGS.every(rung => testFiles({ rung, parts: [part] }).length === 0));
  if (unknown.length > 0)
    throw new Error(`${unknown.join(", ")}: no rung (${RUNGS.join(", ")}) and no test file is named so`);
  const named = RUNGS.map((rung): Step => ({ rung, parts: names.includes(rung) ? [] : parts }));
  if (names.length === 0) return named;
  return named.filter(step => names.includes(step.rung) || (parts.length > 0 && testFiles(step).length > 0));
}

/**
 * Files that leave the MeshConfig, the control plane and namespaces of others as they are, so that the two rows can be run beside
 * each other; about as long as each other. A file that is not named here has the cluster for itself.
 */
export const BESIDE: readonly (readonly string[])[] = [
  ["matrix-edges", "embedded-cluster", "deploy-chart", "cli", "open-ports"],
  ["injection", "injection-random", "smi-conformance", "flagger", "mesh-identity", "mesh-traffic"],
];

/** Files below test/ that mostly wait, and so are run one after the other beside the others of their rung. */
export const WAITING: readonly string[] = [
  "stream/floods-deaf",
  "stream/own-root",
  "stream/root-rotation",
  "traffic/chaos",
  "traffic/control-plane-faults",
  "traffic/control-plane-faults-disk",
  "traffic/control-plane-faults-kills",
  "traffic/control-plane-faults-reconnect",
  "traffic/external-own-root",
];

/** The files of a rung that are run one after the other, and those beside them. */
export function apart(files: readonly string[]): {
  readonly inTurn: readonly string[];
  readonly waiting: readonly string[];
} {
  const waits = (file: string): boolean =>
    WAITING.some(name => file === path.join("test", `${name}.test.ts`));
  return { inTurn: files.filter(file => !waits(file)), waiting: files.filter(waits) };
}

/** Files below test/cluster that start an API server of their own, as all below test/api do. */
export const BARE: readonly string[] = ["deploy-ownership", "deploy-policy", "deploy-reconcile"];

/** The files of the highest rung by the company they can be run in. */
export interface ClusterLanes {
  /** Two rows that can be run beside each other. */
  readonly beside: readonly (readonly string[])[];
  /** Those that need no cluster, and can be run beside anything. */
  readonly bare: readonly string[];
  /** Those that change what others look at, one after the other. */
  readonly alone: readonly string[];
}

/** Sorts files of the cluster rung into lanes; each is in one of them. */
export function clusterLanes(files: readonly string[]): ClusterLanes {
  const isNamed = (file: string, names: readonly string[]): boolean =>
    names.includes(path.basename(file, ".test.ts")) && file.startsWith(path.join("test", "cluster"));
  const isBare = (file: string): boolean => file.startsWith(path.join("test", "api")) || isNamed(file, BARE);
  return {
    beside: BESIDE.map(names => files.filter(file => isNamed(file, names))),
    bare: files.filter(isBare),
    alone: files.filter(file => !isBare(file) && !BESIDE.some(names => isNamed(file, names))),
  };
}

/** Whether any of them needs a cluster with kubelets. */
export function needsCluster({ beside, alone }: ClusterLanes): boolean {
  return [...beside, alone].some(files => files.length > 0);
}
