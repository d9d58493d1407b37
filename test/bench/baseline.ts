/**
 * The baseline: what each row costs in units of this machine's own floor at the time, so that another machine or a busy hour
 * counts for little. A run fails where a row has become worse than the baseline by more than the tolerance.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Calibration } from "./calibration";
import { median } from "./report";
import type { Result, Row } from "./run";

/** A row in units of the floor: CPU by that of one send to 500 streams, KiB as they are. */
export interface Ratios {
  readonly cpu: number;
  readonly kib: number;
}

/** By `<row>@<proxies>/<services>`. */
export type Baseline = Readonly<Record<string, Ratios>>;

const FILE = path.join(__dirname, "baseline.json");
/**
 * CPU: a first guess, not derived from repeated quiet runs. Runs of the same tree at different loads differed by about a third in
 * their ratios, so half more is taken for a change of the product. Bytes are the same in every run but for addresses and names.
 */
const MOST = { cpu: 1.5, kib: 1.1 };
/** Differences below this are nothing: CPU in floors (two runs of one tree gave 0.25 and 0.43 for the shortest row), KiB. */
const LEAST = { cpu: 0.3, kib: 8 };

function keyOf({ key, proxies, services }: Row): string {
  return `${key}@${proxies}/${services}`;
}

/** Ratios of a run. */
export function ratiosOf(results: readonly Result[], calibrations: readonly Calibration[]): Baseline {
  const floor = median(calibrations.map(c => c.floorCpuSeconds));
  const rows = results.flatMap(result => result.rows);
  return Object.fromEntries(
    rows.map(row => [
      keyOf(row),
      {
        cpu: Number((row.median.cpuSeconds / floor).toFixed(3)),
        kib: Number((row.median.bytes / 1024).toFixed(1)),
      },
    ]),
  );
}

/** What is worse than in the baseline, in words. Rows that the baseline has not are left out. */
export function worsened(now: Baseline, before: Baseline): readonly string[] {
  return Object.entries(now).flatMap(([key, ratios]) => {
    const old = before[key];
    if (old === undefined) return [];
    return (["cpu", "kib"] as const).flatMap(what => {
      const [is, was] = [ratios[what], old[what]];
      const isWorse = is > was * MOST[what] && is - was > LEAST[what];
      return isWorse ? [`${key}: ${what} ${is} instead of ${was}`] : [];
    });
  });
}

/** The committed baseline; empty when there is none. */
export function readBaseline(): Baseline {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, "utf8")) as Baseline) : {};
}

/** Makes a run the baseline; rows that it has not measured stay. */
export function writeBaseline(now: Baseline): void {
  const all = { ...readBaseline(), ...now };
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(FILE, `${JSON.stringify(sorted, null, 2)}\n`);
}
