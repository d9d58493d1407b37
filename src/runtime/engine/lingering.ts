import type { Inputs } from "../../catalog/inputs";
import type { NodeGroups, ServedPort } from "../../catalog/node-groups";
import { type Observed, observe } from "./observed";
import type { Compiler } from "./compiler";
import type { Subscribers } from "./subscribers";
import { createSubscribers } from "./subscribers";
import type { Clock, Log, Subscription } from "../ports";

/**
 * A port that a Service does not lead to any more is answered for this long, milliseconds: until clients have been told, and
 * before them the controller that writes the EndpointSlices, which no acknowledgement speaks of.
 */
export const LINGER_MS = 5_000;

/** What it works with. */
interface LingeringOptions {
  readonly inputs: Inputs;
  readonly remembered: NodeGroups["remembered"];
  /** How long, milliseconds; 0: not at all. */
  readonly lingerMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Something is over: a flush is wanted. */
  readonly changed: () => void;
}

/** Keeps what the proxies of this replica have served a moment ago, for {@link Inputs.lingering}. */
interface Lingering {
  /** As long as a proxy is followed, what its pod ceases to serve is remembered. */
  follow(podUid: string): Subscription;
  /** Looks at what has changed. Called in each flush, before configuration is delivered. */
  look(): void;
}

interface Followed {
  readonly ports: Observed<readonly ServedPort[]>;
  followers: number;
}

/** Follows nobody yet. */
function createLingering(options: LingeringOptions): Lingering {
  const { inputs, remembered, lingerMs, clock, log, changed } = options;
  const followed = new Map<string, Followed>();

  /** By pod and port; kept apart from the input, which does not tell a port from an equal one that went later. */
  const kept = new Map<string, Map<number, ServedPort>>();

  const publish = (podUid: string): void => {
    const ports = [...(kept.get(podUid)?.values() ?? [])].sort((a, b) => a.port - b.port);
    if (ports.length === 0) kept.delete(podUid);
    inputs.lingering.set(podUid, ports.length === 0 ? undefined : ports);
  };

  const keep = (podUid: string, gone: readonly ServedPort[]): void => {
    const ports = kept.get(podUid) ?? new Map<number, ServedPort>();
    kept.set(podUid, ports);
    for (const port of gone) ports.set(port.port, port);
    publish(podUid);
    clock.setTimeout(() => {
      const now = kept.get(podUid);
      for (const port of gone) if (now?.get(port.port) === port) now.delete(port.port);
      publish(podUid);
      changed();
    }, lingerMs);
  };

  return {
    follow: podUid => {
      const known = followed.get(podUid);
      if (known !== undefined) known.followers += 1;
      else {
        const ports = observe<readonly ServedPort[]>(inputs.graph, remembered(podUid), { initial: [], log });
        ports.look(() => undefined);
        followed.set(podUid, { ports, followers: 1 });
      }
      return {
        close: () => {
          const own = followed.get(podUid);
          if (own === undefined) return;
          own.followers -= 1;
          if (own.followers > 0) return;
          followed.delete(podUid);
          own.ports.close();
        },
      };
    },
    look: () => {
      for (const [podUid, { ports }] of followed) {
        ports.look((before, now) => {
          const gone = before.filter(({ port }) => !now.some(served => served.port === port));
          if (gone.length > 0) keep(podUid, gone);
        });
      }
    },
  };
}

/** Subscribers whose ports linger, as long as they subscribe. */
export function lingeringSubscribers(
  { inputs, catalog, snapshot }: Pick<Compiler, "inputs" | "catalog" | "snapshot">,
  options: Pick<LingeringOptions, "clock" | "log" | "changed"> & {
    readonly lingerMs?: number | undefined;
    readonly holdMs?: number | undefined;
  },
): Subscribers {
  const { lingerMs = 0, holdMs = 0, ...rest } = options;
  const { group, remembered } = catalog.nodeGroups;
  const subscribers = createSubscribers({ ...rest, inputs, group, snapshot, holdMs });
  if (lingerMs === 0) return subscribers;
  const lingering = createLingering({ ...rest, inputs, remembered, lingerMs });
  return {
    ...subscribers,
    get count() {
      return subscribers.count;
    },
    subscribe: (proxy, onSnapshot) => {
      const both = [lingering.follow(proxy.podUid), subscribers.subscribe(proxy, onSnapshot)];
      return {
        close: () => {
          for (const subscription of both) subscription.close();
        },
      };
    },
    deliver: () => {
      lingering.look();
      subscribers.deliver();
    },
  };
}
