/** Figures of a whole run as text. */
import type { Calibration } from "./calibration";
import { FIRST, GROWTH, type Figure } from "./cells";
import { exponent, table } from "./report";
import { TABLE_PROXIES, type Result, type Row } from "./run";

const NONE = "";
const MODES = { rules: "rules", wide: "rules, told of all", open: "all see all" } as const;

function number(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? NONE : value.toFixed(digits);
}

function figure(value: Figure | undefined): string {
  if (value === undefined) return NONE;
  const { ms, cpu, kib } = value;
  const parts = [
    ms === undefined ? undefined : `${ms} ms`,
    cpu === undefined ? undefined : `${cpu} s`,
    kib === undefined ? undefined : `${kib} KiB`,
  ];
  return parts.filter(part => part !== undefined).join(" · ");
}

/** What of a goal is missed; nothing: all of it is met. */
export function missed({ median, cell }: Row): readonly string[] {
  const { ms, cpu, kib } = cell?.goal ?? {};
  const over = (what: string, is: number, most: number | undefined): string[] =>
    most !== undefined && is > most ? [what] : [];
  return [
    ...over("time", median.lastMs, ms),
    // To a tenth of a millisecond, as it is printed.
    ...over("CPU", Number(median.cpuSeconds.toFixed(4)), cpu),
    ...over("bytes", median.bytes / 1024, kib),
  ];
}

function verdictOf(row: Row): string {
  if (row.cell?.goal === undefined) return NONE;
  const what = missed(row);
  return what.length === 0 ? "met" : `missed: ${what.join(", ")}`;
}

function rowLine(row: Row): string[] {
  const { mode, title, proxies, services, median: m, cell } = row;
  return [
    `${MODES[mode]}: ${title}`,
    `${proxies}`,
    `${services}`,
    number(m.firstMs, 0),
    number(m.lastMs, 0),
    number(m.cpuSeconds, 4),
    number(m.bytes / 1024, 0),
    `${m.responses}`,
    `${m.told}`,
    figure(cell?.goal),
    verdictOf(row),
    figure(cell?.istiod),
  ];
}

const HEAD = [
  "change",
  "proxies",
  "services",
  "first ms",
  "last ACK ms",
  "CPU s",
  "KiB",
  "responses",
  "told",
  "goal",
  "",
  "istiod (elsewhere)",
];

function memoryLine({ mode, proxies, services, memory, idleCores }: Result): string[] {
  const { goal, istiod } = FIRST[mode === "open" ? "open" : "rules"].memory;
  const isJudged = proxies === TABLE_PROXIES && mode !== "wide";
  return [
    MODES[mode],
    `${proxies}`,
    `${services}`,
    number(memory.now, 0),
    number(memory.peak, 0),
    isJudged ? `${goal}` : NONE,
    isJudged ? (memory.now <= goal ? "met" : "missed") : NONE,
    isJudged ? `${istiod}` : NONE,
    number(idleCores * 1_000, 1),
  ];
}

/** Growth of a row with the number of proxies. */
export interface Growth {
  readonly key: string;
  readonly title: string;
  readonly sizes: readonly number[];
  readonly lastMs: number;
  readonly cpu: number;
  readonly bytes: number;
  /** Proxies concerned are as many at every size. */
  readonly isFixed: boolean;
}

/** Exponents of all rows that were measured at more than one size, in meshes that grow with it. */
export function growthOf(results: readonly Result[]): readonly Growth[] {
  const rows = results.flatMap(result => result.rows).filter(row => row.services * 5 === row.proxies);
  return [...new Set(rows.map(row => row.key))].flatMap(key => {
    const own = rows.filter(row => row.key === key);
    const [first] = own;
    if (first === undefined || own.length < 2) return [];
    const of = (pick: (row: Row) => number): number => exponent(own.map(row => [row.proxies, pick(row)]));
    return [
      {
        key,
        title: `${MODES[first.mode]}: ${first.title}`,
        sizes: own.map(row => row.proxies),
        lastMs: of(row => row.median.lastMs),
        cpu: of(row => row.median.cpuSeconds),
        bytes: of(row => row.median.bytes),
        isFixed: own.every(row => row.median.concerned === first.median.concerned),
      },
    ];
  });
}

function growthLine({ title, sizes, lastMs, cpu, bytes, isFixed }: Growth): string[] {
  const goal = isFixed ? `CPU ≤ ${GROWTH.goal}` : NONE;
  const verdict = isFixed ? (cpu <= GROWTH.goal ? "met" : "missed") : NONE;
  return [title, sizes.join(", "), number(lastMs, 2), number(cpu, 2), number(bytes, 2), goal, verdict];
}

/** All tables. */
export function printed(results: readonly Result[], calibrations: readonly Calibration[]): string {
  const rows = results.flatMap(result => result.rows);
  const growth = growthOf(results);
  const floors = calibrations.map(
    c =>
      `floor: ${c.streams} streams, one send with its acknowledgement each: ${c.floorLastMs.toFixed(0)} ms, ` +
      `${c.floorCpuSeconds.toFixed(4)} s CPU; connecting them: ${c.connectMs.toFixed(0)} ms, ${c.connectCpuSeconds.toFixed(2)} s CPU; ` +
      `fixed work ${c.workSeconds.toFixed(2)} s\n`,
  );
  const memory = ["resident memory", "proxies", "services", "MiB", "peak", "goal", "", "istiod", "idle mCPU"];
  return [
    table(HEAD, rows.map(rowLine)),
    table(memory, results.map(memoryLine)),
    growth.length === 0
      ? ""
      : table(
          ["growth exponents", "proxies", "last ACK", "CPU", "bytes", "goal", ""],
          growth.map(growthLine),
        ),
    floors.join(""),
  ].join("\n");
}
