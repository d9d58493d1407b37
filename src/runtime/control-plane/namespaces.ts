import { LABEL_MONITORED_BY } from "../../model/mesh-words";
import type { NamespaceFacts } from "../../install/namespace-facts";
import { namespaceFacts } from "../../install/namespace-facts";
import type { InstallSettings } from "../../install/names";
import { createListeners } from "../engine/listeners";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";

/** The namespaces of the cluster, as current as the API server's events. */
export interface Namespaces {
  readonly synced: Promise<void>;
  get(name: string): NamespaceFacts | undefined;
  all(): ReadonlyMap<string, NamespaceFacts>;
  /**
   * The facts of a namespace whose pod the API server asks about. It asks only about labelled ones; where the label has
   * not been heard of yet, it waits for the news, at most `patienceMs`.
   */
  labelled(name: string, patienceMs: number): Promise<NamespaceFacts | undefined>;
  /** Called with every name that appeared, changed or went, and with all names after a relist. */
  onChange(listener: (name: string) => void): void;
  stop(): void;
}

/** Follows all namespaces. */
export function followNamespaces(settings: InstallSettings, options: KeeperOptions): Namespaces {
  const listeners = createListeners<string>(options.log, "namespace");
  const waiting = new Map<string, Set<() => void>>();
  const known = new Set<string>();
  const changed = (name: string): void => {
    listeners.notify(name);
    for (const wake of waiting.get(name) ?? []) wake();
  };
  const informer = startInformer<NamespaceFacts>({
    ...options,
    source: { kind: "Namespace", path: "/api/v1/namespaces", project: namespaceFacts },
    onChange: change => {
      if (change.type === "reset") {
        const names = new Set([...known, ...change.entries.keys()]);
        known.clear();
        for (const name of change.entries.keys()) known.add(name);
        names.forEach(changed);
        return;
      }
      if (change.type === "delete") known.delete(change.key);
      else known.add(change.key);
      changed(change.key);
    },
  });
  const isLabelled = (name: string): boolean =>
    informer.get(name)?.labels[LABEL_MONITORED_BY] === settings.meshName;
  const nextChange = (name: string, ms: number): Promise<void> =>
    new Promise(resolve => {
      const wakers = waiting.get(name) ?? new Set();
      waiting.set(name, wakers);
      const wake = (): void => {
        timer.cancel();
        wakers.delete(wake);
        if (wakers.size === 0) waiting.delete(name);
        resolve();
      };
      const timer = options.clock.setTimeout(wake, ms);
      wakers.add(wake);
    });
  return {
    synced: informer.synced,
    get: informer.get,
    all: informer.values,
    async labelled(name, patienceMs) {
      const end = options.clock.now() + patienceMs;
      for (let now = options.clock.now(); !isLabelled(name) && now < end; now = options.clock.now()) {
        await nextChange(name, end - now);
      }
      return informer.get(name);
    },
    onChange: listener => void listeners.add(listener),
    stop: () => {
      informer.stop();
    },
  };
}
