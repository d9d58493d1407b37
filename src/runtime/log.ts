import type { Writable } from "node:stream";
import winston from "winston";
import type { OsmLogLevel } from "../api/mesh-config";
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
  readonly clock: Pick<Clock, "now">;
  /** Default standard output. */
  readonly stream?: Writable;
  /** Component of the root. Default `osm`. */
  readonly component?: string;
}

const LEVELS = { panic: 0, fatal: 1, error: 2, warn: 3, info: 4, debug: 5, trace: 6 } as const;

/**
 * A structured log: one event is one line of JSON with `level`, `time` (RFC 3339), `component` and `message` first,
 * then the fields. Secrets are redacted and control characters escaped at this one place, whoever logs.
 */
export function createLog(options: LogOptions): RootLog {
  const stream = options.stream ?? process.stdout;
  // A closed pipe or a full disk must not end the mesh: the line is lost, the process lives.
  stream.on("error", () => undefined);
  const logger = winston.createLogger({
    levels: LEVELS,
    level: options.level === "disabled" ? "info" : options.level,
    silent: options.level === "disabled",
    exitOnError: false,
    format: winston.format.printf(info => (info as unknown as { line: string }).line),
    transports: [new winston.transports.Stream({ stream, eol: "\n" })],
  });
  let level = options.level;
  const write = (severity: "debug" | "info" | "warn" | "error", line: Line): void => {
    if (logger.silent || LEVELS[severity] > LEVELS[logger.level as keyof typeof LEVELS]) return;
    logger.log({ level: severity, message: "", line: render(severity, line, options.clock.now()) });
  };
  return {
    ...componentLog(options.component ?? "osm", write),
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

type Write = (severity: "debug" | "info" | "warn" | "error", line: Line) => void;

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
