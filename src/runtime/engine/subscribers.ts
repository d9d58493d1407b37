import type { Inputs } from "../../catalog/inputs";
import type { NodeGroup } from "../../catalog/node-groups";
import type { Family, Watch } from "../../graph/graph";
import { identityKey } from "../../model/identity";
import type { Snapshot } from "../../xds/resource";
import type { AuthenticatedProxy, ConfigSource, Log, Subscription } from "../ports";

/** Subscribers of configuration; only what they need is computed. */
export interface Subscribers extends ConfigSource {
  /** Delivers to everybody whose snapshot changed since the last time. */
  deliver(): void;
  readonly count: number;
}

/** What subscribers are served from. */
export interface SubscriberSources {
  readonly inputs: Inputs;
  /** Node group by pod key. */
  readonly group: Family<string, NodeGroup | undefined>;
  readonly snapshot: Family<NodeGroup, Snapshot>;
  readonly log: Log;
}

interface Subscriber {
  readonly proxy: AuthenticatedProxy;
  readonly watch: Watch<Snapshot | undefined>;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  last: Snapshot | undefined;
}

/** An empty set of subscribers. */
export function createSubscribers({ inputs, group, snapshot, log }: SubscriberSources): Subscribers {
  const { graph, pods } = inputs;
  const stale = new Set<Subscriber>();
  const open = new Set<Subscriber>();
  /** Keyed by uid and proven identity: a pod that turns out to have another identity gets nothing. */
  const snapshotOf = graph.family<AuthenticatedProxy, Snapshot | undefined>({
    label: "proxySnapshot",
    keyOf: ({ podUid, identity }) => `${podUid}|${identityKey(identity)}`,
    compute: (read, { podUid, identity }) => {
      const key = read(pods.by("uid", podUid)).find(
        candidate => read(pods.row(candidate))?.namespace === identity.namespace,
      );
      const own = key === undefined ? undefined : read(group(key));
      if (own === undefined || identityKey(own.identity) !== identityKey(identity)) return undefined;
      return read(snapshot(own));
    },
  });

  const serve = (subscriber: Subscriber): void => {
    try {
      const next = subscriber.watch.read();
      if (next === undefined || next === subscriber.last) return;
      subscriber.last = next;
      subscriber.onSnapshot(next);
    } catch (error) {
      // The proxy keeps what it has; the others are served.
      log.error("configuration not delivered", { pod: subscriber.proxy.podName, error: String(error) });
    }
  };

  return {
    get count() {
      return open.size;
    },
    subscribe: (proxy, onSnapshot): Subscription => {
      const watch = graph.watch(snapshotOf(proxy), () => {
        stale.add(subscriber);
      });
      const subscriber: Subscriber = { proxy, watch, onSnapshot, last: undefined };
      open.add(subscriber);
      serve(subscriber);
      return {
        close: () => {
          open.delete(subscriber);
          stale.delete(subscriber);
          watch.close();
        },
      };
    },
    deliver: () => {
      const due = [...stale];
      stale.clear();
      for (const subscriber of due) if (open.has(subscriber)) serve(subscriber);
    },
  };
}
