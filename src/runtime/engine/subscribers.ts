import type { Inputs } from "../../catalog/inputs";
import type { NodeGroup } from "../../catalog/node-groups";
import type { Family, Watch } from "../../graph/graph";
import { identityKey } from "../../model/identity";
import type { Snapshot } from "../../xds/resource";
import { tellContained } from "../contained";
import type { AuthenticatedProxy, Clock, ConfigSource, Log, Subscription } from "../ports";
import { Held } from "../held";

/** Subscribers of configuration; only what they need is computed. */
export interface Subscribers extends ConfigSource {
  /** Computes what a proxy would be given, and keeps it as if the proxy had just gone. */
  warm(proxy: AuthenticatedProxy): void;
  /** Delivers to everybody whose snapshot changed since the last time. */
  deliver(): void;
  readonly count: number;
  /** Lets go of what proxies that have gone were given. */
  stop(): void;
}

/** What subscribers are served from. */
export interface SubscriberSources {
  readonly inputs: Inputs;
  /** Node group by pod key. */
  readonly group: Family<string, NodeGroup | undefined>;
  readonly snapshot: Family<NodeGroup, Snapshot>;
  readonly log: Log;
  readonly clock: Clock;
  /** How long what a proxy was given is kept when it goes, milliseconds; 0: not at all. */
  readonly holdMs: number;
}

interface Subscriber {
  readonly proxy: AuthenticatedProxy;
  readonly watch: Watch<Snapshot | undefined>;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  last: Snapshot | undefined;
}

const keyOf = ({ podUid, identity }: AuthenticatedProxy): string => `${podUid}|${identityKey(identity)}`;

/** By uid and proven identity: a pod that turns out to have another identity gets nothing. */
function createSnapshotOf({
  inputs: { graph, pods },
  group,
  snapshot,
}: SubscriberSources): Family<AuthenticatedProxy, Snapshot | undefined> {
  return graph.family<AuthenticatedProxy, Snapshot | undefined>({
    label: "proxySnapshot",
    keyOf,
    compute: (read, { podUid, identity }) => {
      const key = read(pods.by("uid", podUid)).find(
        candidate => read(pods.row(candidate))?.namespace === identity.namespace,
      );
      const own = key === undefined ? undefined : read(group(key));
      if (own === undefined || identityKey(own.identity) !== identityKey(identity)) return undefined;
      return read(snapshot(own));
    },
  });
}

/** An empty set of subscribers. */
export function createSubscribers(sources: SubscriberSources): Subscribers {
  const { inputs, log, clock, holdMs } = sources;
  const { graph } = inputs;
  const held = new Held(clock, holdMs);
  const stale = new Set<Subscriber>();
  const open = new Set<Subscriber>();
  const snapshotOf = createSnapshotOf(sources);

  const serve = (subscriber: Subscriber): void => {
    try {
      const next = subscriber.watch.read();
      if (next === undefined || next === subscriber.last) return;
      subscriber.last = next;
      subscriber.onSnapshot(next);
    } catch (error) {
      // The proxy keeps what it has; the others are served.
      const fields = { pod: subscriber.proxy.podName, error: String(error) };
      tellContained(log, "configuration not delivered", fields);
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
          if (!open.delete(subscriber)) return;
          stale.delete(subscriber);
          held.keep(keyOf(proxy), watch);
        },
      };
    },
    warm: proxy => {
      const watch = graph.watch(snapshotOf(proxy), () => undefined);
      try {
        watch.read();
      } catch (error) {
        tellContained(log, "configuration not computed", { pod: proxy.podName, error: String(error) });
      }
      held.keep(keyOf(proxy), watch);
    },
    stop: () => {
      held.stop();
    },
    deliver: () => {
      const due = [...stale];
      stale.clear();
      for (const subscriber of due) if (open.has(subscriber)) serve(subscriber);
    },
  };
}
