import type { Command } from "commander";
import { SIDECAR_CONTAINER } from "../../model/mesh-words";
import { readText } from "../api-text";
import type { CliContext } from "../context";
import { UsageError } from "../failure";
import { hasSidecar } from "../namespaces";
import { podsOf } from "../pods";

/** A request that a sidecar refused, as its access log tells it. */
interface Denial {
  readonly time: string;
  readonly pod: string;
  readonly caller: string;
  readonly request: string;
  readonly code: number;
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
}

/** Envoy's words for a refusal by access rules or an external authoriser. */
const REFUSED = /rbac_access_denied|ext_authz_denied|rbac/;

function parsed(line: string): AccessLogLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as AccessLogLine;
  } catch {
    return undefined;
  }
}

/** The refusals in a sidecar's log; whatever is no JSON line of OSM's format is passed over. */
export function denialsIn(text: string, pod: string): readonly Denial[] {
  return text.split("\n").flatMap(line => {
    const entry = parsed(line);
    const details = entry?.response_code_details ?? "";
    if (entry === undefined || !REFUSED.test(details)) return [];
    const { start_time: time = "", caller, response_code: code = 0 } = entry;
    const request = [entry.method, `${entry.authority ?? ""}${entry.path ?? ""}`].filter(Boolean).join(" ");
    return [{ time, pod, caller: caller ?? "-", request, code, why: details }];
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

/** What may be said where nothing was found: the access log does not tell of connections that a TCP port refused (record 0019). */
export function nothingDenied(sidecars: number, namespace: string, since: string): string {
  return (
    `No HTTP request was refused by the ${sidecars} sidecars of ${namespace} in the last ${since}, as far as their access logs tell.\n` +
    "Connections refused by TCP ports end in the TLS handshake and are in no access log: osm explain says what is let in."
  );
}

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
          head: ["TIME", "REFUSED BY", "CALLER", "REQUEST", "CODE", "WHY"],
          rows: found.map(one => [one.time, one.pod, one.caller, one.request, String(one.code), one.why]),
        },
  );
}

/** `osm logs --denied`. */
export function addLogsCommand(program: Command, context: CliContext): void {
  program
    .command("logs")
    .description(
      "print HTTP requests that sidecars of a namespace refused, with the caller they proved to be",
    )
    .option("--denied", "refused requests (the only kind there is so far)")
    .option("-n, --namespace <namespace>", "namespace of the pods that were called (default: the context's)")
    .option("--since <time>", "how far back, such as 90s, 10m, 2h", "10m")
    .addHelpText(
      "after",
      "\nIt reads the access logs of sidecars, which must be in OSM's JSON format (the default). Connections that a TCP port\nrefuses end in the TLS handshake and are in no access log: osm explain says what is let in.\n\nExample:\n  osm logs --denied -n bookstore",
    )
    .action((options: LogsOptions) => showDenied(context, options));
}
