import { expect } from "chai";
import { createDiffCache } from "../../../src/xds/diff";
import { heldOf, isSettled, isSynced, lagOf, standingOf } from "../../../src/xds/ledger";
import { resourceSet, TYPE_URLS, type EncodedResource, type TypeUrl } from "../../../src/xds/resource";
import { initialStreamState, type StreamInput, type StreamResponse } from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import type { DeltaRequest } from "../../../src/xds/wire";
import { layerOf, snapshotOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, listener, route, secret } = TYPE_URLS;
const POLICY = { group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name: "web" };

/** A stream whose client answers when it is told to. */
class Stream {
  state = initialStreamState();
  readonly diffs = createDiffCache();
  readonly inbox: StreamResponse[] = [];

  take(...resources: readonly EncodedResource[]): this {
    return this.go({ kind: "snapshot", now: 0, snapshot: snapshotOf(resources) });
  }

  ask(typeUrl: TypeUrl, part: Partial<DeltaRequest> = {}): this {
    const blank = {
      nodeId: undefined,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map<string, string>(),
    };
    const request = { ...blank, typeUrl, nonce: "", error: undefined, ...part };
    return this.go({ kind: "request", now: 0, request });
  }

  /** Answers what is there of a type, and what comes for it. */
  answer(typeUrl: TypeUrl, error?: string): this {
    for (;;) {
      const at = this.inbox.findIndex(response => response.typeUrl === typeUrl);
      const [response] = at < 0 ? [] : this.inbox.splice(at, 1);
      if (response === undefined) return this;
      this.ask(typeUrl, { nonce: response.nonce, error });
    }
  }

  get settled(): boolean {
    return isSettled(this.state, this.diffs);
  }

  get synced(): boolean {
    return isSynced(this.state, this.diffs);
  }

  standing(typeUrl: TypeUrl) {
    return standingOf(this.state, this.diffs).find(each => each.typeUrl === typeUrl);
  }

  private go(input: StreamInput): this {
    const [next, { responses }] = step(this.state, input, this.diffs);
    this.state = next;
    this.inbox.push(...responses);
    return this;
  }
}

describe("whether a stream is synced", () => {
  it("is so once everything that it asked for is acknowledged", () => {
    const stream = new Stream();
    expect(stream.synced, "nothing to hold yet").to.equal(false);
    stream.take(testResource(cluster, "a", "1"));
    expect(stream.synced, "nothing asked for").to.equal(true);
    stream.ask(cluster);
    expect(stream.synced, "under way").to.equal(false);
    stream.answer(cluster);
    expect(stream.synced).to.equal(true);
    stream.take(testResource(cluster, "b", "1"));
    expect(stream.synced, "under way again").to.equal(false);
    stream.answer(cluster);
    expect(stream.synced).to.equal(true);
  });

  it("is not so while something is refused", () => {
    const stream = new Stream()
      .take(testResource(cluster, "a", "1"))
      .ask(cluster)
      .answer(cluster, "no");
    expect(stream.synced).to.equal(false);
  });
});

describe("whether a stream is settled", () => {
  const started = (...resources: readonly EncodedResource[]): Stream =>
    new Stream()
      .take(...resources)
      .ask(cluster)
      .ask(listener);

  it("is so once it has begun, asked for what it needs, and acknowledged all of it", () => {
    const stream = new Stream();
    expect(stream.settled, "nothing to hold yet").to.equal(false);
    stream.take(testResource(cluster, "a", "1"), testResource(listener, "l", "1"));
    expect(stream.settled, "it has not begun").to.equal(false);
    stream.ask(cluster).answer(cluster);
    expect(stream.settled, "listeners are not asked for").to.equal(false);
    stream.ask(listener);
    expect(stream.settled, "under way").to.equal(false);
    stream.answer(listener);
    expect(stream.settled).to.equal(true);
    expect(started(testResource(cluster, "a", "1")).settled, "under way").to.equal(false);
  });

  it("is so beside what it refuses, and not while something waits", () => {
    const stream = started(testResource(cluster, "a", "1"))
      .answer(cluster, "no")
      .answer(listener);
    expect(stream.settled).to.equal(true);
    stream.take(testResource(cluster, "b", "1"), testResource(listener, "l", "1"));
    expect(stream.settled).to.equal(false);
    stream.answer(cluster);
    expect(stream.settled).to.equal(false);
    stream.answer(listener);
    expect(stream.settled).to.equal(true);
  });

  it("is not so while it has to be sent or to lose something", () => {
    const stream = started(testResource(cluster, "a", "1"), testResource(listener, "l", "1"));
    stream.answer(cluster).answer(listener);
    const [one, other] = [new Stream(), new Stream()];
    one.state = { ...stream.state, snapshot: snapshotOf([testResource(cluster, "a", "1")]) };
    other.state = {
      ...stream.state,
      snapshot: snapshotOf([testResource(cluster, "a", "2"), testResource(listener, "l", "1")]),
    };
    expect([one.settled, one.synced]).to.deep.equal([false, false]);
    expect([other.settled, other.synced]).to.deep.equal([false, false]);
    expect(one.standing(listener)).to.include({ settled: false });
    expect(other.standing(cluster)).to.include({ settled: false });
    expect(other.standing(listener)).to.include({ settled: true });
    const waiting = new Stream();
    waiting.state = { ...stream.state, gatedSince: 1 };
    expect(waiting.settled).to.equal(false);
  });

  it("wants every endpoint asked for, and of route tables those that listeners need", () => {
    const stream = started(testResource(endpoint, "a", "1"), testResource(endpoint, "b", "1"));
    stream
      .answer(cluster)
      .answer(listener)
      .ask(endpoint, { subscribe: ["a"] })
      .answer(endpoint);
    expect(stream.settled).to.equal(false);
    stream.ask(endpoint, { subscribe: ["b"] }).answer(endpoint);
    expect(stream.settled).to.equal(true);
    const needs = (name: string, ...tables: readonly string[]) => ({
      ...testResource(listener, name, "1"),
      needs: tables,
    });
    const tables = ["a", "b", "c"].map(name => testResource(route, name, "1"));
    const routed = started(
      needs("one", "a"),
      needs("two", "b"),
      testResource(listener, "three", "1"),
      ...tables,
    );
    routed.answer(cluster).answer(listener);
    expect(routed.settled).to.equal(false);
    routed.ask(route, { subscribe: ["a"] }).answer(route);
    expect(routed.settled).to.equal(false);
    routed.ask(route, { subscribe: ["b"] }).answer(route);
    expect(routed.settled, "nobody needs c").to.equal(true);
    const refused = started(
      needs("one", "a"),
      needs("two", "b"),
      testResource(listener, "three", "1"),
      ...tables,
    );
    refused.answer(cluster).answer(listener, "two is wrong");
    expect(refused.settled, "one needs a table still").to.equal(false);
    refused.ask(route, { subscribe: ["a"] }).answer(route);
    expect(refused.settled, "who has refused a listener does not ask for its tables").to.equal(true);
  });
});

describe("what a stream holds of a name", () => {
  it("is nothing that it does not want, nothing, what is under way, and a version", () => {
    const stream = new Stream().take(testResource(route, "a", "1"), testResource(route, "b", "1"));
    const of = (name: string) => heldOf(stream.state, route, name);
    expect(of("a")).to.equal(undefined);
    stream.ask(route, { subscribe: ["a", "none"] });
    expect([of("a"), of("b"), of("none")]).to.deep.equal([null, undefined, null]);
    stream.answer(route);
    expect([of("a"), of("b"), of("none")]).to.deep.equal(["1", undefined, null]);
    stream.take(testResource(route, "a", "2"), testResource(route, "b", "1"));
    expect(of("a"), "another version is under way").to.equal(null);
    stream.answer(route, "no");
    expect(of("a"), "refused").to.equal("1");
    stream.ask(route, { subscribe: ["b"] });
    expect([of("a"), of("b")], "another name is under way").to.deep.equal(["1", null]);
    stream.answer(route).take(testResource(route, "a", "3"), testResource(route, "b", "2"));
    expect([of("a"), of("b")], "both are under way").to.deep.equal([null, null]);
  });
});

describe("the standing of a stream", () => {
  it("is of the types that it asked for, in the order of sending", () => {
    const stream = new Stream().take(testResource(cluster, "a", "1"));
    expect(standingOf(stream.state, stream.diffs)).to.deep.equal([]);
    stream.ask(listener).ask(cluster);
    expect(standingOf(stream.state, stream.diffs).map(({ typeUrl }) => typeUrl)).to.deep.equal([
      cluster,
      listener,
    ]);
  });

  it("counts what is acknowledged, with a digest of names and versions", () => {
    const stream = new Stream().take(testResource(cluster, "a", "1"), testResource(cluster, "b", "2"));
    stream.ask(cluster);
    expect(stream.standing(cluster)).to.deep.equal({
      typeUrl: cluster,
      settled: false,
      acknowledged: 0,
      digest: "",
      rejected: [],
    });
    stream.answer(cluster);
    expect(stream.standing(cluster)).to.deep.include({ settled: true, acknowledged: 2, rejected: [] });
    const { digest = "" } = stream.standing(cluster) ?? {};
    // FNV-1a of 64 bits over "a@1b@2".
    expect(digest).to.equal(fnv1a("a@1b@2"));
  });

  it("has the same digest in whatever order and layers things stand, and another for another version or name", () => {
    const digest = (...resources: readonly EncodedResource[]): string =>
      new Stream()
        .take(...resources)
        .ask(cluster)
        .answer(cluster)
        .standing(cluster)?.digest ?? "";
    const [a, b] = [testResource(cluster, "a", "1"), testResource(cluster, "b", "1")];
    expect(digest(a, b)).to.equal(digest(b, a)).and.to.have.length(16);
    const others = [
      digest(a),
      digest(a, testResource(cluster, "b", "2")),
      digest(a, testResource(cluster, "c", "1")),
    ];
    expect(new Set([digest(a, b), ...others]).size).to.equal(4);
    const layered = new Stream();
    const snapshot = new Map([[cluster, resourceSet(cluster, layerOf([b]), layerOf([a]))]]);
    [layered.state] = step(layered.state, { kind: "snapshot", now: 0, snapshot }, layered.diffs);
    expect(layered.ask(cluster).answer(cluster).standing(cluster)?.digest).to.equal(digest(a, b));
  });

  it("tells what is refused, and is settled beside it", () => {
    const stream = new Stream().take(testResource(cluster, "a", "1", { origins: [POLICY] })).ask(cluster);
    stream.answer(cluster, "not like this");
    expect(stream.standing(cluster)).to.deep.include({
      settled: true,
      rejected: [{ name: "a", version: "1", message: "not like this", origins: [POLICY] }],
    });
  });
});

describe("what a stream lags behind with", () => {
  const late = (stream: Stream): unknown => {
    const lag = lagOf(stream.state, stream.diffs);
    return lag === "everything" ? lag : lag.size;
  };
  const shaped = (typeUrl: TypeUrl, name: string, version: string) =>
    testResource(typeUrl, name, version, { origins: [POLICY] });

  it("is everything before it has asked for clusters and listeners", () => {
    const stream = new Stream();
    expect(late(stream)).to.equal("everything");
    stream.take(shaped(cluster, "a", "1"));
    expect(late(stream)).to.equal("everything");
    stream.ask(cluster);
    expect(late(stream)).to.equal("everything");
    stream.ask(listener);
    expect(late(stream)).to.equal(1);
    stream.answer(cluster).answer(listener);
    expect(late(stream)).to.equal(0);
  });

  it("is what is under way, what is refused, what is gone and still held, and what was not asked for", () => {
    const stream = new Stream()
      .take(shaped(cluster, "a", "1"))
      .ask(cluster)
      .ask(listener);
    stream.answer(cluster).answer(listener);
    stream.take(shaped(cluster, "a", "2"));
    expect(late(stream), "under way").to.equal(1);
    stream.answer(cluster, "no");
    expect(late(stream), "refused").to.equal(1);
    stream.take(shaped(cluster, "a", "3")).answer(cluster);
    expect(late(stream)).to.equal(0);
    stream.take();
    expect(late(stream), "gone and still held").to.equal(1);
    stream.answer(cluster);
    expect(late(stream)).to.equal(0);
    stream.take(shaped(endpoint, "a", "1"));
    expect(late(stream), "not asked for").to.equal(1);
    stream.ask(endpoint, { subscribe: ["a"] }).answer(endpoint);
    expect(late(stream)).to.equal(0);
    // Secrets are asked for by whoever needs them, and shaped by nobody.
    stream.take(shaped(endpoint, "a", "1"), shaped(secret, "s", "1"));
    expect(late(stream)).to.equal(0);
  });
});

function fnv1a(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) % 2n ** 64n;
  return hash.toString(16).padStart(16, "0");
}
