import { createInterface } from "node:readline";
import { systemClock } from "../runtime/clock";
import type { Clock } from "../runtime/ports";

/** The machine as the command sees it; tests put their own in its place. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Results. */
  readonly write: (text: string) => void;
  /** Warnings, progress beside a machine-readable result, errors. */
  readonly complain: (text: string) => void;
  /** One line from the user after a question; undefined when there is nobody to ask. */
  readonly ask: (question: string) => Promise<string | undefined>;
  /** All of standard input. */
  readonly readAll: () => Promise<string>;
}

async function ask(question: string): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await new Promise(resolve => {
      lines.once("close", () => {
        resolve(undefined);
      });
      lines.question(question, resolve);
    });
  } finally {
    lines.close();
  }
}

async function readAll(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

/** This process. */
export function processHost(): Host {
  return {
    env: process.env,
    clock: systemClock,
    write: text => void process.stdout.write(text),
    complain: text => void process.stderr.write(text),
    ask,
    readAll,
  };
}
