/**
 * What parts of the mesh tell as errors while tests run, in this process and in processes of the control plane that tests
 * start: a test during which that happens fails, unless its suite says that it is provoked. What is told between tests fails
 * the next one, and names the one before.
 */
import { readFileSync } from "node:fs";
import { jsonLine, redact } from "../../src/runtime/log/redact";
import type { Log } from "../../src/runtime/ports";

/** More are counted, not kept: what repeats says no more. */
const MOST = 20;

interface Told {
  readonly line: string;
  readonly when: string;
}

const told: Told[] = [];
let untold = 0;
/** What suites that are running provoke; a suite that has ended is in force until the next test begins. */
const expected = new Set<RegExp>();
const ended = new Set<RegExp>();
let when = "before the first test";

function tell(line: string): void {
  if ([...expected].some(pattern => pattern.test(line))) return;
  if (told.length < MOST) told.push({ line, when });
  else untold += 1;
}

/** For a suite, called in its `describe`: an error whose line one of these patterns finds is provoked by its tests. */
export function expectErrors(...patterns: readonly RegExp[]): void {
  before(() => {
    for (const pattern of patterns) expected.add(pattern);
  });
  after(() => {
    for (const pattern of patterns) ended.add(pattern);
  });
}

/** A log that prints nothing, as {@link silentLog} of the source; an error is told. */
export const watchedLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (message, fields) => {
    tell(`${message} ${jsonLine({ ...(redact(fields ?? {}) as object) })}`);
  },
  child: () => watchedLog,
};

const ERROR_LINE = /^\{"level":"(error|fatal|panic)"/;

/** Reads the log of a process as it comes, in pieces of any size; each of its lines of level `error` is told. */
export function watchOutput(name: string): (text: string) => void {
  let rest = "";
  return text => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (ERROR_LINE.test(line)) tell(`${name}: ${line}`);
  };
}

/** Lines of level `error` in the log of a process. */
export function errorLines(file: string): readonly string[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter(line => ERROR_LINE.test(line));
}

/** Throws when something was told since the last time, and forgets it. */
function judge(): void {
  if (told.length === 0) return;
  const lines = told.splice(0).map(one => `${one.when}: ${one.line}`);
  const more = untold === 0 ? [] : [`and ${untold} more`];
  untold = 0;
  throw new Error(`errors that nobody expected were logged:\n${[...lines, ...more].join("\n")}`);
}

type Body = (this: Mocha.Context) => unknown;

const isPromise = (value: unknown): value is Promise<unknown> =>
  value instanceof Promise || typeof (value as { then?: unknown } | undefined)?.then === "function";

/** Bodies that judge already: a test that is run again (`npm run mutation`) is judged once. */
const judging = new WeakSet<Body>();

/** The same test, which fails for what was told as well; its own error comes first. */
function judged(body: Body): Body {
  if (judging.has(body)) return body;
  const whole = function (this: Mocha.Context): unknown {
    const result = body.call(this);
    if (isPromise(result)) return result.then(judge);
    judge();
    return result;
  };
  judging.add(whole);
  return whole;
}

/** Loaded by every run of mocha. A hook that failed would end the run, so each test is judged within itself. */
export const mochaHooks: Mocha.RootHookObject = {
  beforeEach(this: Mocha.Context) {
    for (const pattern of ended) expected.delete(pattern);
    ended.clear();
    const test = this.currentTest;
    if (test === undefined) return;
    when = `in "${test.fullTitle()}"`;
    const { fn } = test;
    // One with a callback is judged by the next.
    if (fn !== undefined && fn.length === 0) test.fn = judged(fn as Body);
  },
  afterEach(this: Mocha.Context) {
    when = `after "${this.currentTest?.fullTitle() ?? ""}"`;
  },
  afterAll() {
    judge();
  },
};
