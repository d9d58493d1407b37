/** Proxies that ask and read nothing, again and again, in a process of their own. */
import { setTimeout as pause } from "node:timers/promises";
import { TYPE_URLS } from "../../src/xds/resource";
import { encodeRequest } from "./ads-client";
import { answerParent } from "./child-program";
import { framed, open, session } from "./flood-connection";
import type { FloodTarget } from "./flood-server-app";

const request = (): Buffer => framed(encodeRequest({ nodeId: "deaf", typeUrl: TYPE_URLS.cluster }));

/** What has become of them so far. */
export interface DeafCounts {
  /** Streams that were opened. */
  readonly opened: number;
  /** Of those, ended by the server. */
  readonly cut: number;
  /** The longest and the shortest that the server held one of them, milliseconds. */
  readonly longestMs: number;
  readonly shortestMs: number;
}

let [opened, cut, longestMs, shortestMs] = [0, 0, 0, Infinity];

/** One proxy: connects, asks, reads nothing until it is cut or gives up by itself after `patienceMs`, and begins again, until `end`. */
async function deaf(target: FloodTarget, n: number, patienceMs: number, end: number): Promise<void> {
  while (Date.now() < end) {
    const began = Date.now();
    const on = session(target, `127.0.2.${(n % 8) + 1}`);
    open(on, `deaf-${n}`).write(request());
    opened += 1;
    const closed = new Promise<true>(resolve => {
      on.once("close", () => {
        resolve(true);
      });
    });
    const tired = pause(Math.min(patienceMs, Math.max(1, end - Date.now()))).then(() => false as const);
    if (await Promise.race([closed, tired])) {
      cut += 1;
      longestMs = Math.max(longestMs, Date.now() - began);
      shortestMs = Math.min(shortestMs, Date.now() - began);
      // As soon as Envoy would come again at the soonest.
      await pause(250);
    } else on.destroy();
  }
}

const answers = {
  /** Half of them wait until they are cut, the others begin anew after `patienceMs`. Resolves after `forMs`. */
  run: async (plan: {
    readonly target: FloodTarget;
    readonly proxies: number;
    readonly patienceMs: number;
    readonly forMs: number;
  }): Promise<DeafCounts> => {
    const end = Date.now() + plan.forMs;
    const all = Array.from({ length: plan.proxies }, (_, n) =>
      deaf(plan.target, n, n % 2 === 0 ? Infinity : plan.patienceMs, end),
    );
    await Promise.all(all);
    return { opened, cut, longestMs, shortestMs };
  },
};

/** What it can be asked. */
export type DeafProxies = typeof answers;

answerParent(answers);
