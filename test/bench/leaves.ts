/**
 * What leaves cost: the built-in issuer signs for a herd of identities in one process, as a replica does when many proxies
 * come at once, while another timer on the same event loop watches how late it is. Beside it, in the same run: nothing but
 * what no issuer can leave out (a key and a signature by node:crypto), and OpenSSL's command, one process for each leaf.
 */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { systemClock } from "../../src/runtime/clock";
import { silentLog } from "../../src/runtime/log";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { createWorkloadSecrets, rootsOf } from "../../src/runtime/secrets/workload-secrets";
import { monotonic } from "./clock";
import { table } from "./report";

/** What is aimed at (I-13). */
const LEAST_PER_SECOND = 200;
const MOST_DELAY_MS = 50;
/** Certificates by OpenSSL's command: each is a process. */
const BY_COMMAND = 40;
/** How long doing nothing is measured. */
const IDLE_MS = 3_000;

/** Figures of one way to make leaves. */
export interface LeafFigures {
  readonly way: string;
  readonly leaves: number;
  readonly perSecond: number;
  /** Leaves per second of CPU time, which others on the machine do not change; undefined where it is not ours. */
  readonly perCpuSecond: number | undefined;
  /** Delay of the event loop, 99th percentile and longest; undefined where nothing else could run. */
  readonly delayP99Ms: number | undefined;
  readonly delayMaxMs: number | undefined;
}

/** CPU time of this process, seconds. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** What the machine does to a process that has nothing to do: the part of the delay that is not ours. */
async function idle(): Promise<LeafFigures> {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  await new Promise(resolve => setTimeout(resolve, IDLE_MS));
  delay.disable();
  return {
    way: "nothing at all",
    leaves: 0,
    perSecond: 0,
    perCpuSecond: undefined,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
  };
}

async function byIssuer(leaves: number): Promise<LeafFigures> {
  const root = createRoot(Date.now());
  const secrets = createWorkloadSecrets({
    roots: rootsOf(loadAuthority(root.certPem, root.keyPem)),
    trustDomain: "cluster.local",
    validityMs: 86_400_000,
    clock: systemClock,
    log: silentLog,
  });
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const [began, before] = [monotonic(), cpuSeconds()];
  for (let index = 0; index < leaves; index += 1)
    secrets.subscribe({ namespace: `ns-${index % 50}`, serviceAccount: `sa-${index}` }, () => undefined);
  while (secrets.issued < leaves) await new Promise(resolve => setTimeout(resolve, 5));
  const [seconds, cpu] = [(monotonic() - began) / 1_000, cpuSeconds() - before];
  delay.disable();
  secrets.stop();
  return {
    way: "issuer, a herd at once",
    leaves,
    perSecond: leaves / seconds,
    perCpuSecond: leaves / cpu,
    delayP99Ms: delay.percentile(99) / 1e6,
    delayMaxMs: delay.max / 1e6,
  };
}

function byRawSigning(leaves: number): LeafFigures {
  const issuer = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const bytes = Buffer.alloc(500, 7);
  const [began, before] = [monotonic(), cpuSeconds()];
  for (let index = 0; index < leaves; index += 1) {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    publicKey.export({ type: "spki", format: "der" });
    privateKey.export({ type: "pkcs8", format: "pem" });
    sign("sha256", bytes, issuer.privateKey);
  }
  const [seconds, cpu] = [(monotonic() - began) / 1_000, cpuSeconds() - before];
  const none = { delayP99Ms: undefined, delayMaxMs: undefined };
  return { way: "node:crypto, key and signature only", leaves, ...none, ...rates(leaves, seconds, cpu) };
}

function rates(leaves: number, seconds: number, cpu: number) {
  return { perSecond: leaves / seconds, perCpuSecond: leaves / cpu };
}

function byCommand(leaves: number): LeafFigures {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-bench-leaves-"));
  const openssl = (...args: readonly string[]): Buffer =>
    execFileSync("openssl", [...args], { cwd: folder, stdio: "pipe" });
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  try {
    openssl("req", "-x509", ...key, "-days", "2", "-subj", "/CN=root", "-keyout", "ca.key", "-out", "ca.pem");
    const began = monotonic();
    for (let index = 0; index < leaves; index += 1)
      openssl(
        ...["req", "-x509", ...key, "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "1", "-subj", "/O=mesh"],
        ...["-addext", `subjectAltName=URI:spiffe://cluster.local/ns/a/sa/sa-${index}`],
        ...["-keyout", "leaf.key", "-out", "leaf.pem"],
      );
    const perSecond = leaves / ((monotonic() - began) / 1_000);
    const none = { perCpuSecond: undefined, delayP99Ms: undefined, delayMaxMs: undefined };
    return { way: "openssl req -x509, a process each", leaves, perSecond, ...none };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A verdict in words: on leaves a second of one core, and on how long others wait. */
function judge(issuer: LeafFigures, raw: LeafFigures): string {
  const { perCpuSecond = 0, delayP99Ms = Infinity } = issuer;
  const ratio = perCpuSecond / (raw.perCpuSecond ?? Infinity);
  const good = perCpuSecond >= LEAST_PER_SECOND && delayP99Ms < MOST_DELAY_MS;
  return (
    `${good ? "good" : "NOT GOOD"}: ${perCpuSecond.toFixed(0)} leaves a second of one core ` +
    `(${LEAST_PER_SECOND} are aimed at), event-loop delay p99 ${delayP99Ms.toFixed(1)} ms (below ${MOST_DELAY_MS}); ` +
    `${ratio.toFixed(2)} of what node:crypto does with key and signature alone`
  );
}

/** Measures and prints; `leaves` for each way but OpenSSL's command. */
export async function benchLeaves(leaves = 2_000): Promise<readonly LeafFigures[]> {
  // Once unmeasured: what is compiled on first use is not what a leaf costs.
  await byIssuer(200);
  const rows = [await byIssuer(leaves), byRawSigning(leaves), byCommand(BY_COMMAND), await idle()];
  const [issuer, raw] = rows;
  const text = (value: number | undefined, digits: number): string => value?.toFixed(digits) ?? "";
  const head = ["leaves", "count", "a second", "a second of CPU", "delay p99 ms", "delay max ms"];
  const lines = rows.map(({ way, leaves: count, ...row }) => [
    way,
    `${count}`,
    text(row.perSecond, 0),
    text(row.perCpuSecond, 0),
    text(row.delayP99Ms, 1),
    text(row.delayMaxMs, 1),
  ]);
  process.stdout.write(`${table(head, lines)}\n`);
  if (issuer !== undefined && raw !== undefined) process.stdout.write(`${judge(issuer, raw)}\n\n`);
  return rows;
}
