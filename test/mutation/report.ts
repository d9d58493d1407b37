/** What a run of Stryker has found, as figures and as a list of what no test has noticed. */
import type { Figures } from "../support/verdict";

/** The least share of mutants of a folder that tests have to notice, percent. */
export const LEAST_SCORE = 85;

/** Where something is; lines and columns begin at 1. */
interface Place {
  readonly line: number;
  readonly column: number;
}

/** One change of the source, and what tests made of it. */
export interface Mutant {
  readonly mutatorName: string;
  readonly replacement?: string;
  readonly status: string;
  readonly statusReason?: string;
  readonly static?: boolean;
  readonly location: { readonly start: Place; readonly end: Place };
}

/** Stryker's report, as far as it is read. */
export interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>;
}

/** Mutants of a file or folder by what became of them. */
export interface Tally {
  readonly killed: number;
  /** Of those that have not ended in time, which counts as noticed. */
  readonly timeouts: number;
  readonly survived: number;
  /** No test comes there. */
  readonly noCoverage: number;
  /** Evaluated when the file is loaded, so that a process that has loaded it cannot tell. */
  readonly static: number;
  /** Words that only people read. */
  readonly texts: number;
  /** The tests could not be run with it: no part of the score. */
  readonly unusable: number;
}

const NONE: Tally = {
  killed: 0,
  timeouts: 0,
  survived: 0,
  noCoverage: 0,
  static: 0,
  texts: 0,
  unusable: 0,
};

function kindOf({ status, statusReason = "" }: Mutant): keyof Tally {
  switch (status) {
    case "Killed":
      return "killed";
    case "Timeout":
      return "timeouts";
    case "Survived":
      return "survived";
    case "NoCoverage":
      return "noCoverage";
    case "Ignored":
      return /static/i.test(statusReason) ? "static" : "texts";
    default:
      return "unusable";
  }
}

/** Counts mutants. */
export function tallyOf(mutants: readonly Mutant[]): Tally {
  const count = { ...NONE };
  for (const mutant of mutants) count[kindOf(mutant)] += 1;
  return count;
}

/** Both counts together. */
export function sum(one: Tally, other: Tally): Tally {
  const total = { ...NONE };
  for (const kind of Object.keys(NONE) as (keyof Tally)[]) total[kind] = one[kind] + other[kind];
  return total;
}

/** Stryker's mutation score: the share that tests have noticed of all that could be noticed, percent; 100 for none. */
export function scoreOf({ killed, timeouts, survived, noCoverage }: Tally): number {
  const noticed = killed + timeouts;
  const all = noticed + survived + noCoverage;
  return all === 0 ? 100 : Math.round((noticed / all) * 1000) / 10;
}

/** Each file with its mutants counted. */
export function tallies({ files }: Report): ReadonlyMap<string, Tally> {
  return new Map(Object.entries(files).map(([file, { mutants }]) => [file, tallyOf(mutants)] as const));
}

/** The figures of a verdict on a folder. */
export function figuresOf(tally: Tally): Figures & Tally & { readonly score: number } {
  const { killed, timeouts, survived, noCoverage } = tally;
  return {
    count: killed + timeouts + survived + noCoverage,
    failed: survived + noCoverage,
    ...tally,
    score: scoreOf(tally),
    bound: `${LEAST_SCORE} % killed`,
  };
}

function textAt(source: string, { start, end }: Mutant["location"]): string {
  const lines = source.split("\n").slice(start.line - 1, end.line);
  const last = lines.length - 1;
  return lines
    .map((line, i) => line.slice(i === 0 ? start.column - 1 : 0, i === last ? end.column - 1 : undefined))
    .join(" ");
}

const shortened = (text: string): string => text.replace(/\s+/g, " ").slice(0, 90);

/** A line for each mutant that no test has noticed: where, which kind, what was there and what was put there. */
export function survivors({ files }: Report): readonly string[] {
  return Object.entries(files).flatMap(([file, { source, mutants }]) =>
    mutants
      .filter(({ status }) => status === "Survived" || status === "NoCoverage")
      .sort((a, b) => a.location.start.line - b.location.start.line)
      .map(mutant => {
        const { status, mutatorName, replacement = "", location } = mutant;
        const at = `${file}:${location.start.line}:${location.start.column}`;
        const change = `${shortened(textAt(source, location))} → ${shortened(replacement)}`;
        return `${at} ${mutatorName}${status === "NoCoverage" ? " (no test comes there)" : ""}: ${change}`;
      }),
  );
}
