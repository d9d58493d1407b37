/** A control plane under measurement with its fleet. */
import type { ChildProcess } from "node:child_process";
import { ADS_SAN } from "../../src/model/mesh-words";
import { endChild } from "./child";
import { monotonic, pause } from "./clock";
import type { ReplicaStarted } from "./controller";
import type { Condition, Fleet } from "./fleet";
import type { BenchMesh } from "./mesh";
import type { StartPlane } from "./plane";
import { cpuSeconds, residentMemory, type Memory } from "./usage";

/** What a change cost. */
export interface Cost {
  /** From the return of the deciding write to the first and the last acknowledgement of what was waited for. */
  readonly firstMs: number;
  readonly lastMs: number;
  /** CPU of the control plane, what it uses without any change taken off. */
  readonly cpuSeconds: number;
  /** To all proxies, and in how many responses. */
  readonly bytes: number;
  readonly responses: number;
  /** Proxies that were told anything. */
  readonly told: number;
  /** Proxies whose configuration the change concerns. */
  readonly concerned: number;
}

/** A change to be measured. */
export interface Change {
  /** Made before, unmeasured. */
  readonly prepare?: () => Promise<void>;
  readonly conditions: readonly Condition[];
  /** Proxies concerned. */
  readonly concerned: number;
  /** Resolves when the deciding write has returned. */
  readonly write: () => Promise<void>;
  /** Made afterwards, unmeasured. */
  readonly undo?: () => Promise<void>;
}

/** Nothing has come for that long: a change is over. */
const QUIET_MS = 250;
/** How long the CPU of a control plane with nothing to do is read; watches are renewed every ten seconds. */
const IDLE_MS = 5_000;

/** A replica that serves a fleet. */
export class Rig {
  private idleRate = 0;

  private constructor(
    private readonly child: ChildProcess,
    private readonly started: ReplicaStarted,
    readonly fleet: Fleet,
  ) {}

  /** Starts a fresh control plane, which knows the whole mesh when this resolves. */
  static async start(start: StartPlane, mesh: BenchMesh, fleet: Fleet): Promise<Rig> {
    const { child, started } = await start(mesh.api.server);
    return new Rig(child, started, fleet);
  }

  get cpu(): number {
    return cpuSeconds(this.child.pid ?? 0);
  }

  get memory(): Memory {
    return residentMemory(this.child.pid ?? 0);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Connects proxies; resolves when all are configured, with what it cost. */
  async connect(tokens: readonly string[]): Promise<Cost> {
    await this.fleet.expect([]);
    const [began, before] = [monotonic(), this.cpu];
    const { port, root } = this.started;
    const target = { address: `127.0.0.1:${port}`, root, serverName: ADS_SAN };
    const at = await this.fleet.connect(target, tokens, tokens.length);
    const { counts, told } = await this.fleet.quiet(QUIET_MS);
    return {
      firstMs: NaN,
      lastMs: at - began,
      cpuSeconds: this.cpu - before,
      bytes: counts.bytes,
      responses: counts.responses,
      told,
      concerned: tokens.length,
    };
  }

  /** Reads what it uses without any change; returns it, in cores. */
  async rest(): Promise<number> {
    await this.fleet.quiet(QUIET_MS);
    const [began, before] = [monotonic(), this.cpu];
    await pause(IDLE_MS);
    this.idleRate = ((this.cpu - before) / (monotonic() - began)) * 1_000;
    return this.idleRate;
  }

  /** Makes a change and measures it until nothing more comes of it. */
  async measure(change: Change): Promise<Cost> {
    await change.prepare?.();
    await this.fleet.quiet(QUIET_MS * 2);
    const { arrival } = await this.fleet.expect(change.conditions);
    const [began, before] = [monotonic(), this.cpu];
    await change.write();
    const written = monotonic();
    const { first, last } = await arrival;
    const { counts, told } = await this.fleet.quiet(QUIET_MS);
    const idle = ((monotonic() - began) / 1_000) * this.idleRate;
    const cost = {
      firstMs: first - written,
      lastMs: Math.max(last, counts.lastAt) - written,
      cpuSeconds: Math.max(0, this.cpu - before - idle),
      bytes: counts.bytes,
      responses: counts.responses,
      told,
      concerned: change.concerned,
    };
    await change.undo?.();
    return cost;
  }

  async stop(): Promise<void> {
    await this.fleet.disconnect();
    await endChild(this.child);
  }
}
