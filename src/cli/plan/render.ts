/** A plan for people. */
import type { Access } from "./access";
import type { Plan, PlannedFinding, SharesChange } from "./plan";
import type { ProxyChange, ResourceChange } from "./proxies";

/** More than these are counted, not listed. */
const LISTED = 40;

function section(title: string, lines: readonly string[]): readonly string[] {
  if (lines.length === 0) return [];
  const more = lines.length - LISTED;
  const shown = more > 0 ? [...lines.slice(0, LISTED), `… and ${more} more (-o json has all)`] : lines;
  return ["", title, ...shown.map(line => `  ${line}`)];
}

const SIGNS = { added: "+", changed: "~", removed: "-", unchanged: "=" } as const;

function accessLine(sign: string, { from, to, route, via }: Access): string {
  const where = via === undefined ? "" : ` (at ${via.join(", ")})`;
  return `${sign} ${from} → ${to}${where}: ${route}`;
}

function sharesText(shares: SharesChange["before"]): string {
  const parts = Object.entries(shares).map(([name, share]) => `${name} ${share} %`);
  return parts.length === 0 ? "nothing" : parts.join(", ");
}

function findingLine({ object, severity, code, field, message, isNew }: PlannedFinding): string {
  const verdict = severity === "error" ? "not in force" : "warning";
  const place = field === undefined ? "" : `, ${field}`;
  return `${object}${place}: ${message} (${code}, ${verdict}${isNew ? "" : ", as today"})`;
}

function resourceLines(sign: string, resources: readonly ResourceChange[]): readonly string[] {
  return resources.map(
    ({ type, name, bytes }) => `  ${sign} ${type} ${name}${bytes === 0 ? "" : ` (${bytes} bytes)`}`,
  );
}

function proxyLines({
  workload,
  pods,
  change,
  added,
  changed,
  removed,
  bytes,
}: ProxyChange): readonly string[] {
  const many = pods.length === 1 ? "one proxy" : `${pods.length} proxies`;
  if (change === "new") return [`${workload}: ${many} more, ${added.length} resources, ${bytes} bytes each`];
  if (change === "gone") return [`${workload}: ${many} less`];
  return [
    `${workload}: ${many}, ${bytes} bytes each`,
    ...resourceLines("+", added),
    ...resourceLines("~", changed),
    ...resourceLines("-", removed),
  ];
}

/** The whole plan, as lines. */
export function renderPlan(plan: Plan): string {
  const { objects, access, traffic, proxies, untouched, findings, notes } = plan;
  const changes = objects.filter(({ change }) => change !== "unchanged");
  const nobody = access.gained.length + access.lost.length === 0;
  return [
    changes.length === 0
      ? "Nothing changes."
      : `${changes.length === 1 ? "1 object changes" : `${changes.length} objects change`}; nothing is applied.`,
    ...section(
      "Objects:",
      changes.map(({ object, change }) => `${SIGNS[change]} ${object}`),
    ),
    ...section("Findings about them:", findings.map(findingLine)),
    ...section(nobody ? "Access: nobody gains or loses any." : "Access:", [
      ...access.lost.map(one => accessLine("-", one)),
      ...access.gained.map(one => accessLine("+", one)),
    ]),
    ...(nobody ? ["", "Nobody gains or loses access."] : []),
    ...section(
      "Shares:",
      traffic.map(
        ({ to, route, before, after }) =>
          `${to}${route === undefined ? "" : `, ${route}`}: ${sharesText(before)} → ${sharesText(after)}`,
      ),
    ),
    ...section("Proxies:", proxies.flatMap(proxyLines)),
    "",
    `${untouched} proxies are told nothing new.`,
    ...section("Assumed:", notes),
  ].join("\n");
}
