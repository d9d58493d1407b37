import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

/** What opens an address on each system. */
const OPENERS: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  darwin: ["open"],
  win32: ["explorer"],
  linux: ["xdg-open"],
};

/**
 * Opens an address in the user's browser; where there is none, the printed address is for the user to open. The address is a secret, and
 * everybody on the machine may read what a program is called with: the browser is given a file that only the user can read, and
 * that leads there. Gives what takes the file away.
 */
export function openBrowser(url: string, opener = OPENERS[process.platform] ?? []): () => void {
  const [program, ...args] = opener;
  if (program === undefined) return () => undefined;
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-dashboard-"));
  const file = path.join(folder, "open.html");
  const text = `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=${url}"><a href="${url}">osm dashboard</a>\n`;
  writeFileSync(file, text, { mode: 0o600 });
  const child = spawn(program, [...args, pathToFileURL(file).href], { stdio: "ignore", detached: true });
  child.on("error", () => undefined);
  child.unref();
  return () => {
    rmSync(folder, { recursive: true, force: true });
  };
}
