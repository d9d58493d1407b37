import type { Command } from "commander";
import { SIDECAR_CONTAINER } from "../../model/mesh-words";
import { readText } from "../api-text";
import type { CliContext } from "../context";
import { UsageError } from "../failure";
import { hasSidecar } from "../namespaces";
import { podsOf } from "../pods";

/** A request or connection that a sidecar refused, as its access log tells it. */
interface Denial {
  readonly time: string;
  readonly pod: string;
  readonly caller: string;
  readonly request: string;
  /** Status of HTTP; 0: a connection, which was closed. */
  readonly code: number;
  /** Envoy's response flags; `-`: none. */
  readonly flags: string;
  readonly why: string;
}

interface AccessLogLine {
  readonly start_time?: string;
  readonly method?: string | null;
  readonly authority?: string | null;
  readonly path?: string | null;
  readonly response_code?: number;
  readonly response_code_details?: string | null;
  readonly caller?: string | null;
  readonly response_flags?: string | null;
  readonly requested_server_name?: string | null;
}

/** Envoy's words for a refusal by access rules or an external authoriser. */
const REFUSED = /rbac_access_denied|ext_authz_denied|rbac/;

/** A TCP port has a way inside for each caller that it lets in; who has none meets no cluster, Envoy's flag NC (record 0027). */
const NO_WAY = /(^|,)NC($|,)/;
const CLOSED = "no rule lets this caller in to the TCP port";

function parsed(line: string): AccessLogLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as AccessLogLine;
  } catch {
    return undefined;
  }
}

/** Why a line tells of a refusal; undefined: it does not. Of connections it is only those of callers with a certificate. */
function refusalOf(entry: AccessLogLine): string | undefined {
  const details = entry.response_code_details ?? "";
  if (REFUSED.test(details)) return details;
  const known = (entry.caller ?? "") !== "" && !isRequest(entry);
  return known && NO_WAY.test(entry.response_flags ?? "") ? CLOSED : undefined;
}

const isRequest = ({ method, response_code: code }: AccessLogLine): boolean =>
  (method ?? "") !== "" || (code ?? 0) !== 0;

function requestOf({ method, authority, path, requested_server_name: name }: AccessLogLine): string {
  if ((method ?? "") === "") return `TCP ${name ?? ""}`.trimEnd();
  return [method, `${authority ?? ""}${path ?? ""}`].filter(Boolean).join(" ");
}

/** The refusals in a sidecar's log; whatever is no JSON line of OSM's format is passed over. */
export function denialsIn(text: string, pod: string): readonly Denial[] {
  return text.split("\n").flatMap(line => {
    const entry = parsed(line);
    const why = entry === undefined ? undefined : refusalOf(entry);
    if (entry === undefined || why === undefined) return [];
    const { start_time: time = "", caller, response_code: code = 0, response_flags: flags } = entry;
    return [{ time, pod, caller: caller ?? "-", request: requestOf(entry), code, flags: flags ?? "-", why }];
  });
}

/** Most that is read of one sidecar's log, in bytes. */
const LOG_BYTES = 16 * 1024 * 1024;

interface LogsOptions {
  readonly denied?: boolean;
  readonly namespace?: string;
  readonly since: string;
}

/** Whether the API server stopped at {@link LOG_BYTES}. A character that was cut in two there is up to three bytes less. */
export function isCut(text: string, limit = LOG_BYTES): boolean {
  return Buffer.byteLength(text) >= limit - 3;
}

/** What may be said where nothing was found: who proves no identity never gets as far as the access log. */
export function nothingDenied(sidecars: number, namespace: string, since: string): string {
  return `Nobody was refused by the ${sidecars} sidecars of ${namespace} in the last ${since}, as far as their access logs tell.\n${NOT_TOLD}`;
}

const NOT_TOLD =
  "Callers without a certificate of the mesh end in the TLS handshake, which is in no access log, and Envoy writes its log every ten seconds.";

const row = ({ time, pod, caller, request, code, flags, why }: Denial): string[] => [
  time,
  pod,
  caller,
  request,
  code === 0 ? "-" : String(code),
  flags,
  why,
];

async function showDenied(context: CliContext, options: LogsOptions): Promise<void> {
  if (options.denied !== true)
    throw new UsageError("--denied is needed; other logs: kubectl logs POD -c envoy");
  const seconds = /^(\d+)([smh])$/.exec(options.since);
  if (seconds === null)
    throw new UsageError(`--since: ${JSON.stringify(options.since)} is no time such as 10m`);
  const since = Number(seconds[1]) * { s: 1, m: 60, h: 3600 }[seconds[2] as "s" | "m" | "h"];
  const namespace = options.namespace ?? context.namespace;
  const pods = (await podsOf(await context.kube(), namespace)).filter(hasSidecar);
  const found: Denial[] = [];
  for (const { metadata } of pods) {
    const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}/log?container=${SIDECAR_CONTAINER}&sinceSeconds=${since}&limitBytes=${LOG_BYTES}`;
    const text = await readText(context.credentials(), path);
    if (isCut(text))
      context.warn(
        `the log of ${namespace}/${metadata.name} is longer than was read; its later lines are missing: --since less`,
      );
    found.push(...denialsIn(text, metadata.name));
  }
  found.sort((a, b) => (a.time < b.time ? -1 : 1));
  context.out.show(found, () =>
    found.length === 0
      ? nothingDenied(pods.length, namespace, options.since)
      : {
          head: ["TIME", "REFUSED BY", "CALLER", "REQUEST", "CODE", "FLAGS", "WHY"],
          rows: found.map(row),
        },
  );
}

/** `osm logs --denied`. */
export function addLogsCommand(program: Command, context: CliContext): void {
  program
    .command("logs")
    .description(
      "print requests and TCP connections that sidecars of a namespace refused, with the caller they proved to be",
    )
    .option("--denied", "refused requests (the only kind there is so far)")
    .option("-n, --namespace <namespace>", "namespace of the pods that were called (default: the context's)")
    .option("--since <time>", "how far back, such as 90s, 10m, 2h", "10m")
    .addHelpText(
      "after",
      `
It reads the access logs of sidecars, which must be in OSM's JSON format (the default). A connection that a TCP port refuses has
Envoy's response flag NC. ${NOT_TOLD}
osm explain says what is let in.

Example:
  osm logs --denied -n bookstore`,
    )
    .action((options: LogsOptions) => showDenied(context, options));
}
