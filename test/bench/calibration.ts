/** What this machine does at this moment: the measure that figures are compared by, so that another machine or hour counts for little. */
import { createHash } from "node:crypto";
import { ADS_SAN } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { issueServing, loadAuthority, createRoot } from "../../src/runtime/secrets/authority";
import { endChild, firstAnswer, startBundle } from "./child";
import { monotonic } from "./clock";
import type { Fleet } from "./fleet";
import type { FloorStarted, ToFloor } from "./floor";
import { median } from "./report";
import { cpuSeconds } from "./usage";

/** One calibration. */
export interface Calibration {
  /** CPU seconds of a fixed piece of work: parsing, printing and hashing. */
  readonly workSeconds: number;
  readonly streams: number;
  /** One send of 1 KB to every stream over TLS with its acknowledgement, by a server that does nothing else. */
  readonly floorCpuSeconds: number;
  readonly floorLastMs: number;
  /** Connecting all of them. */
  readonly connectCpuSeconds: number;
  readonly connectMs: number;
}

const ROUNDS = 7;
const DAY_MS = 86_400_000;

/** Parses, prints and hashes; CPU seconds. */
function fixedWork(): number {
  const before = process.cpuUsage();
  const text = JSON.stringify(
    Array.from({ length: 500 }, (_, i) => ({ name: `s${i}`, ports: [80, 443], at: i })),
  );
  const hash = createHash("sha256");
  for (let round = 0; round < 1_500; round += 1) hash.update(JSON.stringify(JSON.parse(text)));
  hash.digest();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Measures the floor with a fleet that has no proxies, and leaves it so. */
export async function calibrate(program: string, fleet: Fleet, streams: number): Promise<Calibration> {
  fixedWork();
  const workSeconds = fixedWork();
  const { certPem, keyPem } = createRoot(Date.now());
  const lifetime = { now: Date.now(), validityMs: DAY_MS };
  const pair = issueServing(loadAuthority(certPem, keyPem), [ADS_SAN], lifetime);
  const child = startBundle(program);
  const tell = (message: ToFloor): void => void child.send(message);
  const start: ToFloor = { kind: "start", certPem: pair.certPem, keyPem: pair.keyPem };
  const { port } = await firstAnswer<FloorStarted>(child, start);
  const used = (): number => cpuSeconds(child.pid ?? 0);
  const [began, before] = [monotonic(), used()];
  const target = { address: `127.0.0.1:${port}`, root: certPem, serverName: ADS_SAN };
  const connected = await fleet.connect(
    target,
    Array.from({ length: streams }, () => ""),
    streams,
    true,
  );
  const connect = { cpu: used() - before, ms: connected - began };
  const costs: { cpu: number; ms: number }[] = [];
  for (let round = -1; round < ROUNDS; round += 1) {
    await fleet.quiet(200);
    const { arrival } = await fleet.expect([{ type: TYPE_URLS.endpoint, name: "floor" }]);
    const [at, cpu] = [monotonic(), used()];
    tell({ kind: "send", bytes: 1_000 });
    const { last } = await arrival;
    await fleet.quiet(50);
    if (round >= 0) costs.push({ cpu: used() - cpu, ms: last - at });
  }
  await fleet.disconnect();
  await endChild(child);
  return {
    workSeconds,
    streams,
    floorCpuSeconds: median(costs.map(c => c.cpu)),
    floorLastMs: median(costs.map(c => c.ms)),
    connectCpuSeconds: connect.cpu,
    connectMs: connect.ms,
  };
}
