import { stringify } from "yaml";

/** How results are written. */
export type Format = "table" | "json" | "yaml";

/** All of {@link Format}. */
export const FORMATS: readonly Format[] = ["table", "json", "yaml"];

/** Cells by row under their headings. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A table with aligned columns and three spaces between them, as kubectl prints it. No rows: the headings alone. */
export function tableText({ head, rows }: Table): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map(row => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("   ")
      .trimEnd();
  return all.map(line).join("\n");
}

/** Writes a command's result in the form the user asked for. */
export interface Output {
  readonly format: Format;
  /** Writes `value` as JSON or YAML, or what `human` makes of it: a table or lines. */
  show(value: unknown, human: () => Table | string): void;
}

function textOf(format: Format, value: unknown, human: () => Table | string): string {
  if (format === "json") return JSON.stringify(value, undefined, 2);
  if (format === "yaml") return stringify(value, { lineWidth: 0 }).trimEnd();
  const shown = human();
  return typeof shown === "string" ? shown : tableText(shown);
}

/** An {@link Output} that writes by `write`, whole lines. */
export function outputOf(format: Format, write: (text: string) => void): Output {
  return {
    format,
    show(value, human) {
      write(`${textOf(format, value, human)}\n`);
    },
  };
}
