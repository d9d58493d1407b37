/** A wall clock of its own for a process and what it starts, by libfaketime (Debian package `faketime`), which can be set while it runs. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";

/** How long the library keeps what it has read of the file, milliseconds. */
export const FAKED_TIME_LAG_MS = 1_000;

const FOLDERS = "/usr/lib";

function library(): string {
  const found = readdirSync(FOLDERS)
    .map(name => path.join(FOLDERS, name, "faketime", "libfaketimeMT.so.1"))
    .find(file => existsSync(file));
  if (found === undefined) throw new Error("libfaketime is not here: apt-get install faketime");
  return found;
}

/** The clock of the processes that are started with {@link FakedTime.env}. */
export class FakedTime {
  constructor(private readonly file: string) {
    this.set(0);
  }

  /** The environment of a process with that clock. Time that only passes stays as it is. Throws where the library is not installed. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: library(),
      FAKETIME_TIMESTAMP_FILE: this.file,
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      FAKETIME_CACHE_DURATION: String(FAKED_TIME_LAG_MS / 1_000),
    };
  }

  /** So many milliseconds before (negative) or after the true time, from {@link FAKED_TIME_LAG_MS} later on. */
  set(offsetMs: number): void {
    const seconds = Math.round(offsetMs / 1_000);
    writeFileSync(this.file, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}\n`);
  }
}
