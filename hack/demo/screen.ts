import type { Writable } from "node:stream";
import type { Reading } from "./counters";
import { tableLine, tableLines } from "./table";

/** Milliseconds between two lines of counters where the output is no terminal. */
const PLAIN_EVERY_MS = 5_000;

/** Where a screen writes, and whether it can be redrawn. */
export interface ScreenPlace {
  readonly out: Writable;
  readonly isTerminal: boolean;
  /** Milliseconds since whenever. */
  readonly now: () => number;
}

/** Lines that stay, and on a terminal a table of counters that is redrawn below them. */
export class Screen {
  private readonly began: number;
  private drawn = 0;
  private lastPlain = Number.NEGATIVE_INFINITY;
  private reading: Reading | undefined;

  public constructor(private readonly place: ScreenPlace) {
    this.began = place.now();
  }

  /** Time since the beginning, e.g. ` 12.3 s`. */
  public elapsed(): string {
    return `${((this.place.now() - this.began) / 1000).toFixed(1)} s`;
  }

  /** Writes a line that stays. */
  public line(text: string): void {
    this.erase();
    this.place.out.write(`${text}\n`);
    this.draw();
  }

  /** Writes a line with the elapsed time before it. */
  public say(text: string): void {
    this.line(`[${this.elapsed().padStart(8)}] ${text}`);
  }

  /** Announces a step of the story. */
  public title(text: string): void {
    this.line("");
    this.say(`== ${text}`);
  }

  /** Shows new counters: redraws the table, or writes a line every five seconds. */
  public show(reading: Reading): void {
    this.reading = reading;
    if (this.place.isTerminal) {
      this.erase();
      this.draw();
      return;
    }
    if (this.place.now() - this.lastPlain < PLAIN_EVERY_MS) return;
    this.lastPlain = this.place.now();
    this.say(tableLine(reading));
  }

  /** Leaves the table where it is and stops redrawing it. */
  public release(): void {
    this.reading = undefined;
    this.drawn = 0;
  }

  private draw(): void {
    if (!this.place.isTerminal || this.reading === undefined) return;
    const lines = tableLines(this.reading);
    this.place.out.write(lines.map(each => `  ${each}\n`).join(""));
    this.drawn = lines.length;
  }

  /** Moves the cursor up over the table and clears to the end of the screen. */
  private erase(): void {
    if (this.drawn > 0) this.place.out.write(`\u001b[${this.drawn}A\u001b[0J`);
    this.drawn = 0;
  }
}
