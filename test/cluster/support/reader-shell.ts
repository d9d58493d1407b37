import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";

/** What came of a line that was typed. */
export interface Typed {
  readonly line: string;
  readonly code: number;
  /** Standard output and standard error, as a terminal shows them. */
  readonly shown: string;
  readonly ms: number;
}

/** Stands before the exit code in what the shell says to us. */
const MARK = "@ended";

/** One shell that a reader of a guide has open all the while: what a line sets is there for the next one. */
export class ReaderShell {
  private readonly child;
  private readonly lines: AsyncIterator<string>;
  private count = 0;

  /** Opens it in a folder, with this environment and no other. */
  public constructor(
    private readonly folder: string,
    env: Readonly<Record<string, string>>,
  ) {
    this.child = spawn("bash", ["--norc", "--noprofile"], {
      cwd: folder,
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.lines = createInterface(this.child.stdout)[Symbol.asyncIterator]();
  }

  /** Types a line and waits for its end. */
  public async type(line: string): Promise<Typed> {
    this.count += 1;
    const file = path.join(this.folder, `.shown-${this.count}`);
    const began = Date.now();
    this.child.stdin.write(`{ ${line}\n} >${file} 2>&1 </dev/null; echo "${MARK} $?"\n`);
    const { value } = (await this.lines.next()) as { readonly value?: string };
    const [, code] = /^@ended (\d+)$/.exec(value ?? "") ?? [];
    const shown = readFileSync(file, "utf8");
    if (code === undefined) throw new Error(`the shell ended in: ${line}\n${shown}`);
    return { line, code: Number(code), shown, ms: Date.now() - began };
  }

  /** Closes it. */
  public async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.stdin.end();
    await once(this.child, "exit");
  }
}
