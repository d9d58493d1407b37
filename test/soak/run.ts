/** A soak: proxies come and go and policies change, then it is quiet, and what is left in the control plane is read; again and again. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Facts, Resources } from "../../hack/control-plane/facts";
import { ControlPlaneProcesses, factsOf } from "../chaos/control-plane";
import { Crowd } from "../chaos/crowd";
import { ChaosObjects, createPod, type MeshPod } from "../chaos/objects";
import { PodTokens, type ApiPod } from "../support/pod-tokens";
import { verdict } from "../support/verdict";
import { trendOf, type Reading } from "./trend";

/** How a soak is made. */
export interface SoakOptions {
  /** After this no further cycle begins, milliseconds. */
  readonly forMs: number;
  /** Whether the process makes machine code, as in production. */
  readonly machineCode: boolean;
  /** Keep a snapshot of the heap after each cycle, for whoever looks for a leak. */
  readonly snapshots: boolean;
  readonly say: (line: string) => void;
}

/** Proxies that come, each second. */
const PER_SECOND = 5;
/** How long each stays, milliseconds. */
const STAY_MS = 3_000;
const CHURN_MS = 45_000;
/** Time for a snapshot to be written. */
const SNAPSHOT_MS = 20_000;
/** Longer than what outlives its cause on purpose: what proxies were given is kept for a minute, ports linger, connections idle. */
const QUIET_MS = 75_000;
/** Cycles in which code is compiled and pools are filled; what they leave is the baseline. */
const WARM_UP = 3;
const MEGABYTE = 1024 * 1024;
/**
 * Seen in snapshots: gRPC gives each connection an age of its own, half an hour and a bit, by a timer that keeps no process alive;
 * Node keeps the list of such a duration until it would be over, though the timer was cleared long before. So these are held for
 * each connection of that time, and no more than those: bytes, and milliseconds.
 */
const AGE = { bytes: 256, forMs: 33 * 60_000 } as const;
/** Growth of the heap that is accepted, MiB in an hour. */
const SLOPE_BOUND = 1;
/** Watches and pooled connections to the API server come and go by themselves. */
const SLACK = 8;

/** Machine code, and what the interpreter notes for it, come for hours, as more and more functions are found to be hot: they would hide what is kept. */
const NO_MACHINE_CODE = ["--no-opt", "--no-sparkplug"];
/** Growth is judged from here on, as a share of the readings after the warm-up: code is compiled and pools are filled before. */
const JUDGED_FROM = 1 / 3;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

const FIXED: readonly MeshPod[] = [
  ...["buyer", "guest", "thief"].map((name, index) => ({
    name,
    identity: { namespace: "web", serviceAccount: name },
    ip: `10.100.1.${index + 1}`,
  })),
  ...["store-0", "store-1"].map((name, index) => ({
    name,
    identity: { namespace: "shop", serviceAccount: "store" },
    ip: `10.100.2.${index + 1}`,
    app: "store",
  })),
  { name: "stays", identity: { namespace: "crowd", serviceAccount: "one-0" }, ip: "10.100.3.1" },
];

interface Parts {
  readonly api: PodTokens;
  readonly objects: ChaosObjects;
  readonly plane: ControlPlaneProcesses;
  readonly crowd: Crowd;
}

/** One soak. */
class Soak {
  private proxies = 0;
  /** When each proxy connected. */
  private readonly connectedAt: number[] = [];
  private changes = 0;
  private readonly heap: Reading[] = [];
  private baseline: Resources | undefined;

  constructor(
    private readonly parts: Parts,
    private readonly options: SoakOptions,
  ) {}

  async run(): Promise<readonly string[]> {
    const [replica] = this.parts.plane.replicas;
    if (replica === undefined) throw new Error("no control plane");
    this.join(FIXED.map(({ name }) => this.parts.objects.pod(name)));
    const end = Date.now() + this.options.forMs;
    let facts: Facts | undefined;
    for (let cycle = 0; Date.now() < end || cycle <= WARM_UP + 2; cycle += 1) {
      await this.churn();
      await pause(QUIET_MS);
      facts = await factsOf(replica);
      this.read(cycle, facts.resources);
      if (!this.options.snapshots) continue;
      process.kill(replica.pid, "SIGUSR2");
      await pause(SNAPSHOT_MS);
    }
    return facts === undefined ? ["nothing was read"] : this.conclude(facts);
  }

  private join(pods: readonly ApiPod[]): void {
    const port = this.parts.plane.replicas[0]?.adsPort ?? 0;
    const members = pods.map(pod => ({
      name: pod.name,
      token: this.parts.api.forge(this.parts.api.claims(pod)),
    }));
    this.parts.crowd.join({ address: `127.0.0.1:${port}`, root: this.parts.plane.root, members });
  }

  private async churn(): Promise<void> {
    const end = Date.now() + CHURN_MS;
    const visits: Promise<void>[] = [];
    const policies = this.policies(end);
    while (Date.now() < end) {
      visits.push(this.visit(this.proxies++));
      await pause(1000 / PER_SECOND);
    }
    await Promise.all([...visits, policies]);
  }

  /** A pod appears, its proxy connects, and both go. */
  private async visit(index: number): Promise<void> {
    const identity = { namespace: "crowd", serviceAccount: `one-${index % 4}` };
    const ip = `10.101.${Math.floor(index / 250) % 250}.${(index % 250) + 1}`;
    const pod = await createPod(this.parts.api, { name: `guest-${index}`, identity, ip });
    this.join([pod]);
    this.connectedAt.push(Date.now());
    await pause(STAY_MS);
    this.parts.crowd.leave([pod.name]);
    await this.parts.api.remove(pod);
  }

  /** A change each second; every one is undone at the end, so that each cycle ends as it began. */
  private async policies(end: number): Promise<void> {
    const { objects } = this.parts;
    const turns = [
      () => objects.turnGrant(),
      () => objects.turnBadPatterns(),
      () => objects.turnConflict(),
      () => objects.turnMode(),
    ];
    let turn = 0;
    while (Date.now() < end || turn % (2 * turns.length) !== 0) {
      await turns[turn % turns.length]?.();
      await objects.turnLimit();
      turn += 1;
      this.changes += 2;
      await pause(1000);
    }
  }

  private read(cycle: number, resources: Resources): void {
    if (cycle === WARM_UP) this.baseline = resources;
    const now = Date.now();
    const aged = this.connectedAt.filter(at => at > now - AGE.forMs).length * AGE.bytes;
    if (cycle >= WARM_UP) this.heap.push({ at: now, value: (resources.heapBytes - aged) / MEGABYTE });
    const { fileDescriptors, active, entries, residentBytes, heapBytes, codeBytes } = resources;
    const megabytes = `heap ${(heapBytes / MEGABYTE).toFixed(2)} MiB (code ${(codeBytes / MEGABYTE).toFixed(2)}), resident ${Math.round(residentBytes / MEGABYTE)} MiB`;
    this.options.say(
      `cycle ${cycle}: ${this.proxies} proxies, ${this.changes} changes; ${megabytes}, ${fileDescriptors} files, ${JSON.stringify(active)}, ${JSON.stringify(entries)}`,
    );
  }

  private conclude({ resources, refusals }: Facts): readonly string[] {
    const findings: string[] = refusals.map(refusal => `refused by a proxy: ${refusal}`);
    const judged = this.heap.slice(Math.floor(this.heap.length * JUDGED_FROM));
    const { perHour, noise } = trendOf(judged);
    const grows = perHour - 2 * noise > SLOPE_BOUND;
    if (grows)
      findings.push(`the heap grows by ${perHour.toFixed(2)} ± ${(2 * noise).toFixed(2)} MiB an hour`);
    const how = this.options.machineCode ? "with" : "without";
    verdict(`soak: heap after collection, ${how} machine code`, !grows && Number.isFinite(noise), {
      count: this.proxies,
      bound: `${SLOPE_BOUND} MiB an hour beside ${AGE.bytes} bytes a connection for half an hour; seen ${perHour.toFixed(2)} ± ${(2 * noise).toFixed(2)} (two standard errors of the last ${judged.length} of ${this.heap.length} readings)`,
    });
    const left = this.leftOver(resources);
    verdict("soak: files, handles, timers and maps are back at their baseline", left.length === 0, {
      count: this.changes,
      failed: left.length,
      bound: `maps as before, files and handles within ${SLACK}`,
    });
    return [...findings, ...left];
  }

  private leftOver(resources: Resources): readonly string[] {
    const before = this.baseline;
    if (before === undefined) return ["there is no baseline"];
    const exact = Object.entries(resources.entries).map(
      ([name, value]) => [name, before.entries[name] ?? 0, value, 0] as const,
    );
    const near = Object.entries(resources.active).map(
      ([name, value]) => [name, before.active[name] ?? 0, value, SLACK] as const,
    );
    const files = ["files", before.fileDescriptors, resources.fileDescriptors, SLACK] as const;
    return [...exact, ...near, files]
      .filter(([, was, is, slack]) => is > was + slack)
      .map(([name, was, is]) => `${name}: ${is}, were ${was}`);
  }
}

/** Makes a soak; what has grown stands in the answer. */
export async function runSoak(options: SoakOptions): Promise<readonly string[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-soak-"));
  const ended: string[] = [];
  const api = await PodTokens.start();
  const closing: (() => void | Promise<void>)[] = [() => api.stop()];
  try {
    const objects = await ChaosObjects.fill(api, FIXED);
    const onFinding = (text: string): void => void ended.push(text);
    const node = options.machineCode ? [] : NO_MACHINE_CODE;
    const plane = await ControlPlaneProcesses.start(api.server, 1, { folder, onFinding, node });
    closing.push(() => plane.stop());
    const crowd = Crowd.start();
    closing.push(() => crowd.stop());
    const left = await new Soak({ api, objects, plane, crowd }, options).run();
    return [...ended, ...left];
  } finally {
    for (const close of closing.reverse()) await close();
    if (options.snapshots) options.say(`snapshots: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}
