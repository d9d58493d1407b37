/** Stryker: got on demand, apart from the packages of the mesh, and run over one area. */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import type { Progress } from "../../hack/cluster/progress";
import { cacheFolder, repositoryRoot } from "../../hack/cluster/settings";
import { capture, run } from "../../hack/cluster/shell";
import { LEFT_OUT, type Area } from "./areas";
import type { Report } from "./report";

const HERE = path.join(repositoryRoot(), "test", "mutation");

/** Time that a mutant gets beyond what its tests took without it, and by which factor that may have grown. */
const TIMEOUT_MS = 4_000;
const TIMEOUT_FACTOR = 3;

/** What no test of an area reads, and so is not copied for it. */
const NOT_COPIED: readonly string[] = ["dist", "docs", "capabilities", "src/cli", "test/cluster", "test/api"];

/** Folder with everything of mutation testing. */
function home(): string {
  return path.join(cacheFolder(), "mutation");
}

/** Folder with the packages that `test/mutation/package-lock.json` names, installed once for each state of it. */
export async function ensureStryker(progress: Progress): Promise<string> {
  const lock = readFileSync(path.join(HERE, "package-lock.json"));
  const target = path.join(home(), createHash("sha256").update(lock).digest("hex").slice(0, 16));
  if (existsSync(target)) return target;
  return progress.step("installing Stryker", async note => {
    mkdirSync(home(), { recursive: true });
    const scratch = mkdtempSync(path.join(home(), "new-"));
    for (const file of ["package.json", "package-lock.json"])
      copyFileSync(path.join(HERE, file), path.join(scratch, file));
    await capture("npm", ["ci", "--ignore-scripts"], { cwd: scratch, onLine: note });
    renameSync(scratch, target);
    return target;
  });
}

/** How Stryker is run. */
export interface StrykerOptions {
  /** Processes that run tests beside each other. */
  readonly concurrency: number;
  /** Believe what the last run has found about mutants for which neither they nor their tests have changed. */
  readonly again: boolean;
}

function configuration(tool: string, area: Area, { concurrency, again }: StrykerOptions): object {
  return {
    mutate: area.files,
    testRunner: "mocha",
    plugins: [
      path.join(tool, "node_modules", "@stryker-mutator", "mocha-runner", "dist", "src", "index.js"),
      path.join(HERE, "ignored-texts.ts"),
    ],
    ignorers: ["texts"],
    mochaOptions: {
      "no-config": true,
      extension: ["ts"],
      require: ["./test/support/seed.ts", "./test/support/told-errors.ts"],
      spec: area.tests,
      grep: `^(?!.*(${LEFT_OUT.join("|")}))`,
    },
    // As .mocharc.json has it: there it is an option of Node.
    testRunnerNodeArgs: ["--import", "tsx"],
    // A mutant meets only the tests that come to it, in a process that has loaded them all.
    coverageAnalysis: "perTest",
    // Those would need a new process each, and every test in it.
    ignoreStatic: true,
    disableTypeChecks: false,
    tsconfigFile: "none",
    ignorePatterns: NOT_COPIED,
    tempDirName: path.join(home(), "copies"),
    cleanTempDir: "always",
    reporters: ["json", "progress-append-only"],
    jsonReporter: { fileName: reportFile(area) },
    concurrency,
    timeoutMS: TIMEOUT_MS,
    timeoutFactor: TIMEOUT_FACTOR,
    allowConsoleColors: false,
    incremental: again,
    incrementalFile: path.join(home(), `${area.name}.incremental.json`),
  };
}

function reportFile({ name }: Area): string {
  return path.join(home(), `${name}.json`);
}

/** Mutates an area and runs its tests over each mutant. Throws when its tests fail without any mutant. */
export async function mutate(area: Area, options: StrykerOptions, progress: Progress): Promise<Report> {
  const tool = await ensureStryker(progress);
  const settings = path.join(home(), `${area.name}.settings.json`);
  writeFileSync(settings, JSON.stringify(configuration(tool, area, options), undefined, 2));
  const program = path.join(tool, "node_modules", "@stryker-mutator", "core", "bin", "stryker.js");
  const { code, stdout, stderr } = await progress.step(`mutating ${area.name}`, note =>
    run(process.execPath, ["--import", "tsx", program, "run", settings], {
      cwd: repositoryRoot(),
      onLine: note,
    }),
  );
  if (code !== 0) throw new Error(`Stryker ended with ${code}:\n${(stdout + stderr).slice(-4_000)}`);
  return JSON.parse(readFileSync(reportFile(area), "utf8")) as Report;
}
