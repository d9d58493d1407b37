/**
 * What a change costs the control plane with 100, 500 and 1,000 proxies: a real API server, the product's informers,
 * engine and ADS in one process, simulated proxies over real gRPC and TLS in others. `npm run bench`; sizes by
 * `OSM_BENCH_SIZES=100,500`. What leaves cost comes first, and with `npm run bench -- leaves` alone. Prints tables and leaves a JSON file in the cache folder.
 */
import { fork, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pepr } from "../../package.json";
import { TYPE_URLS } from "../../src/xds/resource";
import { benchLeaves } from "./leaves";
import { BenchMesh, PODS_PER_SERVICE } from "./mesh";
import { BenchPolicy } from "./policy";
import {
  monotonic,
  type ControllerStats,
  type FromController,
  type FromFleet,
  type ToController,
  type ToFleet,
} from "./protocol";
import { exponent, median, table } from "./report";

const FLEETS = 2;
const ROUND_TIMEOUT_MS = 60_000;
const SIZES = (process.env["OSM_BENCH_SIZES"] ?? "100,500,1000").split(",").map(Number);

/** A child process with typed messages. */
class Child<To extends object, From extends { readonly kind: string }> {
  readonly process: ChildProcess;

  constructor(file: string) {
    // The C library's settings are part of what is measured: they are those of the pods.
    const env = { ...process.env, ...pepr.env };
    this.process = fork(path.join(__dirname, file), [], { execArgv: ["--import", "tsx"], env });
    this.process.setMaxListeners(0);
  }

  /** Sends a message and waits for an answer of that kind. */
  ask<K extends From["kind"]>(message: To | undefined, kind: K): Promise<Extract<From, { kind: K }>> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no ${kind} within ${ROUND_TIMEOUT_MS * 3} ms`));
      }, ROUND_TIMEOUT_MS * 3);
      const listen = (answer: From): void => {
        if (answer.kind !== kind) return;
        clearTimeout(timer);
        this.process.off("message", listen);
        resolve(answer as Extract<From, { kind: K }>);
      };
      this.process.on("message", listen);
      this.process.once("exit", code => {
        reject(new Error(`a process of the benchmark ended (${String(code)})`));
      });
      if (message !== undefined) this.process.send(message);
    });
  }
}

/** What one change cost. */
interface Cost {
  readonly firstMs: number;
  readonly lastMs: number;
  readonly cpuSeconds: number;
  readonly bytes: number;
  readonly encodes: number;
}

/** All figures of one size. */
interface Row {
  readonly change: string;
  readonly proxies: number;
  readonly services: number;
  readonly rssMegabytes: number;
  readonly median: Cost;
  readonly rounds: readonly Cost[];
}

/** A change, how often it is made, and who has to acknowledge what. */
interface Change {
  readonly change: string;
  readonly rounds: number;
  readonly typeUrl: string;
  /** How many proxies it concerns, all of them of the first fleet. Absent: all there are. */
  readonly affected?: number;
  readonly write: (mesh: BenchMesh, policy: BenchPolicy, round: number) => Promise<void>;
}

const CHANGES: readonly Change[] = [
  {
    change: "endpoint",
    rounds: 8,
    typeUrl: TYPE_URLS.endpoint,
    write: (mesh, _policy, round) => mesh.changeEndpoint(round),
  },
  { change: "new service", rounds: 4, typeUrl: TYPE_URLS.route, write: mesh => mesh.newService() },
  { change: "MeshConfig", rounds: 4, typeUrl: TYPE_URLS.listener, write: mesh => mesh.changeMeshConfig() },
];

const affected = PODS_PER_SERVICE;
/** Changes of policy, made while the mesh denies what no policy allows. */
const POLICY_CHANGES: readonly Change[] = [
  {
    change: `TrafficTarget (of ${affected})`,
    rounds: 4,
    typeUrl: TYPE_URLS.route,
    affected,
    write: (_mesh, policy) => policy.changeTarget(),
  },
  {
    change: `HTTPRouteGroup (of ${affected})`,
    rounds: 4,
    typeUrl: TYPE_URLS.route,
    affected,
    write: (_mesh, policy) => policy.changeGroup(),
  },
  {
    change: "split weight",
    rounds: 4,
    typeUrl: TYPE_URLS.route,
    write: (_mesh, policy) => policy.changeWeight(),
  },
];

class Bench {
  readonly controller = new Child<ToController, FromController>("controller.ts");
  readonly fleets = Array.from({ length: FLEETS }, () => new Child<ToFleet, FromFleet>("fleet.ts"));
  private connected = 0;
  private address = "";
  private root = "";

  private readonly policy: BenchPolicy;

  constructor(private readonly mesh: BenchMesh) {
    this.policy = new BenchPolicy(mesh);
  }

  async start(): Promise<void> {
    const { server } = this.mesh.api;
    const message = {
      kind: "start",
      server: `https://127.0.0.1:${server.port}`,
      ca: server.ca,
      token: server.token,
    } as const;
    const { port, root } = await this.controller.ask(message, "started");
    this.address = `127.0.0.1:${port}`;
    this.root = root;
  }

  async stats(): Promise<ControllerStats> {
    return (await this.controller.ask({ kind: "stats" }, "stats")).stats;
  }

  /** Waits until the control plane has done what it has to do. */
  async quiet(check: (stats: ControllerStats) => boolean): Promise<ControllerStats> {
    const deadline = monotonic() + ROUND_TIMEOUT_MS;
    for (;;) {
      const stats = await this.stats();
      if (check(stats)) return stats;
      if (monotonic() > deadline)
        throw new Error(`the control plane does not settle: ${JSON.stringify(stats)}`);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }

  /** Brings the mesh and the fleet to `size`; returns how long connecting took and what it cost. */
  async grow(
    size: number,
  ): Promise<{ readonly seconds: number; readonly cpuSeconds: number; readonly rssMegabytes: number }> {
    await this.mesh.growTo(size);
    await this.quiet(stats => stats.pods === size);
    const tokens = this.mesh.tokens(this.connected, size);
    const before = await this.stats();
    const start = monotonic();
    const share = Math.ceil(tokens.length / FLEETS);
    const { address, root } = this;
    await Promise.all(
      this.fleets.map((fleet, i) =>
        fleet.ask(
          { kind: "connect", address, root, tokens: tokens.slice(i * share, (i + 1) * share) },
          "configured",
        ),
      ),
    );
    const seconds = (monotonic() - start) / 1000;
    this.connected = size;
    const after = await this.quiet(stats => stats.synced === size);
    return { seconds, cpuSeconds: after.cpuSeconds - before.cpuSeconds, rssMegabytes: after.rssMegabytes };
  }

  async shrinkTo(size: number): Promise<void> {
    await Promise.all(this.fleets.map(fleet => fleet.ask({ kind: "keep", proxies: size / FLEETS }, "kept")));
    this.connected = size;
    await this.quiet(stats => stats.streams === size && stats.synced === size);
  }

  /** `proxies`: see {@link Change.affected}. Pods of the first Services are in the first fleet, whatever the size. */
  async cost(typeUrl: string, write: () => Promise<void>, proxies?: number): Promise<Cost> {
    const fleets = proxies === undefined ? this.fleets : this.fleets.slice(0, 1);
    const expect = { kind: "expect", typeUrl, ...(proxies === undefined ? {} : { proxies }) } as const;
    await Promise.all(fleets.map(fleet => fleet.ask(expect, "armed")));
    const before = await this.stats();
    const answers = fleets.map(fleet => fleet.ask(undefined, "done"));
    const start = monotonic();
    await write();
    const done = await Promise.all(answers);
    const after = await this.quiet(stats => stats.synced === this.connected);
    return {
      firstMs: Math.min(...done.map(d => d.first)) - start,
      lastMs: Math.max(...done.map(d => d.last)) - start,
      cpuSeconds: after.cpuSeconds - before.cpuSeconds,
      bytes: after.bytes - before.bytes,
      encodes: after.encodes - before.encodes,
    };
  }

  /** Everything, and then changes of policy while the mesh denies. */
  async measureAll(): Promise<Row[]> {
    const rows = await this.measure(CHANGES);
    await this.policy.grow();
    await this.cost(TYPE_URLS.listener, () => this.policy.deny(true));
    rows.push(...(await this.measure(POLICY_CHANGES)));
    await this.cost(TYPE_URLS.listener, () => this.policy.deny(false));
    return rows;
  }

  async measure(changes: readonly Change[]): Promise<Row[]> {
    const rows: Row[] = [];
    for (const { change, rounds, typeUrl, affected: proxies, write } of changes) {
      const costs: Cost[] = [];
      for (let round = 0; round < rounds; round += 1)
        costs.push(await this.cost(typeUrl, () => write(this.mesh, this.policy, round), proxies));
      const of = (pick: (cost: Cost) => number): number => median(costs.map(pick));
      const { rssMegabytes } = await this.stats();
      const middle = {
        firstMs: of(c => c.firstMs),
        lastMs: of(c => c.lastMs),
        cpuSeconds: of(c => c.cpuSeconds),
        bytes: of(c => c.bytes),
        encodes: of(c => c.encodes),
      };
      const services = this.mesh.pods.length / PODS_PER_SERVICE;
      rows.push({ change, proxies: this.connected, services, rssMegabytes, median: middle, rounds: costs });
    }
    return rows;
  }

  stop(): void {
    for (const child of [this.controller, ...this.fleets]) child.process.disconnect();
  }
}

function print(rows: readonly Row[]): void {
  const lines = rows.map(({ change, proxies, services, rssMegabytes, median: m }) => [
    change,
    `${proxies}`,
    `${services}`,
    m.firstMs.toFixed(0),
    m.lastMs.toFixed(0),
    m.cpuSeconds.toFixed(3),
    (m.bytes / 1024).toFixed(0),
    `${m.encodes}`,
    rssMegabytes.toFixed(0),
  ]);
  process.stdout.write(
    table(
      [
        "change",
        "proxies",
        "services",
        "first ACK ms",
        "last ACK ms",
        "CPU s",
        "KiB sent",
        "encoded",
        "RSS MB",
      ],
      lines,
    ),
  );
}

function printGrowth(rows: readonly Row[], small: readonly Row[]): void {
  const lines = [...CHANGES, ...POLICY_CHANGES].map(({ change }) => {
    const of = (pick: (cost: Cost) => number): string =>
      exponent(rows.filter(row => row.change === change).map(row => [row.proxies, pick(row.median)])).toFixed(
        2,
      );
    return [change, of(c => c.lastMs), of(c => c.cpuSeconds), of(c => c.bytes), of(c => c.encodes)];
  });
  process.stdout.write(
    "\nGrowth exponent with the number of proxies (all affected unless a number is given; 1.00 is proportional):\n",
  );
  process.stdout.write(table(["change", "last ACK", "CPU", "bytes", "encoded"], lines));
  const first = rows.find(row => row.change === "endpoint");
  for (const row of small) {
    if (first === undefined || row.services <= first.services) continue;
    const growth = exponent([
      [first.services, first.median.cpuSeconds],
      [row.services, row.median.cpuSeconds],
    ]);
    process.stdout.write(
      `\n${row.proxies} proxies, one endpoint, mesh of ${row.services} instead of ${first.services} services: ` +
        `${row.median.cpuSeconds.toFixed(3)} s instead of ${first.median.cpuSeconds.toFixed(3)} s CPU, growth exponent with mesh size ${growth.toFixed(2)}\n`,
    );
  }
}

async function main(): Promise<void> {
  const leaves = await benchLeaves();
  if (process.argv.includes("leaves")) return;
  const mesh = await BenchMesh.start();
  const bench = new Bench(mesh);
  const rows: Row[] = [];
  const connects: object[] = [];
  try {
    await bench.start();
    for (const size of SIZES) {
      const connect = await bench.grow(size);
      connects.push({ size, ...connect });
      process.stdout.write(
        `${size} proxies configured in ${connect.seconds.toFixed(1)} s, ${connect.cpuSeconds.toFixed(1)} s CPU, ${connect.rssMegabytes.toFixed(0)} MB\n`,
      );
      const measured = await bench.measureAll();
      print(measured);
      rows.push(...measured);
    }
    const [smallest = 0] = SIZES;
    await bench.shrinkTo(smallest);
    const small = await bench.measure(CHANGES.slice(0, 1));
    process.stdout.write("\n");
    print(rows);
    printGrowth(rows, small);
    const folder = path.join(process.env["OSM_CACHE"] ?? path.join(os.homedir(), ".cache/osm-pepr"), "bench");
    mkdirSync(folder, { recursive: true });
    const file = path.join(folder, "control-plane.json");
    writeFileSync(
      file,
      JSON.stringify(
        { machine: { cpus: os.cpus().length, load: os.loadavg() }, connects, rows, small, leaves },
        null,
        2,
      ),
    );
    process.stdout.write(`\nAll figures: ${file}\n`);
  } finally {
    bench.stop();
    await mesh.api.stop();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exitCode = 1;
});
