import type { KubeClient, KubeObject } from "../../../../src/runtime/kube";
import { redact } from "../../../../src/runtime/log/redact";
import { countedLog } from "../../../../src/runtime/contained";
import type { Log } from "../../../../src/runtime/ports";

/** What is thrown at every place. */
export const THROWN = "thrown on purpose";

/** Throws it. */
export function throws(): never {
  throw new Error(THROWN);
}

/** One place at which an error of ours is thrown, through what the place is given anyway. */
export interface Place {
  readonly name: string;
  /** What the line of the log says of the object or the place. */
  readonly told: string;
  /** Has it thrown, and holds that everything else goes on. */
  readonly look: (log: Log) => Promise<void> | void;
}

/** A log that gathers its lines, redacted as the real one prints them, and the places that are counted. */
export function gathering(lines: string[], counted: Set<string> = new Set()): Log {
  const line = (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    lines.push(`${message} ${JSON.stringify(redact(fields))}`);
  };
  const log: Log = { debug: line, info: line, warn: line, error: line, child: () => log };
  return countedLog(log, place => counted.add(place));
}

const absent = (): Promise<never> => Promise.reject(new Error("not asked for"));

/** An API server of fixed lists by path, whose watches say nothing until they are given up; `more` replaces verbs. */
export function listing(
  lists: Readonly<Record<string, readonly object[]>>,
  more: Partial<KubeClient> = {},
): KubeClient {
  return {
    get: <T>(path: string) => {
      const items = (lists[path.split("?", 1)[0] ?? ""] ?? []) as readonly KubeObject[];
      return Promise.resolve({ metadata: { resourceVersion: "9" }, items } as T);
    },
    watch: (_path, _onEvent, signal) =>
      new Promise(resolve => {
        signal.addEventListener("abort", () => {
          resolve();
        });
      }),
    create: absent,
    apply: absent,
    mergePatch: absent,
    jsonPatch: absent,
    delete: absent,
    ...more,
  };
}

/** Lets everything that has been promised come to its end. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(resolve => setImmediate(resolve));
}
