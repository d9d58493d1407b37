import { expect } from "chai";
import { createDiffCache } from "../../../src/xds/diff";
import { resourceSet, TYPE_URLS, type Snapshot } from "../../../src/xds/resource";
import { initialStreamState, type StreamInput, type StreamResponse } from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import { layerOf, testResource } from "../../support/ads-rig";

const { endpoint } = TYPE_URLS;
const NAMES = ["a", "b", "c", "d", "e", "f"];

/** A stream that asks for endpoints by name, and what it is sent. */
function stream(diffs: ReturnType<typeof createDiffCache>, first: Snapshot) {
  let state = initialStreamState();
  const run = (input: StreamInput): readonly StreamResponse[] => {
    const [next, { responses }] = step(state, input, diffs);
    state = next;
    return responses;
  };
  run({ kind: "snapshot", snapshot: first, now: 0 });
  const ask = (subscribe: readonly string[], nonce = ""): StreamResponse => {
    const initialVersions = new Map<string, string>();
    const common = { typeUrl: endpoint, nodeId: undefined, nonce, error: undefined };
    const request = { ...common, subscribe, unsubscribe: [], initialVersions };
    const [response] = run({ kind: "request", request, now: 0 });
    if (response === undefined) throw new Error("no response");
    return response;
  };
  const acknowledge = (nonce: string): void => {
    const common = { typeUrl: endpoint, nodeId: undefined, nonce, error: undefined };
    const request = { ...common, subscribe: [], unsubscribe: [], initialVersions: new Map<string, string>() };
    run({ kind: "request", request, now: 0 });
  };
  return { ask, acknowledge };
}

describe("frames of what is asked for by name", () => {
  const snapshot: Snapshot = new Map([
    [endpoint, resourceSet(endpoint, layerOf(NAMES.map(name => testResource(endpoint, name, "1"))))],
  ]);

  it("are the same bytes for streams that ask for the same, whatever they asked for before", () => {
    const diffs = createDiffCache();
    const [one, other] = [stream(diffs, snapshot), stream(diffs, snapshot)];
    one.acknowledge(one.ask(["a"]).nonce);
    other.acknowledge(other.ask(["b", "c"]).nonce);
    const [mine, yours] = [one.ask(["d"]), other.ask(["d"])];
    expect(mine.bytes).to.equal(yours.bytes);
    expect(mine.nonce).to.equal(yours.nonce);
    expect(one.ask(["e"], mine.nonce).bytes).to.not.equal(mine.bytes);
  });

  it("have another nonce when the same is sent twice in a row", () => {
    const only = stream(createDiffCache(), snapshot);
    const first = only.ask(["a"]);
    only.acknowledge(first.nonce);
    const again = only.ask(["a"]);
    expect(again.resources).to.equal(1);
    expect(again.nonce).to.not.equal(first.nonce);
  });

  it("are not remembered when they are many", () => {
    const diffs = createDiffCache();
    const [one, other] = [stream(diffs, snapshot), stream(diffs, snapshot)];
    const five = NAMES.slice(0, 5);
    const mine = one.ask(five);
    expect(mine.resources).to.equal(5);
    one.acknowledge(mine.nonce);
    other.acknowledge(other.ask(["f"]).nonce);
    expect(one.ask(["f", ...five.slice(1)]).bytes).to.not.equal(other.ask(five).bytes);
  });
});
