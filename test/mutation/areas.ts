/** What is mutated, in which order, and which tests have to notice. */
import { readdirSync } from "node:fs";
import path from "node:path";
import { repositoryRoot } from "../../hack/cluster/settings";

/** Files that are mutated together, by the same tests. */
export interface Area {
  readonly name: string;
  /** Source folder, by which scores are told. */
  readonly folder: string;
  /** Files of the folder, relative to the repository. */
  readonly files: readonly string[];
  /** Test files, the quickest first; none needs root, a cluster or Envoy. */
  readonly tests: readonly string[];
}

/** What decides who may do what: looked at first. */
const DECIDING: readonly string[] = [
  "access",
  "authorization",
  "decide-edge",
  "decide",
  "inbound",
  "matching",
  "path-intersection",
  "path-pattern",
  "permits",
  "traffic",
];

/** Tests of scenes that ask the real Envoy about each proxy, which takes as long as everything else together. */
export const LEFT_OUT: readonly string[] = [
  "is accepted by the real Envoy",
  "sends to each proxy exactly what its steps change",
];

/** Files of a folder, relative to the repository. */
function filesOf(folder: string, ending = ".ts"): readonly string[] {
  return readdirSync(path.join(repositoryRoot(), folder))
    .filter(name => name.endsWith(ending))
    .sort()
    .map(name => `${folder}/${name}`);
}

/** Test files of a folder, with those of these names at the end: they take longest, and most mutants need not meet them. */
function testsOf(folder: string, ...last: readonly string[]): readonly string[] {
  const files = filesOf(folder, ".test.ts");
  const isLast = (file: string): boolean => last.includes(path.basename(file, ".test.ts"));
  return [...files.filter(file => !isLast(file)), ...files.filter(isLast)];
}

/** Tests of a whole policy: what is compiled, what owners are told, how calls are answered. */
function policyTests(): readonly string[] {
  return [
    ...testsOf("test/unit/policy"),
    ...testsOf("test/unit/engine"),
    "test/golden/scenes.test.ts",
    "test/property/path-pattern.test.ts",
  ];
}

/** Everything that can be mutated, what matters most first. */
export function areas(): readonly Area[] {
  const decides = (file: string): boolean => DECIDING.includes(path.basename(file, ".ts"));
  const policy = { folder: "src/policy", tests: policyTests() };
  const files = filesOf(policy.folder);
  return [
    { ...policy, name: "policy-deciding", files: files.filter(decides) },
    {
      name: "identity",
      folder: "src/runtime/identity",
      files: filesOf("src/runtime/identity"),
      tests: [...testsOf("test/unit/runtime/identity"), "test/unit/runtime/clock-put-back.test.ts"],
    },
    {
      name: "xds",
      folder: "src/xds",
      files: filesOf("src/xds"),
      tests: [
        "test/unit/runtime/replica-ledger.test.ts",
        ...testsOf("test/unit/xds", "tally", "convergence"),
      ],
    },
    { ...policy, name: "policy-rest", files: files.filter(file => !decides(file)) },
  ];
}

/** Whether a file that is asked for, perhaps with lines behind a colon, is this one or of this folder. */
function names(asked: string, file: string): boolean {
  const [wanted = ""] = asked.split(":");
  const plain = path.posix.normalize(wanted).replace(/\/$/, "");
  return file === plain || file.startsWith(`${plain}/`);
}

/**
 * The areas with what is asked for of them: files, folders, `FILE:FROM-TO`; all for none. Throws for what is of no area.
 */
export function wantedAreas(asked: readonly string[]): readonly Area[] {
  const all = areas();
  const unknown = asked.filter(one => !all.some(({ files }) => files.some(file => names(one, file))));
  if (unknown.length > 0) throw new Error(`${unknown.join(", ")}: not among what is mutated`);
  if (asked.length === 0) return all;
  const wanted = (file: string): readonly string[] =>
    asked.filter(one => names(one, file)).map(one => file + (/:.*$/.exec(one)?.[0] ?? ""));
  return all
    .map(area => ({ ...area, files: [...new Set(area.files.flatMap(wanted))] }))
    .filter(({ files }) => files.length > 0);
}
