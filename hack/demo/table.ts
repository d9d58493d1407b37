import { numberOf, type Reading } from "./counters";

const WIDTHS = [15, 24, 8, 8, 8, 8];

function row(cells: readonly (string | number)[]): string {
  return cells
    .map((cell, column) => {
      const text = String(cell);
      const width = WIDTHS[column] ?? 8;
      return column < 2 ? text.padEnd(width) : text.padStart(width);
    })
    .join("")
    .trimEnd();
}

function shopper(reading: Reading, name: string, what: string, counter: string): string {
  if (reading[name] === undefined) return row([name, what, "–", "–", "–", "–"]);
  const of = (key: string): number => numberOf(reading, name, key);
  return row([name, what, of(`${counter}V1`), of(`${counter}V2`), of(counter), of("failed")]);
}

function program(reading: Reading, name: string, what: string, [total, failed]: [string, string]): string {
  if (reading[name] === undefined) return row([name, what, "", "", "–", "–"]);
  return row([name, what, "", "", numberOf(reading, name, total), numberOf(reading, name, failed)]);
}

/** The counters as a table of seven lines; a dash stands for a program that does not answer (yet). */
export function tableLines(reading: Reading): string[] {
  const outside = (key: string): number => numberOf(reading, "bookbuyer", key);
  return [
    row(["program", "counts", "v1", "v2", "total", "failed"]),
    shopper(reading, "bookbuyer", "books bought", "booksBought"),
    shopper(reading, "bookthief", "books stolen", "booksStolen"),
    program(reading, "bookstore-v1", "books sold", ["booksSold", "restockFailures"]),
    program(reading, "bookstore-v2", "books sold", ["booksSold", "restockFailures"]),
    program(reading, "bookwarehouse", "restocked (in database)", ["booksRestocked", "failures"]),
    row([
      "bookbuyer",
      "calls out of the mesh",
      "",
      "",
      outside("outsideAnswered"),
      outside("outsideRefused"),
    ]),
  ];
}

/** The same on one line, for output that is no terminal. */
export function tableLine(reading: Reading): string {
  const of = (program: string, name: string): number => numberOf(reading, program, name);
  const books = (program: string, name: string): string =>
    `${of(program, name)} (v1 ${of(program, `${name}V1`)}, v2 ${of(program, `${name}V2`)})`;
  return [
    `bought ${books("bookbuyer", "booksBought")}`,
    `stolen ${books("bookthief", "booksStolen")}`,
    `restocked ${of("bookwarehouse", "booksRestocked")}`,
    `out of the mesh ${of("bookbuyer", "outsideAnswered")} answered, ${of("bookbuyer", "outsideRefused")} refused`,
  ].join(" · ");
}
