import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { METRICS } from "../src/runtime/metric-list";

/**
 * Prints docs/reference/metrics.md from the list of metrics in code. `--check` changes nothing and fails when the page is not
 * current.
 */

const TARGET = path.resolve(__dirname, "..", "docs", "reference", "metrics.md");

/** Metrics of Open Service Mesh that this mesh does not have, each with the reason. */
const LEFT_OUT: readonly (readonly [name: string, reason: string])[] = [
  [
    "osm_proxy_response_send_error_count",
    "A response that cannot be sent is the end of its stream; see `osm_proxy_connect_count`.",
  ],
  ["osm_events_queued", "There is no queue: what is news is compiled at the end of the turn."],
  ["osm_http_response_total", "Health, metrics and version are all that is served over HTTP."],
  ["osm_http_response_duration", "As above."],
];

/** The page. */
export function page(): string {
  const rows = Object.values(METRICS).map(metric => {
    const labels = metric.labels.map(label => `\`${label}\``).join(", ");
    return `| \`${metric.name}\` | ${metric.type} | ${labels} | ${metric.help} |`;
  });
  return [
    "# Metrics of the control plane",
    "",
    "Every pod of the control plane serves these at port 9091, path `/metrics`, in plaintext. Made from `src/runtime/metric-list.ts` by `npm run gen:metrics`.",
    "Metrics of requests, which sidecars serve, are in the [guide](../guides/metrics.md); what to look at and which alerts there are, in [observability](../guides/observability.md).",
    "",
    "| Name | Kind | Labels | Meaning |",
    "| --- | --- | --- | --- |",
    ...rows,
    "",
    "No series has the name of a proxy: labels are bounded, and a metric never has more than 2,000 series (the rest is counted as `other`).",
    "",
    "Metrics that Open Service Mesh had and this mesh has not:",
    "",
    "| Name | Why |",
    "| --- | --- |",
    ...LEFT_OUT.map(([name, reason]) => `| \`${name}\` | ${reason} |`),
    "",
  ].join("\n");
}

function main(args: readonly string[]): void {
  const text = page();
  if (!args.includes("--check")) {
    writeFileSync(TARGET, text);
    return;
  }
  if (readFileSync(TARGET, "utf8") === text) return;
  process.stderr.write("docs/reference/metrics.md is not current: run npm run gen:metrics\n");
  process.exitCode = 1;
}

if (require.main === module) main(process.argv.slice(2));
