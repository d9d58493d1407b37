import { Writable } from "node:stream";
import type { Clock } from "../ports";

/** Between two tries to say that lines were lost, while nothing else is logged, milliseconds. */
export const TELL_EVERY_MS = 5_000;

/** What {@link lossyOutput} works with. */
export interface OutputOptions {
  /** Where lines go. */
  readonly stream: Writable;
  readonly clock: Pick<Clock, "setTimeout">;
  /** The line, without its end, that says how many were lost. */
  readonly lostLine: (lost: number) => string;
}

/**
 * Takes lines for an output that may not take them: on a full disk or into a closed pipe a line is lost and the process lives.
 * As soon as lines are taken again one says how many were lost: before the next line, or by itself within five seconds.
 */
export function lossyOutput({ stream, clock, lostLine }: OutputOptions): Writable {
  let lost = 0;
  let waiting = false;
  stream.on("error", () => undefined);
  const missed = (lines: number): void => {
    lost += lines;
    if (waiting) return;
    waiting = true;
    const timer = clock.setTimeout(() => {
      waiting = false;
      if (lost > 0) tell();
    }, TELL_EVERY_MS);
    timer.unref?.();
  };
  const send = (text: string, lines: number): void => {
    stream.write(text, error => {
      if (error) missed(lines);
    });
  };
  const tell = (): void => {
    const told = lost;
    lost = 0;
    // On a line of its own: of the last one before the disk was full a part may have been written, and no end of line.
    send(`\n${lostLine(told)}\n`, told);
  };
  return new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      if (lost > 0) tell();
      send(line, 1);
      done();
    },
  });
}
