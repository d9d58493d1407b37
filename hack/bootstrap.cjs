"use strict";
/*
 * First step of `npm test` and `npm run demo`, in plain Node because a fresh clone has no dependencies yet: says what is
 * needed, installs the packages that package-lock.json names where they are missing or of another version, makes the
 * generated sources, and hands over.
 */
const { spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.resolve(__dirname, "..");
const began = Date.now();

const COMMANDS = {
  test: {
    entry: "hack/ladder.ts",
    needs:
      "needs: root on Linux with Debian packages, Node 20.19 or newer, Go 1.21 or newer, 6 GB of disk, 4 GB of memory; " +
      "takes up to 60 minutes the first time, about 25 minutes later",
  },
  demo: {
    entry: "hack/demo/main.ts",
    needs:
      "needs: root on Linux with Debian packages, Node 20.19 or newer, Go 1.21 or newer, 6 GB of disk, 4 GB of memory; " +
      "takes about 20 minutes the first time, 5 later",
  },
};

function say(line) {
  const seconds = ((Date.now() - began) / 1000).toFixed(1).padStart(6);
  process.stderr.write(`[${seconds} s] ${line}\n`);
}

function nodeIsNewEnough(version) {
  const [major, minor] = version.split(".").map(Number);
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22;
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(path.join(root, file), "utf8"));
  } catch {
    return undefined;
  }
}

/** First package whose installed version is not the locked one, or undefined when all are as locked. */
function firstStale() {
  const locked = readJson("package-lock.json");
  const installed = readJson("node_modules/.package-lock.json");
  if (installed === undefined) return "node_modules";
  for (const [place, wanted] of Object.entries(locked.packages)) {
    if (place === "" || wanted.optional || wanted.devOptional || wanted.link) continue;
    if (installed.packages[place]?.version !== wanted.version) return place;
    if (!fs.existsSync(path.join(root, place, "package.json"))) return place;
  }
  return undefined;
}

/** Whether Envoy's types are those that the committed descriptors give; a `git pull` may have brought others. */
function typesAreCurrent() {
  const options = { cwd: root, stdio: "ignore" };
  return spawnSync("npm", ["run", "-s", "gen", "--", "--check"], options).status === 0;
}

/** Runs a command in the repository with its output shown; ends this process when it fails. */
function mustRun(title, command, args) {
  say(`${title} …`);
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (result.status !== 0) {
    say(`${title}: FAILED; look at the lines above, then try "${command} ${args.join(" ")}" by hand`);
    process.exit(1);
  }
}

function main(name, args) {
  const command = COMMANDS[name];
  if (command === undefined) {
    process.stderr.write(`usage: node hack/bootstrap.cjs ${Object.keys(COMMANDS).join("|")} [arguments]\n`);
    process.exit(2);
  }
  say(`${name} ${command.needs}`);
  if (!nodeIsNewEnough(process.versions.node)) {
    say(`this is Node ${process.versions.node}: install 20.19, 22.12 or newer`);
    process.exit(1);
  }
  const stale = firstStale();
  if (stale !== undefined) {
    say(`installing packages, because ${stale} is missing or not as locked`);
    mustRun("npm ci", "npm", ["ci", "--include=dev"]);
  }
  if (!typesAreCurrent()) {
    mustRun("generating Envoy's types", "npm", ["run", "-s", "gen"]);
  }
  const tsx = ["--import", "tsx", path.join(root, command.entry), ...args];
  const child = spawn(process.execPath, tsx, { cwd: root, stdio: "inherit" });
  // Ctrl-C reaches the child by itself; this process waits for its cleaning up. Other signals are passed on.
  process.on("SIGINT", () => undefined);
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  // A signal that ended the command must not look like success.
  child.on("exit", code => process.exit(code ?? 1));
}

main(process.argv[2], process.argv.slice(3));
