/** The simulated proxies (fleet/main.go) as seen from the benchmark: one process, told by lines of JSON. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface } from "node:readline";
import type { TypeUrl } from "../../src/xds/resource";

/** Content that proxies are to receive. */
export interface Condition {
  readonly type: TypeUrl;
  /** Name of the resource. */
  readonly name: string;
  /** Bytes that it has, or has no more; absent: any. */
  readonly contains?: string;
  readonly lacks?: string;
  /** The resource is removed. */
  readonly gone?: boolean;
  /** A proxy that holds a resource of this name already need not receive it. */
  readonly unlessHeld?: boolean;
  /** Proxies by number; absent: all. */
  readonly proxies?: readonly number[];
}

/** Sums over all proxies since the last {@link Fleet.expect}. */
export interface Counts {
  readonly responses: number;
  readonly bytes: number;
  readonly resources: number;
  readonly removed: number;
  /** When the last response came, monotonic milliseconds; 0: none came. */
  readonly lastAt: number;
  /** Responses of clusters, endpoints, secrets, listeners, routes. */
  readonly byType: readonly number[];
}

/** When what was expected came to the first and to the last proxy, monotonic milliseconds; 0: nothing was expected. */
export interface Arrival {
  readonly first: number;
  readonly last: number;
}

interface Answers {
  readonly connected: { readonly at: number };
  readonly armed: { readonly expected: number };
  readonly done: Arrival;
  readonly quiet: { readonly counts: Counts; readonly told: number; readonly failures: number };
  readonly broken: object;
  readonly disconnected: object;
}

/** Where proxies connect. */
export interface Target {
  readonly address: string;
  /** PEM of the roots of the server's certificate. */
  readonly root: string;
  readonly serverName: string;
}

const TIMEOUT_MS = 180_000;

/** Simulated proxies, by number in the order of their connecting. */
export class Fleet {
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly waiting = new Map<string, (answer: never) => void>();
  private fail: (error: Error) => void = () => undefined;
  private readonly over: Promise<never>;
  private to: Target | undefined;

  constructor(program: string) {
    this.process = spawn(program, [], { env: { ...process.env, GOGC: "400" } });
    this.process.stderr.pipe(process.stderr);
    this.over = new Promise((_, reject) => (this.fail = reject));
    this.over.catch(() => undefined);
    this.process.once("exit", code => {
      this.fail(new Error(`the fleet ended (${String(code)})`));
    });
    createInterface({ input: this.process.stdout }).on("line", line => {
      const answer = JSON.parse(line) as { readonly op: string };
      this.waiting.get(answer.op)?.(answer as never);
    });
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** Connects proxies, at most `parallel` of them at once; resolves when all are configured. Bare ones only acknowledge. */
  async connect(target: Target, tokens: readonly string[], parallel: number, bare = false): Promise<number> {
    this.to = target;
    const timeoutMs = TIMEOUT_MS - 10_000;
    return (await this.ask({ op: "connect", ...target, tokens, parallel, bare, timeoutMs }, "connected")).at;
  }

  /** Puts proxies with other identities into the places of some. */
  async replace(proxies: readonly number[], tokens: readonly string[]): Promise<number> {
    const timeoutMs = TIMEOUT_MS - 10_000;
    const command = { op: "replace", ...this.to, proxies, tokens, parallel: proxies.length, timeoutMs };
    return (await this.ask(command, "connected")).at;
  }

  /** From now on waits for this; the result resolves when all of it has come and been acknowledged. Resets the sums. */
  async expect(
    conditions: readonly Condition[],
  ): Promise<{ readonly arrival: Promise<Arrival>; readonly expected: number }> {
    const arrival = this.answer("done");
    arrival.catch(() => undefined);
    const { expected } = await this.ask({ op: "expect", conditions }, "armed");
    return { arrival, expected };
  }

  /** Waits until no proxy has received anything for a while; the sums, how many were told anything, failed streams. */
  quiet(quietMs: number): Promise<Answers["quiet"]> {
    return this.ask({ op: "quiet", quietMs }, "quiet");
  }

  /** Breaks connections, which come again with the versions they hold; all when no numbers are given. */
  async break(spreadMs: number, proxies?: readonly number[]): Promise<void> {
    await this.ask({ op: "break", spreadMs, proxies }, "broken");
  }

  /** Ends all proxies. */
  async disconnect(): Promise<void> {
    await this.ask({ op: "disconnect" }, "disconnected");
  }

  stop(): void {
    this.process.stdin.end();
  }

  private ask<K extends keyof Answers>(command: object, answer: K): Promise<Answers[K]> {
    const answered = this.answer(answer);
    this.process.stdin.write(`${JSON.stringify(command)}\n`);
    return answered;
  }

  private answer<K extends keyof Answers>(kind: K): Promise<Answers[K]> {
    const answered = new Promise<Answers[K]>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`the fleet: no "${kind}" within ${TIMEOUT_MS} ms`));
      }, TIMEOUT_MS);
      this.waiting.set(kind, answer => {
        clearTimeout(timer);
        this.waiting.delete(kind);
        resolve(answer);
      });
    });
    return Promise.race([answered, this.over]);
  }
}
