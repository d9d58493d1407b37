import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";

/** What a program of a test can be asked, by name. */
export type Answers = Readonly<Record<string, (argument: never) => unknown>>;

type Argument<T extends Answers, K extends keyof T> = Parameters<T[K]>[0];
type Answer<T extends Answers, K extends keyof T> = Awaited<ReturnType<T[K]>>;

interface Question {
  readonly id: number;
  readonly name: string;
  readonly argument: unknown;
}

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** The child's side: answers what its parent asks, each question by itself, until the parent has gone. */
export function answerParent(answers: Answers): void {
  const reply = (message: Reply): void => void process.send?.(message);
  process.on("message", ({ id, name, argument }: Question) => {
    const run = answers[name] as ((argument: unknown) => unknown) | undefined;
    Promise.resolve()
      .then(() => run?.(argument))
      .then(
        value => {
          reply({ id, value });
        },
        (error: unknown) => {
          reply({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
        },
      );
  });
  process.once("disconnect", () => process.exit());
}

/** A program of a test in a process of its own, so that what it costs and what it suffers is its own. It ends with its parent. */
export class ChildProgram<T extends Answers> {
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private next = 0;

  private constructor(private readonly child: ChildProcess) {
    child.on("message", (reply: Reply) => {
      this.waiting.get(reply.id)?.(reply);
      this.waiting.delete(reply.id);
    });
    child.once("exit", code => {
      for (const [id, tell] of this.waiting) tell({ id, error: `the program ended with ${String(code)}` });
    });
  }

  /** Starts a TypeScript file; `mute`: nobody reads what it writes. */
  static start<T extends Answers>(
    file: string,
    options: { readonly env?: NodeJS.ProcessEnv; readonly mute?: boolean } = {},
  ): ChildProgram<T> {
    const said = options.mute === true ? "ignore" : "inherit";
    const child = spawn(process.execPath, ["--import", "tsx", file], {
      env: { ...process.env, ...options.env },
      stdio: ["ignore", said, said, "ipc"],
    });
    return new ChildProgram<T>(child);
  }

  /** Whether it is still there. */
  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Asks, and waits for the answer. Rejects with the program's own error, or when it has ended. */
  async ask<K extends keyof T & string>(name: K, argument: Argument<T, K>): Promise<Answer<T, K>> {
    if (!this.isAlive) throw new Error(`${name}: the program has ended`);
    const id = this.next++;
    const reply = await new Promise<Reply>(resolve => {
      this.waiting.set(id, resolve);
      this.child.send({ id, name, argument } satisfies Question);
    });
    if (reply.error !== undefined) throw new Error(`${name}: ${reply.error}`);
    return reply.value as Answer<T, K>;
  }

  async stop(): Promise<void> {
    if (!this.isAlive) return;
    const gone = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await gone;
  }
}
