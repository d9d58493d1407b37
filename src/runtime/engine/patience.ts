import { isCandidate, type Inputs } from "../../catalog/inputs";
import type { MeshService } from "../../model/workload";
import { contained } from "../contained";
import type { Clock, Log } from "../ports";
import type { EngineEvent } from "./events";

/**
 * Longest time that a new Service waits for its first EndpointSlice, milliseconds. Kubernetes writes one for each Service
 * with a selector, usually within a few tens of milliseconds.
 */
export const PATIENCE_MS = 100;

type ServiceEvent = EngineEvent & { readonly kind: "Service" };

interface Waiting {
  readonly event: ServiceEvent;
  readonly timer: { cancel(): void };
}

/** What it works with. */
interface PatienceOptions {
  readonly inputs: Pick<Inputs, "graph" | "services" | "slices">;
  readonly clock: Clock;
  readonly log: Log;
  /** 0: nothing waits. */
  readonly patienceMs?: number | undefined;
}

/**
 * A new Service reaches proxies together with its first EndpointSlice: told of the Service alone, each of them would be given
 * clusters that have to change again as soon as it is known who answers behind it. What is applied is the same in the end, and
 * never later than the patience lasts; a Service that is known, or for which nobody writes slices, does not wait.
 */
export class Patience {
  private readonly waiting = new Map<string, Waiting>();

  constructor(
    private readonly take: (event: EngineEvent) => void,
    private readonly options: PatienceOptions,
  ) {}

  /** Applies an event, now or within the patience. */
  apply(event: EngineEvent): void {
    if (event.kind === "Service") {
      if (this.keep(event)) return;
    } else if (event.kind === "EndpointSlice") {
      if (event.type === "reset") this.hurry();
      else if (event.type === "upsert") {
        const { namespace, service } = event.compiled.value;
        this.release(`${namespace}/${service}`);
      }
    }
    this.take(event);
  }

  /** Applies at once what waits. */
  hurry(): void {
    for (const key of [...this.waiting.keys()]) this.release(key);
  }

  /** Lets go of what waits. */
  stop(): void {
    for (const key of [...this.waiting.keys()]) this.drop(key);
  }

  /** Whether the event waits; what waits of the same Service is void now. */
  private keep(event: ServiceEvent): boolean {
    if (event.type === "reset") {
      this.stop();
      return false;
    }
    const { key } = event;
    const before = this.waiting.get(key);
    if (event.type === "upsert" && this.isEarly(key, event.compiled.value)) {
      // A second change of it waits no longer than the first would have.
      this.waiting.set(key, { event, timer: before?.timer ?? this.timerOf(key) });
      return true;
    }
    this.drop(key);
    return false;
  }

  private isEarly(key: string, service: MeshService): boolean {
    const { inputs, patienceMs = 0 } = this.options;
    const { graph, services, slices } = inputs;
    if (patienceMs === 0 || !isCandidate(service) || services.rows.has(key)) return false;
    return graph.peek(slices.by("service", key)).length === 0;
  }

  private timerOf(key: string): Waiting["timer"] {
    const { clock, patienceMs = 0 } = this.options;
    return clock.setTimeout(() => {
      this.release(key);
    }, patienceMs);
  }

  private release(key: string): void {
    const event = this.drop(key);
    if (event === undefined) return;
    const taken = (): void => {
      this.take(event);
    };
    contained(this.options.log, "a Service that has waited", taken, { object: key });
  }

  private drop(key: string): ServiceEvent | undefined {
    const found = this.waiting.get(key);
    found?.timer.cancel();
    this.waiting.delete(key);
    return found?.event;
  }
}
