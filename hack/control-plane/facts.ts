/** What the control plane outside of a cluster tells the process that started it, over their own channel; there is no port for it. */
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { getHeapCodeStatistics } from "node:v8";
import type { ControlPlane } from "../../src/runtime/control-plane/start";
import type { World } from "../../src/runtime/control-plane/world";

/** What is kept of one kind of object. */
export interface Store {
  readonly count: number;
  /** Digest of keys and values; equal in two processes that have seen the same. */
  readonly digest: string;
}

/** What there is in a process, for whoever looks for leaks. */
export interface Resources {
  /** Bytes of JavaScript objects, after a forced collection where the process was started with `--expose-gc`. */
  readonly heapBytes: number;
  /** Of these, what was compiled: byte code and machine code with what belongs to it. */
  readonly codeBytes: number;
  readonly residentBytes: number;
  readonly fileDescriptors: number;
  /** What keeps the event loop busy, by the names that Node has for it: `Timeout` is a timer. */
  readonly active: Readonly<Record<string, number>>;
  /** Entries of the maps that hold what comes and goes. */
  readonly entries: Readonly<Record<string, number>>;
}

/** An answer. */
export interface Facts {
  readonly stores: Readonly<Record<string, Store>>;
  readonly resources: Resources;
  /** Streams of proxies that were refused, by the gRPC status. */
  readonly refusedStreams: Readonly<Record<string, number>>;
  /** Resources that proxies refused. */
  readonly refusals: readonly string[];
}

/** A question, which has no other content. */
export interface FactsQuestion {
  readonly facts: number;
}

/** The answer to the question with that number. */
export interface FactsAnswer extends FactsQuestion {
  readonly answer: Facts;
}

/** Maps and sets as the lists of what is in them, so that JSON shows it. */
function shown(_key: string, value: unknown): unknown {
  if (value instanceof Map) return [...(value as ReadonlyMap<unknown, unknown>)].sort(byText);
  if (value instanceof Set) return [...(value as ReadonlySet<unknown>)].sort(byText);
  return typeof value === "bigint" ? String(value) : value;
}

function byText(one: unknown, other: unknown): number {
  const [left, right] = [JSON.stringify(one, shown), JSON.stringify(other, shown)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** What the informers of a world hold, by kind. */
export function storesOf({ informers }: Pick<World, "informers">): Readonly<Record<string, Store>> {
  const stores = [...informers.byKind].map(([kind, informer]) => {
    const values = informer.values();
    const digest = createHash("sha256").update(JSON.stringify(values, shown)).digest("hex").slice(0, 16);
    return [kind, { count: values.size, digest }] as const;
  });
  return Object.fromEntries(stores);
}

function countsOf(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function resourcesOf({ world, serving }: ControlPlane["inside"]): Resources {
  // Twice: what the first one finds to be finalised, the second one frees.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  const code = getHeapCodeStatistics();
  const engine = world.engine.stats();
  const ads = serving?.ads.stats();
  const objects = [...world.informers.byKind.values()].reduce((sum, { values }) => sum + values().size, 0);
  return {
    heapBytes: heapUsed,
    codeBytes: code.bytecode_and_metadata_size + code.code_and_metadata_size,
    residentBytes: rss,
    fileDescriptors: readdirSync("/proc/self/fd").length,
    active: countsOf(process.getActiveResourcesInfo()),
    entries: {
      objects,
      cells: engine.computedCells,
      subscribers: engine.subscribers,
      expectedProxies: world.engine.expectedProxies().size,
      findings: world.engine.diagnostics().size,
      generations: world.engine.generations().size,
      streams: ads?.streams ?? 0,
      connections: ads?.connections ?? 0,
      refusals: serving?.ads.ledger.refusals().length ?? 0,
    },
  };
}

/** Answers the parent's questions from now on, where there is a parent with a channel. */
export function answerFacts({ inside }: ControlPlane): void {
  process.on("message", ({ facts }: FactsQuestion) => {
    const { world, serving } = inside;
    const refusals = serving?.ads.ledger.refusals() ?? [];
    const answer: Facts = {
      stores: storesOf(world),
      resources: resourcesOf(inside),
      refusedStreams: serving?.ads.stats().refusedStreams ?? {},
      refusals: refusals.map(({ name, message }) => `${name}: ${message}`),
    };
    process.send?.({ facts, answer } satisfies FactsAnswer);
  });
}
