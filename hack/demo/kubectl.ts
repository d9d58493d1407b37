import { run, type RunResult } from "../cluster/shell";

/** kubectl on the cluster of the demo. */
export class Kubectl {
  public constructor(
    /** Path of the program. */
    public readonly program: string,
    /** Path of the kubeconfig; undefined leaves the choice to kubectl. */
    public readonly kubeconfig: string | undefined,
    /** Name of the user's context that the kubeconfig is a passing copy of; undefined for one that stays. */
    public readonly context?: string,
  ) {}

  /** The arguments with those that choose the cluster before them. */
  public arguments(args: readonly string[]): string[] {
    return this.kubeconfig === undefined ? [...args] : [`--kubeconfig=${this.kubeconfig}`, ...args];
  }

  /** Runs it and gives the outcome, whatever the exit code; after `timeoutMs` (default a minute) it is ended. */
  public attempt(args: readonly string[], input?: string, timeoutMs = 60_000): Promise<RunResult> {
    return run(this.program, this.arguments(args), { timeoutMs, ...(input === undefined ? {} : { input }) });
  }

  /** Runs it and gives its output. Throws with its own words when it fails. */
  public async must(args: readonly string[], input?: string, timeoutMs?: number): Promise<string> {
    const result = await this.attempt(args, input, timeoutMs);
    if (result.code === 0) return result.stdout;
    const reason = result.stderr.trim() || (result.code === -1 ? "it took too long" : result.stdout.trim());
    throw new Error(`kubectl ${args.join(" ")}: ${reason}`);
  }

  /** Output of `get … -o json`. */
  public async json<T>(args: readonly string[]): Promise<T> {
    return JSON.parse(await this.must([...args, "-o", "json"])) as T;
  }
}
