import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import { repositoryRoot } from "../../../hack/cluster/settings";

/** The osm command as a process of its own, for what goes on until it is told to end. */
export class OsmProcess {
  private constructor(
    private readonly child: ChildProcess,
    /** The first line it printed. */
    public readonly line: string,
  ) {}

  /** Starts it, by default from the sources, and waits for its first line. Throws when it ends without one. */
  public static async start(
    args: readonly string[],
    kubeconfig: string,
    main = path.join(repositoryRoot(), "src/cli/main.ts"),
  ): Promise<OsmProcess> {
    const child = spawn(process.execPath, ["--import", "tsx", main, ...args], {
      cwd: repositoryRoot(),
      env: { ...process.env, KUBECONFIG: kubeconfig },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit").then(([code]: unknown[]) => {
      throw new Error(`osm ${args.join(" ")} ended with ${String(code)} before it said anything`);
    });
    const first = once(createInterface(child.stdout), "line") as Promise<[string]>;
    const [line] = await Promise.race([first, ended]);
    ended.catch(() => undefined);
    return new OsmProcess(child, line);
  }

  /** Ends it as Ctrl-C does, and gives its exit code. */
  public async interrupt(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = once(this.child, "exit");
      this.child.kill("SIGINT");
      await gone;
    }
    return this.child.exitCode;
  }
}
