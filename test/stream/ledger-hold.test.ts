import { expect } from "chai";
import { objectRefKey, type ObjectRef } from "../../src/model/object-ref";
import { HOLD_MS } from "../../src/runtime/ads/barrier";
import { systemClock } from "../../src/runtime/clock";
import { ReplicaLedger } from "../../src/runtime/ledger/replica";
import type { AuthenticatedProxy, Clock, ConfigSource } from "../../src/runtime/ports";
import { resourceSet, TYPE_URLS, type Layer, type Snapshot } from "../../src/xds/resource";
import { AdsRig, layerOf, testResource } from "../support/ads-rig";
import type { ReceivedResponse } from "../support/ads-client";
import { waitFor } from "../support/wait";

const { cluster, listener } = TYPE_URLS;

function policy(name: string): ObjectRef {
  return { group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name };
}

const OLD = policy("old");
const NEW = policy("new");
const CONFIG = policy("mesh");

/** A pod's configuration: what is shared, and ports of its own. */
function snapshot(shared: Layer, ...ports: readonly string[]): Snapshot {
  const own = layerOf(ports.map(port => testResource(cluster, `local|${port}`, "1")));
  const inbound = layerOf([testResource(listener, "inbound", ports.join())]);
  return new Map([
    [cluster, resourceSet(cluster, shared, own)],
    [listener, resourceSet(listener, layerOf([]), inbound)],
  ]);
}

/** Gives each pod its own configuration, all at once. */
class Configs implements ConfigSource {
  private readonly subscribers = new Map<string, (snapshot: Snapshot) => void>();

  constructor(private told: Readonly<Record<string, Snapshot>>) {}

  subscribe({ podName }: AuthenticatedProxy, onSnapshot: (snapshot: Snapshot) => void): { close(): void } {
    this.subscribers.set(podName, onSnapshot);
    const snapshot = this.told[podName];
    if (snapshot !== undefined) onSnapshot(snapshot);
    return { close: () => this.subscribers.delete(podName) };
  }

  set(told: Readonly<Record<string, Snapshot>>): void {
    this.told = told;
    for (const [name, snapshot] of Object.entries(told)) this.subscribers.get(name)?.(snapshot);
  }
}

/** Time in which nobody is let go because it has lasted too long. */
const PATIENT: Clock = {
  now: () => 0,
  setTimeout: (run, ms) => (ms >= HOLD_MS ? { cancel: () => undefined } : systemClock.setTimeout(run, ms)),
};

describe("the ledger while clients wait for servers", () => {
  it("counts an object that only what is kept back holds as not in force, and no other", async () => {
    const one = testResource(cluster, "outbound|one", "1", { origins: [OLD] });
    const before = layerOf([one]);
    const after = layerOf([one, testResource(cluster, "outbound|two", "1", { origins: [NEW] })]);
    const config = new Configs({ client: snapshot(before), server: snapshot(before, "8080") });
    const rig = await AdsRig.start({ config, clock: PATIENT });
    const ledger = new ReplicaLedger({
      streams: rig.server.ledger,
      engine: { generations: () => new Map(), onCompiled: () => ({ close: () => undefined }) },
      meshConfig: CONFIG,
      clock: systemClock,
    });
    try {
      const late: ReceivedResponse[] = [];
      const isLate = (r: ReceivedResponse): boolean =>
        r.resources.some(({ version }) => version === "8080,9090");
      const client = rig.connect("client");
      const server = rig.connect("server", { answer: r => !isLate(r) || late.push(r) === 0 });
      for (const proxy of [client, server]) {
        proxy.send({ typeUrl: cluster });
        proxy.send({ typeUrl: listener });
      }
      const tally = (ref: ObjectRef): unknown => {
        const counted = ledger.rows().object.get(objectRefKey(ref));
        return counted === undefined ? "none" : `${counted.programmed} of ${counted.affected}`;
      };
      await waitFor("both", () => tally(OLD) === "2 of 2");
      expect(tally(NEW)).to.equal("none");

      config.set({ client: snapshot(after), server: snapshot(after, "8080", "9090") });
      expect([tally(NEW), tally(OLD)], "at once").to.deep.equal(["0 of 2", "2 of 2"]);
      await waitFor("the server's ports", () => late.length === 1);
      expect([tally(NEW), tally(OLD)], "held").to.deep.equal(["0 of 2", "2 of 2"]);
      expect(rig.server.ledger.summary()).to.include({ connected: 2, synced: 0 });
      expect(Object.keys(client.versions(cluster)), "what is kept back").to.deep.equal(["outbound|one"]);

      for (const response of late.splice(0)) server.reply(response);
      await waitFor("the new object", () => tally(NEW) === "2 of 2");
      expect(tally(OLD)).to.equal("2 of 2");
      expect(rig.server.ledger.summary()).to.include({ connected: 2, synced: 2 });
    } finally {
      ledger.stop();
      await rig.stop();
    }
  });
});
