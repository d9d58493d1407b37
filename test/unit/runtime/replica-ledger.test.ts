import { expect } from "chai";
import { ReplicaLedger } from "../../../src/runtime/ledger/replica";
import { createDiffCache } from "../../../src/xds/diff";

describe("a replica's ledger", () => {
  it("counts nothing for watchers that have gone, and again for the next", () => {
    const timers: (() => void)[] = [];
    let counted = 0;
    const none = { close: () => undefined };
    const ledger = new ReplicaLedger({
      streams: {
        newest: () => {
          counted++;
          return [];
        },
        diffs: createDiffCache(),
        refusals: () => [],
        onChange: () => none,
      },
      engine: { generations: () => new Map(), onCompiled: () => none },
      meshConfig: { group: "", kind: "MeshConfig", namespace: "osm", name: "mesh" },
      clock: {
        now: () => 0,
        setTimeout: run => {
          timers.push(run);
          return { cancel: () => undefined };
        },
      },
    });
    const messages: string[] = [];
    const send = (message: string): boolean => messages.push(message) > 0;
    ledger.watch(send).close();
    for (const run of timers.splice(0)) run();
    expect([counted, messages.length]).to.deep.equal([0, 0]);
    ledger.watch(send);
    for (const run of timers.splice(0)) run();
    expect([counted, messages.length]).to.deep.equal([1, 1]);
    ledger.stop();
  });
});
