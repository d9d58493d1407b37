/** The control plane of another commit, as one program. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { buildSync } from "esbuild";
import { repositoryRoot } from "../../hack/cluster/settings";

/** What is not in a commit, and as it is here: dependencies, and the types that are made of Envoy's descriptors. */
const BESIDE = ["node_modules", "src/envoy/api/generated"] as const;

/** A program in a folder of its own. */
export interface OtherBuild {
  /** Full name of the commit. */
  readonly commit: string;
  readonly program: string;
  remove(): void;
}

/**
 * Builds the program of a file of another commit with the options of `pepr build`. Throws where that commit is not here, as in a
 * shallow clone.
 */
export function buildOther(commit: string, entry: string): OtherBuild {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-other-"));
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const cwd = repositoryRoot();
    const name = execFileSync("git", ["rev-parse", "--verify", `${commit}^{commit}`], { cwd })
      .toString()
      .trim();
    const archive = execFileSync("git", ["archive", name], { cwd, maxBuffer: 2 ** 30 });
    execFileSync("tar", ["-x", "-C", folder], { input: archive });
    for (const place of BESIDE) {
      const target = path.join(folder, place);
      mkdirSync(path.dirname(target), { recursive: true });
      symlinkSync(path.join(cwd, place), target);
    }
    const program = path.join(folder, "program.cjs");
    buildSync({
      absWorkingDir: folder,
      bundle: true,
      entryPoints: [path.join(folder, entry)],
      format: "cjs",
      keepNames: true,
      minify: true,
      outfile: program,
      platform: "node",
      logLevel: "error",
    });
    return { commit: name, program, remove };
  } catch (error) {
    remove();
    throw error;
  }
}
