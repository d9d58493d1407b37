/** Tries TCP ports of one address, many at a time, and tells what each of them did. */
import net from "node:net";

/** What is tried. */
export interface ScanPlan {
  readonly host: string;
  readonly ports: readonly number[];
  /**
   * What is sent on each connection, a byte a character; "" waits for a server that speaks first. Absent: nothing, and a
   * connection that stands is `open`, which says nothing where a sidecar takes all ports.
   */
  readonly send?: string;
  /** How long a connection may say nothing, milliseconds. */
  readonly patienceMs: number;
  /** Connections at once. */
  readonly parallel: number;
  /**
   * Takes every try from a port of its own on this side. A redirected pod's kernel tells connections to different ports apart by
   * that alone once they lead to the same one.
   */
  readonly distinctSources?: boolean;
}

/** Ports by what they did; whoever closed or refused said nothing. */
export interface ScanResult {
  /** At least one byte came back. */
  readonly answered: readonly number[];
  /** Connected, with nothing to send. */
  readonly open: readonly number[];
  /** Connected, and neither answered nor closed within the patience. */
  readonly silent: readonly number[];
  /** No connection and no refusal. */
  readonly unreachable: readonly number[];
  /** How many were closed without a byte. */
  readonly closed: number;
  /** How many were refused. */
  readonly refused: number;
}

/** The scan as a program in a pod; implemented by port-scan-app.ts. */
export interface ScanOperations {
  scan(plan: ScanPlan): Promise<ScanResult>;
}

type Outcome = keyof ScanResult;

/** An HTTP/1.1 request, and what an HTTP/2 client says first (RFC 9113, 3.4: preface and empty settings). */
export const PLAINTEXT = {
  http1: "GET / HTTP/1.1\r\nhost: scan\r\nconnection: close\r\n\r\n",
  http2: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
} as const;

const ALL = 65_535;
/** At reduced counts: every so many ports, beside those that are interesting. */
const EVERY = 32;

/** All TCP ports, or with `full` false some 2,000 of them and all of `interesting` with their neighbours; in order. */
export function portsToTry(full: boolean, interesting: readonly number[]): readonly number[] {
  const step = full ? 1 : EVERY;
  const some = Array.from({ length: Math.floor(ALL / step) }, (_, index) => (index + 1) * step);
  const near = interesting.flatMap(port => [port - 1, port, port + 1]);
  const wanted = new Set([...some, ...near].filter(port => port >= 1 && port <= ALL));
  return [...wanted].sort((one, other) => one - other);
}

/** Where the ports of this side begin and end that {@link ScanPlan.distinctSources} takes in turn. */
const SOURCES = { first: 10_000, last: 60_000 };
let source = SOURCES.first;

function nextSource(): number {
  source = source >= SOURCES.last ? SOURCES.first : source + 1;
  return source;
}

function tryPort(plan: ScanPlan, port: number): Promise<Outcome> {
  return new Promise(resolve => {
    const from = plan.distinctSources === true ? { localPort: nextSource() } : {};
    const socket = net.connect({ host: plan.host, port, ...from });
    let stands = false;
    const end = (outcome: Outcome): void => {
      // No port of either side is kept for a connection that is over.
      if (stands && !socket.destroyed) socket.resetAndDestroy();
      else socket.destroy();
      resolve(outcome);
    };
    socket.setTimeout(plan.patienceMs, () => {
      end(stands ? "silent" : "unreachable");
    });
    socket.once("connect", () => {
      stands = true;
      if (plan.send === undefined) end("open");
      else if (plan.send !== "") socket.write(Buffer.from(plan.send, "latin1"));
    });
    socket.once("data", () => {
      end("answered");
    });
    socket.once("end", () => {
      end("closed");
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      end(stands ? "closed" : error.code === "ECONNREFUSED" ? "refused" : "unreachable");
    });
  });
}

/** Tries each port once; those that did not say what they are, on a busy machine, once more with ten times the patience. */
export async function scan(plan: ScanPlan): Promise<ScanResult> {
  const outcomes = new Map<number, Outcome>();
  const tryAll = async (ports: readonly number[], patienceMs: number): Promise<void> => {
    const waiting = [...ports].reverse();
    const work = async (): Promise<void> => {
      for (let port = waiting.pop(); port !== undefined; port = waiting.pop())
        outcomes.set(port, await tryPort({ ...plan, patienceMs }, port));
    };
    await Promise.all(Array.from({ length: plan.parallel }, work));
  };
  const of = (outcome: Outcome): readonly number[] =>
    [...outcomes].filter(([, was]) => was === outcome).map(([port]) => port);
  await tryAll(plan.ports, plan.patienceMs);
  const unsure = [...(plan.send === "" ? [] : of("silent")), ...of("unreachable")];
  await tryAll(unsure, plan.patienceMs * 10);
  const sorted = (outcome: Outcome): readonly number[] => [...of(outcome)].sort((one, other) => one - other);
  return {
    answered: sorted("answered"),
    open: sorted("open"),
    silent: sorted("silent"),
    unreachable: sorted("unreachable"),
    closed: of("closed").length,
    refused: of("refused").length,
  };
}
