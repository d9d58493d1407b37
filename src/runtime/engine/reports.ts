import type { LivePod, Log, Subscription } from "../ports";
import type { EngineEvent } from "./events";
import { createGenerations } from "./generations";
import { createListeners } from "./listeners";
import type { PodRegister } from "./pods";

/** What status needs to know of an engine. */
export interface EngineReports {
  /** Generations of custom objects that the configuration delivered last was computed from, by object. */
  generations(): ReadonlyMap<string, number>;
  /** Called after a flush with the custom objects that were compiled in another generation, or are gone. */
  onCompiled(listener: (objects: ReadonlySet<string>) => void): Subscription;
  /** Live proxies that should be connected: pods with our sidecar that have an address and are not on their way out. */
  expectedProxies(): ReadonlyMap<string, LivePod>;
  /** Called in a flush after {@link EngineReports.expectedProxies} changed. */
  onExpectedProxies(listener: () => void): Subscription;
}

/** The side of {@link EngineReports} that the engine writes. */
export interface ReportBook extends EngineReports {
  /** An event that goes into the next flush. */
  note(event: EngineEvent): void;
  /** The flush has delivered everything. */
  settle(): void;
}

/** Nothing reported yet. */
export function createReports(log: Log, pods: PodRegister): ReportBook {
  const generations = createGenerations();
  const compiled = createListeners<ReadonlySet<string>>(log, "generations");
  const expected = createListeners<undefined>(log, "expected proxies");
  return {
    generations: () => generations.compiled,
    onCompiled: listener => compiled.add(listener),
    expectedProxies: () => pods.expected,
    onExpectedProxies: listener =>
      expected.add(() => {
        listener();
      }),
    note: event => {
      generations.note(event);
    },
    settle: () => {
      const changed = generations.settle();
      if (changed.size > 0) compiled.notify(changed);
      if (pods.takeExpectedChanged()) expected.notify(undefined);
    },
  };
}
