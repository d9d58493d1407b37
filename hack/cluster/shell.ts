import { spawn } from "node:child_process";

/** How {@link run} starts a command. */
export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input. */
  readonly input?: string;
  /** Milliseconds until the command is ended; default none. */
  readonly timeoutMs?: number;
  /** Called with each line of output as it comes. */
  readonly onLine?: (line: string) => void;
}

/** How a command ended. `code` is -1 when a signal or the time limit ended it. */
export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function lineReader(onLine: ((line: string) => void) | undefined): (chunk: string) => void {
  let rest = "";
  return chunk => {
    if (onLine === undefined) return;
    const lines = (rest + chunk).split(/[\r\n]+/);
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.trim() !== "") onLine(line);
  };
}

/** Runs a command to its end and gives its outcome, whatever its exit code. Throws only when it cannot be started. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: "SIGKILL" }),
    });
    let stdout = "";
    let stderr = "";
    const outLines = lineReader(options.onLine);
    const errLines = lineReader(options.onLine);
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
      outLines(chunk);
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk;
      errLines(chunk);
    });
    child.once("error", reject);
    child.once("close", code => {
      resolve({ code: code ?? -1, stdout, stderr });
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/** Like {@link run}, gives standard output, and throws with the end of its output when the command fails. */
export async function capture(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const result = await run(command, args, options);
  if (result.code !== 0) {
    const tail = (result.stderr.trim() || result.stdout.trim()).split("\n").slice(-15).join("\n");
    const shown = [command, ...args].join(" ").slice(0, 200);
    throw new Error(`"${shown}" ended with ${result.code}:\n${tail}`);
  }
  return result.stdout;
}

/** Full path of a program of this name on PATH, or undefined. */
export async function onPath(name: string): Promise<string | undefined> {
  const result = await run("sh", ["-c", `command -v "$1"`, "sh", name]);
  return result.code === 0 ? result.stdout.trim() : undefined;
}
