/** An ADS server that believes real tokens, in a process of its own: what its memory holds is what it has kept. */
import { writeHeapSnapshot } from "node:v8";
import type { ServiceIdentity } from "../../src/model/identity";
import { createAuthenticator } from "../../src/runtime/identity/authenticator";
import { systemClock } from "../../src/runtime/clock";
import { createKubeClient } from "../../src/runtime/kube/client";
import { silentLog } from "../../src/runtime/log";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsRig, snapshotOf, testResource, TestWorld } from "./ads-rig";
import { answerParent } from "./child-program";

/** A pod that the server is told of. */
export interface HeapPod {
  readonly identity: ServiceIdentity;
  readonly name: string;
  readonly uid: string;
}

let rig: AdsRig | undefined;
/** What a test has it keep, to show that what is kept is found. */
const kept: string[] = [];

const answers = {
  /** `api`: who is asked for token keys and reviews. */
  start: async (options: {
    readonly api: string;
    readonly pods: readonly HeapPod[];
  }): Promise<{ readonly port: number; readonly root: string }> => {
    const world = new TestWorld();
    for (const { identity, name, uid } of options.pods) world.addPod(identity, name, uid);
    const kube = createKubeClient({ server: options.api, current: () => ({}) });
    const trustDomain = "cluster.local";
    const common = { clock: systemClock, log: silentLog };
    const authenticator = createAuthenticator({ ...common, kube, pods: world, trustDomain });
    rig = await AdsRig.start({ world, authenticator });
    world.set(snapshotOf([testResource(TYPE_URLS.cluster, "shop", "1")]));
    return { port: rig.server.port, root: rig.authority.certPem };
  },
  streams: (): number => rig?.server.stats().streams ?? 0,
  keep: (text: string): number => kept.push(text),
  /** Collects garbage and writes all that is left to a file. */
  snapshot: (file: string): string => {
    // V8 remembers what the last pattern was found in, until the next one is.
    /./.exec("x");
    return writeHeapSnapshot(file);
  },
};

/** What it can be asked. */
export type HeapServer = typeof answers;

answerParent(answers);
