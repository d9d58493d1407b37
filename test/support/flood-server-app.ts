/** The ADS server that floods are sent to, in a process of its own: whatever it suffers can be read, and is its own. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { AdsLimits } from "../../src/runtime/ads/limits";
import type { AdsStats } from "../../src/runtime/ads/server";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsRig, snapshotOf, testResource } from "./ads-rig";
import { answerParent } from "./child-program";

/** What the process is like at a moment. */
export interface FloodReading {
  readonly stats: AdsStats;
  readonly rssMegabytes: number;
  /** What of it V8 holds, and what of that is in use; what buffers hold outside of it. The rest is the C library's. */
  readonly heapMegabytes: number;
  readonly usedMegabytes: number;
  readonly externalMegabytes: number;
  /** Delay of the event loop since the reading before, milliseconds. */
  readonly lagP99Ms: number;
  readonly lagLongestMs: number;
  readonly openFiles: number;
}

/** Where it can be reached. */
export interface FloodTarget {
  readonly port: number;
  readonly root: string;
}

interface Push {
  readonly version: string;
  /** Bytes of the one resource. */
  readonly size: number;
}

let rig: AdsRig | undefined;
const lag = monitorEventLoopDelay({ resolution: 10 });

function started(): AdsRig {
  if (rig === undefined) throw new Error("not started");
  return rig;
}

const answers = {
  start: async (options: {
    readonly limits?: Partial<AdsLimits>;
    readonly pods: readonly string[];
  }): Promise<FloodTarget> => {
    rig = await AdsRig.start({ limits: options.limits ?? {} });
    for (const name of options.pods)
      rig.world.addPod({ namespace: "shop", serviceAccount: "buyer" }, name, `uid-${name}`);
    lag.enable();
    return { port: rig.server.port, root: rig.authority.certPem };
  },
  push: ({ version, size }: Push): void => {
    started().world.set(snapshotOf([testResource(TYPE_URLS.cluster, "shop", version, { size })]));
  },
  /** The most memory since it was asked before, or since the start, megabytes. */
  peak: (): number => {
    const [, kilobytes] = /^VmHWM:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    // Linux, proc_pid_clear_refs(5): what is resident now is the most from here on.
    writeFileSync("/proc/self/clear_refs", "5");
    return Number(kilobytes) / 1_024;
  },
  streams: (): number => started().server.stats().streams,
  read: (): FloodReading => {
    const memory = process.memoryUsage();
    const reading = {
      stats: started().server.stats(),
      rssMegabytes: memory.rss / 2 ** 20,
      heapMegabytes: memory.heapTotal / 2 ** 20,
      usedMegabytes: memory.heapUsed / 2 ** 20,
      externalMegabytes: memory.external / 2 ** 20,
      lagP99Ms: lag.percentile(99) / 1e6,
      lagLongestMs: lag.max / 1e6,
      openFiles: readdirSync("/proc/self/fd").length,
    };
    lag.reset();
    return reading;
  },
};

/** What it can be asked. */
export type FloodServer = typeof answers;

answerParent(answers);
