/** Makes the faults of a plan on a stage, puts everything right again, and tells the judge what it has to know. */
import type { Judge, Window } from "./judge";
import type { Fault, PlannedFault, PolicyChange } from "./plan";
import type { Stage } from "./stage";

/** After everybody agrees on a switch of the mode, connections from before it are drained yet, milliseconds. */
const DRAINED_MS = 2_000;

const CUT = "connections from before a change of the port's chains, cut after a second";

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/** Tells what a fault is, in a line. */
export function described(fault: Fault): string {
  switch (fault.kind) {
    case "control-plane":
      return `control plane ${fault.replicas.join(" and ")}: ${fault.how} for ${fault.forMs} ms`;
    case "api-server":
    case "etcd":
      return `${fault.kind}: ${fault.how} for ${fault.forMs} ms`;
    case "ads":
      return `ADS of ${fault.proxies}: ${fault.how} for ${fault.forMs} ms`;
    case "watch":
      return `watches of control plane ${fault.replica}: ${fault.how} for ${fault.forMs} ms`;
    case "sidecar":
      return `Envoy of ${fault.pod}: ${fault.how} for ${fault.forMs} ms`;
    case "endpoint":
      return `store-1 is no endpoint for ${fault.forMs} ms`;
    case "policy":
      return `policy: ${fault.change}`;
  }
}

/** What was written of a subject, and when; it is decided once everybody agrees. */
interface Written {
  readonly subject: "granted" | "permissive";
  readonly value: boolean;
}

/** The faults of a run. */
export class Disturbances {
  /** What has been done, with times: for whoever looks for a cause. */
  readonly history: string[] = [];
  /** When a grant was last taken away in this round; undefined: it was not. */
  revokedAt: number | undefined;
  private readonly written: Written[] = [];
  private readonly windows: Window[] = [];
  /** Closed some time after everybody agrees. */
  private readonly later: Window[] = [];

  constructor(
    private readonly stage: Stage,
    private readonly judge: Judge,
    private readonly say: (line: string) => void,
  ) {}

  /** Makes a fault at its time and puts it right at its time. */
  async play({ atMs, fault }: PlannedFault): Promise<void> {
    await pause(atMs);
    this.note(described(fault));
    const heal = await this.begin(fault);
    if (fault.kind === "policy") return;
    await pause(fault.forMs);
    await heal();
    this.note(`  right again: ${described(fault)}`);
  }

  /** To be called when everybody agrees: what was written is in force, and nothing may fail any more. */
  settled(): void {
    const now = Date.now();
    for (const { subject, value } of this.written.splice(0)) this.judge.decided(subject, value, now);
    for (const window of this.windows.splice(0)) window.to ??= now;
    this.revokedAt = undefined;
  }

  private note(line: string): void {
    this.history.push(`${new Date().toISOString().slice(11, 23)} ${line}`);
    this.say(`  ${line}`);
  }

  private async begin(fault: Fault): Promise<() => Promise<void>> {
    switch (fault.kind) {
      case "control-plane": {
        const replicas = this.stage.controlPlane.replicas.filter((_, index) =>
          fault.replicas.includes(index),
        );
        await Promise.all(replicas.map(replica => replica.disturb(fault.how)));
        return async () => {
          await Promise.all(replicas.map(replica => replica.heal(fault.how)));
        };
      }
      case "api-server":
      case "etcd":
        return this.store(fault.kind, fault.how);
      case "ads":
        return this.links(this.stage.links(fault.proxies), fault.how);
      case "watch": {
        const replica = this.stage.controlPlane.replicas[fault.replica];
        return this.links(replica === undefined ? [] : [replica.watches], fault.how);
      }
      case "sidecar":
        return this.sidecar(fault.pod, fault.how);
      case "endpoint":
        await this.stage.objects.setEndpoint(false);
        return () => this.stage.objects.setEndpoint(true);
      case "policy":
        await this.write(fault.change);
        return () => Promise.resolve();
    }
  }

  private async store(which: "api-server" | "etcd", how: "kill" | "pause"): Promise<() => Promise<void>> {
    const { server } = this.stage.api;
    if (how === "pause") {
      const pid = which === "etcd" ? server.pids.etcd : server.pids.apiserver;
      process.kill(pid, "SIGSTOP");
      return () => {
        process.kill(pid, "SIGCONT");
        return Promise.resolve();
      };
    }
    await (which === "etcd" ? server.stopEtcd() : server.stopApiServer());
    return () => (which === "etcd" ? server.startEtcdAgain() : server.startAgain());
  }

  private links(links: ReturnType<Stage["links"]>, how: "reset" | "half-open" | "slow"): () => Promise<void> {
    for (const link of links) link.disturb(how);
    return () => {
      for (const link of links) link.heal();
      return Promise.resolve();
    };
  }

  private async sidecar(pod: string, how: "kill" | "pause"): Promise<() => Promise<void>> {
    const sidecar = this.stage.sidecar(pod);
    this.windows.push(this.judge.disturbed(pod, `Envoy of a pod on the way: ${how}`, Date.now()));
    await sidecar.disturb(how);
    return () => sidecar.heal(how);
  }

  private async write(change: PolicyChange): Promise<void> {
    const { objects } = this.stage;
    switch (change) {
      case "grant": {
        this.judge.changing("granted", Date.now());
        const granted = await objects.turnGrant();
        this.written.push({ subject: "granted", value: granted });
        this.revokedAt = granted ? undefined : Date.now();
        break;
      }
      case "mode": {
        this.judge.changing("permissive", Date.now());
        this.later.push(this.judge.drains(CUT, Date.now()));
        const permissive = await objects.turnMode();
        this.written.push({ subject: "permissive", value: permissive });
        break;
      }
      case "bad-regex":
        return objects.turnBadPatterns();
      case "conflict":
        return objects.turnConflict();
      case "limit":
        this.later.push(this.judge.drains(CUT, Date.now()));
        return objects.turnLimit();
      case "root":
        return objects.turnRoot();
    }
  }

  /** As {@link settled}, of what takes its time after it. */
  drained(now: number): void {
    for (const window of this.later.splice(0)) window.to = now + DRAINED_MS;
  }
}
