import { expect } from "chai";
import { answersItsPorts, gainsPorts, sharesTheSame, withShared } from "../../../src/xds/barrier";
import { createDiffCache } from "../../../src/xds/diff";
import {
  resourceSet,
  TYPE_URLS,
  type EncodedResource,
  type Layer,
  type Snapshot,
  type TypeUrl,
} from "../../../src/xds/resource";
import {
  initialStreamState,
  type StreamInput,
  type StreamResponse,
  type StreamState,
} from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import { layerOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, listener } = TYPE_URLS;
const layer = (typeUrl: TypeUrl, ...names: readonly string[]): Layer =>
  layerOf(names.map(name => testResource(typeUrl, name, "1")));
const clusters = (...layers: readonly (readonly string[])[]): Snapshot =>
  new Map([[cluster, resourceSet(cluster, ...layers.map(names => layer(cluster, ...names)))]]);

describe("whether a proxy gains ports", () => {
  it("is by the applications of its own that are new", () => {
    const before = clusters(["outbound|a"], ["local|80", "inbound|80|x"]);
    expect(gainsPorts(before, clusters(["outbound|a"], ["local|80", "local|81"]))).to.equal(true);
    expect(gainsPorts(before, clusters(["outbound|a"], [], ["local|81"]))).to.equal(true);
    for (const after of [
      before,
      clusters(["outbound|a", "outbound|b"], ["local|80"]),
      clusters(["outbound|a"], ["local|80", "inbound|80|y"]),
      clusters(["outbound|a"], []),
      // What is shared is nobody's own.
      clusters(["outbound|a", "local|81"], ["local|80"]),
      new Map() as Snapshot,
    ])
      expect(gainsPorts(before, after)).to.equal(false);
    expect(gainsPorts(new Map(), before)).to.equal(true);
    expect(gainsPorts(new Map(), new Map())).to.equal(false);
  });

  it("is not so of the very same clusters", () => {
    const same = clusters([], ["local|80"]);
    const set = same.get(cluster);
    expect(gainsPorts(same, new Map(set === undefined ? [] : [[cluster, set]]))).to.equal(false);
  });
});

describe("what proxies share", () => {
  const own = layer(cluster, "local|80");
  const [old, next] = [layer(cluster, "a"), layer(cluster, "a", "b")];
  const snapshot = (first: Layer): Snapshot =>
    new Map([
      [cluster, resourceSet(cluster, first, own)],
      [endpoint, resourceSet(endpoint, layer(endpoint, "a"))],
    ]);

  it("is put in the place of a proxy's, type by type, and its own stays", () => {
    const mine = snapshot(next);
    const joined = withShared(snapshot(old), mine);
    expect([...joined.keys()]).to.deep.equal([cluster, endpoint]);
    expect(joined.get(cluster)?.layers).to.deep.equal([old, own]);
    expect(joined.get(cluster)?.layers[0]).to.equal(old);
    expect(joined.get(cluster)?.typeUrl).to.equal(cluster);
    const nothing = withShared(new Map(), mine).get(cluster)?.layers;
    expect(nothing?.map(each => [...each.keys()])).to.deep.equal([[], ["local|80"]]);
  });

  it("is the proxy's own set where it is the same", () => {
    const mine = snapshot(next);
    expect(withShared(mine, mine).get(cluster)).to.equal(mine.get(cluster));
  });

  it("is the same where it is of every type", () => {
    const mine = snapshot(next);
    expect(sharesTheSame(mine, mine)).to.equal(true);
    const clustersOnly: Snapshot = new Map([...mine].filter(([typeUrl]) => typeUrl === cluster));
    expect(sharesTheSame(mine, clustersOnly)).to.equal(true);
    expect(sharesTheSame(clustersOnly, mine), "a type that is missing").to.equal(false);
    expect(sharesTheSame(snapshot(old), mine)).to.equal(false);
    const changed = new Map(mine).set(endpoint, resourceSet(endpoint, layer(endpoint, "z")));
    expect(sharesTheSame(mine, changed), "one type of two").to.equal(false);
    expect(
      sharesTheSame(mine, new Map([[cluster, resourceSet(cluster, next, layer(cluster, "local|9"))]])),
    ).to.equal(true);
  });
});

describe("whether a proxy answers its ports", () => {
  const diffs = createDiffCache();
  const resource = (typeUrl: TypeUrl, name: string, version = "1"): EncodedResource =>
    testResource(typeUrl, name, version);
  const world = (...resources: readonly EncodedResource[]): Snapshot =>
    new Map(
      [cluster, listener].map(typeUrl => {
        const own = resources.filter(each => each.typeUrl === typeUrl);
        return [typeUrl, resourceSet(typeUrl, layerOf(own))] as const;
      }),
    );
  /** A stream that has asked for both and whose client answers or not. */
  const stream = (answers: boolean, ...snapshots: readonly Snapshot[]): StreamState => {
    let state = initialStreamState();
    const waiting: StreamResponse[] = [];
    const feed = (input: StreamInput): void => {
      const [after, { responses }] = step(state, input, diffs);
      state = after;
      waiting.push(...responses);
    };
    const ask = (typeUrl: TypeUrl, nonce = ""): void => {
      const initialVersions = new Map<string, string>();
      const common = { nodeId: undefined, subscribe: [], unsubscribe: [], initialVersions, error: undefined };
      feed({ kind: "request", now: 0, request: { ...common, typeUrl, nonce } });
    };
    const answerAll = (): void => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        ask(next.typeUrl, next.nonce);
    };
    for (const [i, snapshot] of snapshots.entries()) {
      feed({ kind: "snapshot", now: 0, snapshot });
      if (i === 0) {
        ask(cluster);
        ask(listener);
      }
      if (answers || i < snapshots.length - 1) answerAll();
    }
    return state;
  };
  const first = world(resource(cluster, "local|80"), resource(listener, "inbound"));

  it("is so once it has acknowledged them, and not before", () => {
    expect(answersItsPorts(initialStreamState(), diffs)).to.equal(false);
    expect(answersItsPorts(stream(true, first), diffs)).to.equal(true);
    expect(answersItsPorts(stream(false, first), diffs)).to.equal(false);
    const listened = world(resource(cluster, "local|80"), resource(listener, "inbound", "2"));
    expect(answersItsPorts(stream(false, first, listened), diffs), "its listener is under way").to.equal(
      false,
    );
    expect(answersItsPorts(stream(true, first, listened), diffs)).to.equal(true);
  });

  it("is by what is its own, of what is not sent yet", () => {
    const settled = stream(true, first);
    const told = (...more: readonly EncodedResource[]): StreamState => ({
      ...settled,
      snapshot: world(resource(cluster, "local|80"), resource(listener, "inbound"), ...more),
    });
    expect(
      answersItsPorts(told(resource(cluster, "outbound|a"), resource(listener, "outbound|a")), diffs),
    ).to.equal(true);
    expect(answersItsPorts(told(resource(cluster, "local|81")), diffs)).to.equal(false);
    expect(answersItsPorts(told(resource(cluster, "inbound|80|x")), diffs)).to.equal(false);
    expect(answersItsPorts(told(resource(listener, "inbound|80|x")), diffs)).to.equal(false);
    expect(
      answersItsPorts(told(resource(cluster, "outbound|a"), resource(cluster, "local|81")), diffs),
    ).to.equal(false);
  });
});
