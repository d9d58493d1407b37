import { stripVTControlCharacters } from "node:util";

/** Takes one line of progress. */
export type Log = (line: string) => void;

/** Milliseconds between the signs of life of a long step. */
const HEARTBEAT_MS = 10_000;

/** Tells what a long job does, with the time since it began. */
export class Progress {
  private readonly began = Date.now();

  public constructor(private readonly log: Log) {}

  /** Writes one line with the elapsed time before it. */
  public say(line: string): void {
    const seconds = ((Date.now() - this.began) / 1000).toFixed(1).padStart(6);
    this.log(`[${seconds} s] ${line}`);
  }

  /**
   * Runs one step: says when it starts, every ten seconds that it is still going (with the last line `note` was given),
   * and how long it took. What the step throws is thrown on, after a line that names the step.
   */
  public async step<T>(title: string, work: (note: Log) => Promise<T>): Promise<T> {
    const began = Date.now();
    let last = "";
    this.say(`${title} …`);
    const seconds = (): string => `${((Date.now() - began) / 1000).toFixed(1)} s`;
    const timer = setInterval(() => {
      this.say(`${title}: still going after ${seconds()}${last === "" ? "" : ` · ${last.slice(0, 100)}`}`);
    }, HEARTBEAT_MS);
    try {
      const value = await work(line => (last = worthTelling(line) ?? last));
      if (Date.now() - began > 1000) this.say(`${title}: done in ${seconds()}`);
      return value;
    } catch (error) {
      this.say(`${title}: FAILED after ${seconds()}`);
      throw error;
    } finally {
      clearInterval(timer);
    }
  }
}

/** A line of a program without its colours; undefined for none, and for npm's warnings about its own settings. */
export function worthTelling(line: string): string | undefined {
  const text = stripVTControlCharacters(line).trim();
  return text === "" || /^npm (warn|notice)\b/i.test(text) ? undefined : text;
}

/** Log that writes to standard error, so that standard output stays free for answers such as a kubeconfig path. */
export const toStderr: Log = line => {
  process.stderr.write(`${line}\n`);
};

/** Waits until `check` gives a value other than undefined or false. Throws with `what` and the last failure when `timeoutMs` have passed. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  everyMs = 200,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let failure = "";
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      failure = `: ${String(error)}`;
    }
    if (Date.now() > deadline)
      throw new Error(`${what} did not happen within ${timeoutMs / 1000} s${failure}`);
    await new Promise(resolve => setTimeout(resolve, everyMs));
  }
}
