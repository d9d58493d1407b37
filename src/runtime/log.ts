import type { Writable } from "node:stream";
import winston from "winston";
import type { OsmLogLevel } from "../api/mesh-config";
import { CauseBound } from "./log/causes";
import { lossyOutput } from "./log/output";
import { jsonLine, redact } from "./log/redact";
import type { Clock, Log } from "./ports";

/** The log of the process, whose level can be changed while it runs. */
export interface RootLog extends Log {
  /** Takes effect at once for all children; `disabled` prints nothing. */
  setLevel(level: OsmLogLevel): void;
  readonly level: OsmLogLevel;
}

/** What a log is made of. */
export interface LogOptions {
  readonly level: OsmLogLevel;
  readonly clock: Pick<Clock, "now" | "setTimeout">;
  /** Default standard output. */
  readonly stream?: Writable;
  /** Component of the root. Default `osm`. */
  readonly component?: string;
}

/** What says how many lines of a cause were not printed (`leftOut`), in place of them; `like` is their message. */
const LEFT_OUT = "lines like this were left out";
/** What says how many lines the output did not take (`lost`), once it takes lines again. */
const LOST = "lines were lost: the output did not take them";

const LEVELS = { panic: 0, fatal: 1, error: 2, warn: 3, info: 4, debug: 5, trace: 6 } as const;

/**
 * A structured log: one event is one line of JSON with `level`, `time` (RFC 3339), `component` and `message` first,
 * then the fields. Secrets are redacted and control characters escaped at this one place, whoever logs.
 *
 * Of lines with the same level, component and message, at most 9 are printed in a second; when it is over one line says how
 * many were left out (`leftOut`). Those of level `debug` are all printed: they are asked for by name and for a time, to see
 * each, and what is said there is said of proxies and objects that have been let in.
 *
 * What the output does not take, as on a full disk, is lost, and counted: see {@link lossyOutput}.
 */
export function createLog(options: LogOptions): RootLog {
  const component = options.component ?? "osm";
  const stream = lossyOutput({
    stream: options.stream ?? process.stdout,
    clock: options.clock,
    lostLine: lost => render("warn", { component, message: LOST, fields: { lost } }, options.clock.now()),
  });
  const logger = winston.createLogger({
    levels: LEVELS,
    level: options.level === "disabled" ? "info" : options.level,
    silent: options.level === "disabled",
    exitOnError: false,
    format: winston.format.printf(info => (info as unknown as { line: string }).line),
    transports: [new winston.transports.Stream({ stream, eol: "\n" })],
  });
  let level = options.level;
  const isPrinted = (severity: Severity): boolean =>
    !logger.silent && LEVELS[severity] <= LEVELS[logger.level as keyof typeof LEVELS];
  const print = (severity: Severity, line: Line): void => {
    logger.log({ level: severity, message: "", line: render(severity, line, options.clock.now()) });
  };
  const bound = new CauseBound<Severity>({
    clock: options.clock,
    leftOut: ({ severity, component, message: like }, leftOut) => {
      if (isPrinted(severity)) print(severity, { component, message: LEFT_OUT, fields: { like, leftOut } });
    },
  });
  const write: Write = (severity, line) => {
    if (!isPrinted(severity)) return;
    const { component, message } = line;
    if (severity === "debug" || bound.admits({ severity, component, message })) print(severity, line);
  };
  return {
    ...componentLog(component, write),
    setLevel: next => {
      level = next;
      logger.silent = next === "disabled";
      if (next !== "disabled") logger.level = next;
    },
    get level() {
      return level;
    },
  };
}

/** A log that prints nothing, for tools that have their own output. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

interface Line {
  readonly component: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

type Severity = "debug" | "info" | "warn" | "error";

type Write = (severity: Severity, line: Line) => void;

function componentLog(component: string, write: Write): Log {
  return {
    debug: (message, fields) => {
      write("debug", { component, message, fields });
    },
    info: (message, fields) => {
      write("info", { component, message, fields });
    },
    warn: (message, fields) => {
      write("warn", { component, message, fields });
    },
    error: (message, fields) => {
      write("error", { component, message, fields });
    },
    child: name => componentLog(name, write),
  };
}

function render(level: string, line: Line, now: number): string {
  const head = {
    level,
    time: new Date(now).toISOString(),
    component: line.component,
    message: redact(line.message),
  };
  try {
    // The head comes last as well: a field named like one of its keys must not replace it.
    return jsonLine({ ...head, ...(redact(line.fields ?? {}) as object), ...head });
  } catch (error) {
    return jsonLine({ ...head, unprintable: String(error) });
  }
}
