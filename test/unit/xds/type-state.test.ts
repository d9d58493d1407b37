import { expect } from "chai";
import { createDiffCache } from "../../../src/xds/diff";
import { resourceSet, TYPE_URLS, type EncodedResource, type ResourceSet } from "../../../src/xds/resource";
import {
  applySubscription,
  contentAfter,
  dropStaleRejections,
  heldIn,
  holds,
  initialTypeState,
  isCurrent,
  pendingOf,
  restrict,
  sharedStep,
  wants,
  type Pending,
  type TypeState,
} from "../../../src/xds/type-state";
import type { DeltaRequest } from "../../../src/xds/wire";
import { layerOf, testResource } from "../../support/ads-rig";

const { cluster } = TYPE_URLS;
type Versions = Readonly<Record<string, string>>;
type Held = string | null;

const layer = (versions: Versions) =>
  layerOf(Object.entries(versions).map(([name, version]) => testResource(cluster, name, version)));
const set = (...layers: readonly Versions[]): ResourceSet => resourceSet(cluster, ...layers.map(layer));
const blank: DeltaRequest = {
  nodeId: undefined,
  typeUrl: cluster,
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: "",
  error: undefined,
};
/** A client that has acknowledged a set, under a wildcard unless told otherwise. */
function client(held: ResourceSet | undefined, more: Partial<TypeState> = {}): TypeState {
  const content = { set: held, deviations: new Map<string, Held>() };
  return { ...initialTypeState(cluster), subscribed: true, wildcard: true, content, ...more };
}
const deviating = (held: ResourceSet | undefined, deviations: Readonly<Record<string, Held>>) => ({
  content: { set: held, deviations: new Map(Object.entries(deviations)) },
});
const rejection = (name: string, version: string) => ({ name, version, message: "no", origins: [] });
const refusing = (...rejections: readonly ReturnType<typeof rejection>[]) => ({
  rejected: new Map(rejections.map(each => [each.name, each] as const)),
});
const named = (...names: readonly string[]) => ({ wildcard: false, names: new Set(names) });

/** What separates a client from a set, like `+a2 -b`. */
function pending(state: TypeState, target: ResourceSet | undefined, diffs = createDiffCache()): string {
  return printed(pendingOf(state, target, diffs));
}
function printed({ changed, removed }: Pending): string {
  const words = [
    ...changed.map(({ name, version }) => `+${name}${version}`),
    ...removed.map(name => `-${name}`),
  ];
  return words.sort().join(" ");
}

describe("what a client asks for", () => {
  const first = (request: Partial<DeltaRequest>, mayBeWildcard = true): TypeState =>
    applySubscription(initialTypeState(cluster), { ...blank, ...request }, mayBeWildcard);
  const next = (state: TypeState, request: Partial<DeltaRequest>): TypeState =>
    applySubscription(state, { ...blank, ...request }, true);

  it("is all by a first request without names, of types where that means all", () => {
    expect(first({})).to.include({ subscribed: true, wildcard: true, owesAnswer: true });
    expect(first({}, false)).to.include({ subscribed: true, wildcard: false, owesAnswer: false });
    expect(first({ subscribe: ["a"] })).to.include({ wildcard: false, owesAnswer: false });
    for (const mayBe of [true, false]) {
      const star = first({ subscribe: ["*", "a"] }, mayBe);
      expect(star).to.include({ wildcard: true, owesAnswer: true });
      expect([...star.names]).to.deep.equal(["a"]);
    }
  });

  it("is nothing that it holds already, and no answer is owed then", () => {
    const state = first({ initialVersions: new Map([["a", "1"]]) });
    expect(state.owesAnswer).to.equal(false);
    expect(heldIn(state.content, "a")).to.equal("1");
    expect(pending(state, set({ a: "1", b: "1" }))).to.equal("+b1");
    expect(pending(state, set({ b: "1" }))).to.equal("+b1 -a");
  });

  it("is a name, or all: whatever else is there is not wanted", () => {
    expect(wants(client(undefined, named("a")), "a")).to.equal(true);
    expect(wants(client(undefined, named("a")), "b")).to.equal(false);
    expect(wants(client(undefined), "b")).to.equal(true);
  });

  it("stays as it is where a later request names nothing", () => {
    const state = first({});
    expect(next(state, {})).to.equal(state);
  });

  it("is sent again where it is asked for anew, and is dropped where it is not wanted any more", () => {
    const held = client(set({ a: "1", b: "1" }), named("a", "b"));
    const again = next(held, { subscribe: ["a", "c"] });
    expect([...again.names]).to.deep.equal(["a", "b", "c"]);
    expect(pending(again, set({ a: "1", b: "1" }))).to.equal("+a1");
    expect([...again.content.deviations]).to.deep.equal([["a", null]]);
    const dropped = next(held, { unsubscribe: ["b", "none"] });
    expect([...dropped.names]).to.deep.equal(["a"]);
    expect(holds(dropped, "b")).to.equal(false);
    expect(holds(dropped, "a")).to.equal(true);
    expect(holds(held, "b"), "the state before is untouched").to.equal(true);
  });

  it("is forgotten of what is under way as well", () => {
    const after = { set: set({ a: "2" }), deviations: new Map<string, Held>() };
    const inFlight = { nonce: "s1", sentAt: 0, resources: [], after };
    const state = next(client(set({ a: "1" }), { ...named("a"), inFlight }), { subscribe: ["a"] });
    expect(heldIn(state.inFlight?.after ?? after, "a")).to.equal(null);
    expect(state.inFlight).to.include({ nonce: "s1" });
    expect(next(client(undefined, named("a")), { subscribe: ["b"] }).inFlight).to.equal(undefined);
  });

  it("is all from a star on, and no more from when that is taken back", () => {
    const some = client(undefined, named("a"));
    const all = next(some, { subscribe: ["*"] });
    expect(all).to.include({ wildcard: true, owesAnswer: true });
    expect([...all.names], "a star is no name").to.deep.equal(["a"]);
    expect(next(client(undefined), { subscribe: ["*"] }).owesAnswer, "it was all before").to.equal(false);
    expect(next(client(undefined, { owesAnswer: true }), { subscribe: ["x"] }).owesAnswer).to.equal(true);
    expect(next(all, { unsubscribe: ["*"] }).wildcard).to.equal(false);
    expect(next(all, { unsubscribe: ["a"] }).wildcard).to.equal(true);
    expect(next(some, { unsubscribe: ["b"] }).wildcard).to.equal(false);
    expect(next(all, { subscribe: ["*"], unsubscribe: ["*"] }).wildcard).to.equal(true);
  });
});

describe("what separates a client from a set", () => {
  it("is nothing for one that has not asked", () => {
    expect(pending({ ...client(undefined), subscribed: false }, set({ a: "1" }))).to.equal("");
  });

  it("is what has come, has changed and is gone, as far as it is wanted", () => {
    const held = set({ a: "1", b: "1", c: "1" });
    const target = set({ a: "1", b: "2", d: "1" });
    expect(pending(client(held), target)).to.equal("+b2 +d1 -c");
    // Who asks by name drops by itself what is gone.
    expect(pending(client(held, named("b", "c")), target)).to.equal("+b2");
    expect(pending(client(held), undefined)).to.equal("-a -b -c");
    expect(pending(client(undefined), held)).to.equal("+a1 +b1 +c1");
    expect(pending(client(held), held)).to.equal("");
  });

  it("is no removal of what has moved to another layer", () => {
    const held = set({ a: "1", b: "1" }, {});
    expect(pending(client(held), set({ b: "1" }, { a: "1" }))).to.equal("+a1");
    expect(pending(client(held), set({ b: "1" }, {}))).to.equal("-a");
  });

  it("is nothing that it has refused in that version", () => {
    const held = set({ a: "1" });
    const refused = client(held, refusing(rejection("a", "2")));
    expect(pending(refused, set({ a: "2" }))).to.equal("");
    expect(pending(refused, set({ a: "3" }))).to.equal("+a3");
    const deviates = client(held, { ...deviating(held, { a: "0" }), ...refusing(rejection("a", "2")) });
    expect(pending(deviates, set({ a: "2" }))).to.equal("");
  });

  it("is what is forced, once, whether it has changed or not", () => {
    const held = set({ a: "1", b: "1" });
    const forced = client(held, { forced: new Set(["a", "none"]) });
    expect(pending(forced, held)).to.equal("+a1");
    expect(pending(forced, set({ a: "2", b: "1" }))).to.equal("+a2");
    expect(pending({ ...forced, ...named("b") }, held), "not wanted").to.equal("");
    expect(pending({ ...forced, ...refusing(rejection("a", "1")) }, held), "refused").to.equal("");
    expect(pending({ ...forced, ...deviating(held, { a: "1" }) }, set({ a: "1", b: "2" }))).to.equal(
      "+a1 +b2",
    );
    expect(pending({ ...forced, ...deviating(held, { a: "0" }) }, set({ a: "2", b: "1" }))).to.equal("+a2");
  });

  it("is by what the client has where that deviates from its set", () => {
    const held = set({ a: "1", b: "1", c: "1" });
    const state = client(held, deviating(held, { a: "0", b: null, x: "7", y: null }));
    expect(pending(state, held)).to.equal("+a1 +b1 -x");
    expect(pending(state, set({ a: "2", b: "1", c: "2" }))).to.equal("+a2 +b1 +c2 -x");
    expect(pending(state, set({ a: "0", x: "7" })), "what it has is what it should").to.equal("-c");
    expect(pending(state, undefined)).to.equal("-a -c -x");
    expect(pending({ ...state, ...named("a", "x") }, held)).to.equal("+a1");
  });

  it("is one shared difference where it is all of it, and none otherwise", () => {
    const diffs = createDiffCache();
    const held = set({ a: "1", b: "1" });
    const target = set({ a: "2", c: "1" });
    const [shared] = diffs.between(held, target);
    expect(pendingOf(client(held), target, diffs).shared).to.deep.equal([shared]);
    expect(pendingOf(client(held, named("a")), target, diffs).shared).to.equal(undefined);
    expect(pendingOf(client(held, named("a", "c")), target, diffs).shared).to.deep.equal([shared]);
    const forced = client(held, { forced: new Set(["c"]) });
    expect(pendingOf(forced, target, diffs).shared, "forced and changed").to.deep.equal([shared]);
    const still = set({ a: "2", b: "1" });
    expect(pendingOf(client(held, { forced: new Set(["b"]) }), still, diffs).shared).to.equal(undefined);
    expect(pendingOf(client(held, deviating(held, { a: "0" })), target, diffs).shared).to.equal(undefined);
    expect(pendingOf(client(held, refusing(rejection("a", "2"))), target, diffs).shared).to.equal(undefined);
  });

  it("is found once for a state and a set", () => {
    const diffs = createDiffCache();
    const [state, target] = [client(set({ a: "1" })), set({ a: "2" })];
    const found = pendingOf(state, target, diffs);
    expect(pendingOf(state, target, diffs)).to.equal(found);
    expect(printed(pendingOf(state, set({ a: "3" }), diffs))).to.equal("+a3");
    expect(printed(pendingOf(state, target, diffs))).to.equal("+a2");
  });
});

describe("whether a client has exactly a set", () => {
  const held = set({ a: "1" });
  const inFlight = { nonce: "s1", sentAt: 0, resources: [], after: client(held).content };
  const rows: readonly (readonly [string, Partial<TypeState>, boolean])[] = [
    ["it has", {}, true],
    ["something is under way", { inFlight }, false],
    ["a refusal is being cornered", { limit: 1 }, false],
    ["an answer is owed", { owesAnswer: true }, false],
    ["it deviates", deviating(held, { b: null }), false],
    ["something is forced", { forced: new Set(["a"]) }, false],
    ["something is refused", refusing(rejection("a", "2")), false],
    [
      "all of these",
      { ...deviating(held, { b: null }), forced: new Set(["a"]), ...refusing(rejection("a", "2")) },
      false,
    ],
    [
      "as many are refused as deviate",
      { ...deviating(held, { b: null }), ...refusing(rejection("a", "2")) },
      false,
    ],
    ["as many are forced as deviate", { ...deviating(held, { b: null }), forced: new Set(["a"]) }, false],
  ];
  for (const [what, more, current] of rows) {
    it(`${String(current)}: ${what}`, () => {
      expect(isCurrent(client(held, more), held)).to.equal(current);
    });
  }

  it("is by the very set", () => {
    expect(isCurrent(client(held), set({ a: "1" }))).to.equal(false);
    expect(isCurrent(client(undefined), undefined)).to.equal(true);
  });
});

describe("what of it may go out", () => {
  const target = set({ a: "1", b: "1", c: "1" });
  const started = () => pendingOf(client(set({ x: "1", y: "1" })), target, createDiffCache());
  const all = { removals: () => true, names: undefined };

  it("is everything, as it is shared, without a restriction", () => {
    const whole = started();
    expect(restrict(client(undefined), whole, all)).to.deep.equal(whole);
  });

  it("is what is named, and removals apart from that", () => {
    const whole = started();
    const some = restrict(client(undefined), whole, {
      removals: name => name === "x",
      names: name => name !== "b",
    });
    expect(printed(some)).to.equal("+a1 +c1 -x");
    expect(some.shared).to.equal(undefined);
    const none = restrict(client(undefined), whole, { ...all, removals: () => false });
    expect(printed(none)).to.equal("+a1 +b1 +c1");
    expect(none.shared).to.equal(whole.shared);
  });

  it("is no more at once than a cornered refusal allows", () => {
    const whole = started();
    const two = restrict(client(undefined, { limit: 2 }), whole, all);
    expect(printed(two)).to.equal("+a1 +b1 -x -y");
    expect(two.shared).to.equal(undefined);
    expect(
      printed(restrict(client(undefined, { limit: 1 }), whole, { ...all, names: name => name !== "a" })),
    ).to.equal("+b1 -x -y");
    expect(restrict(client(undefined, { limit: 9 }), whole, all).shared).to.equal(whole.shared);
  });
});

describe("whether what goes out is one shared difference", () => {
  const [from, to] = [set({ x: "1", y: "1" }), set({ a: "1" })];
  const started = () => {
    const diffs = createDiffCache();
    const [diff] = diffs.between(from, to);
    return { diffs, diff, full: pendingOf(client(from), to, diffs) };
  };

  it("is so, whole or by its halves", () => {
    const { diffs, diff, full } = started();
    expect(sharedStep(full)).to.deep.equal({ diff, halves: "both" });
    expect(sharedStep({ ...full, removed: [] })).to.deep.equal({ diff, halves: "changed" });
    const nothing = set({});
    const [away] = diffs.between(from, nothing);
    const gone = pendingOf(client(from), nothing, diffs);
    expect(sharedStep(gone)).to.deep.equal({ diff: away, halves: "removed" });
  });

  it("is not so of some removals, of two differences, and of none", () => {
    const { full } = started();
    expect(sharedStep({ ...full, removed: ["x"] })).to.equal(undefined);
    expect(sharedStep({ ...full, shared: undefined })).to.equal(undefined);
    expect(sharedStep({ ...full, shared: [] })).to.equal(undefined);
    expect(sharedStep({ ...full, shared: [...(full.shared ?? []), ...(full.shared ?? [])] })).to.equal(
      undefined,
    );
  });
});

describe("what a client has once it has taken what was sent", () => {
  const held = set({ a: "1", b: "1", c: "1" });
  const target = set({ a: "2", b: "2", d: "1" });
  const state = client(held);
  const started = () => pendingOf(state, target, createDiffCache());
  const after = (own: TypeState, sent: Pending): Readonly<Record<string, Held>> => {
    const content = contentAfter(own, target, started(), sent);
    expect(content.set).to.equal(target);
    return Object.fromEntries(content.deviations);
  };
  const part = (names: readonly string[], removed: readonly string[]): Pending => ({
    changed: started().changed.filter(({ name }: EncodedResource) => names.includes(name)),
    removed,
    shared: undefined,
  });

  it("is the set where all was sent", () => {
    expect(after(state, started())).to.deep.equal({});
  });

  it("is what it had of what was withheld, removals among that", () => {
    expect(after(state, part(["a"], []))).to.deep.equal({ b: "1", c: "1", d: null });
    expect(after(state, part(["a", "b", "d"], []))).to.deep.equal({ c: "1" });
    expect(after(state, part([], ["c"]))).to.deep.equal({ a: "1", b: "1", d: null });
    const own = client(held, deviating(held, { a: "0" }));
    expect(after(own, part(["b", "d"], ["c"]))).to.deep.equal({ a: "0" });
  });

  it("is what it had of what it refuses in that version", () => {
    expect(after({ ...state, ...refusing(rejection("a", "2")) }, started())).to.deep.equal({ a: "1" });
    expect(
      after({ ...state, ...refusing(rejection("a", "9"), rejection("gone", "1")) }, started()),
    ).to.deep.equal({});
    const taken = client(target, refusing(rejection("a", "2")));
    expect(after(taken, started()), "it has it after all").to.deep.equal({});
  });
});

describe("refusals", () => {
  it("are forgotten of versions that are not wanted any more", () => {
    const state = client(undefined, refusing(rejection("a", "1"), rejection("b", "1"), rejection("c", "1")));
    const kept = dropStaleRejections(state, set({ a: "1", b: "2" }));
    expect([...kept.rejected.keys()]).to.deep.equal(["a"]);
    expect([...dropStaleRejections(state, undefined).rejected.keys()]).to.deep.equal([]);
    expect([...state.rejected.keys()], "the state before is untouched").to.deep.equal(["a", "b", "c"]);
  });

  it("are the same state where none is stale, or there is none", () => {
    const state = client(undefined, refusing(rejection("a", "1")));
    expect(dropStaleRejections(state, set({ a: "1" }))).to.equal(state);
    expect(dropStaleRejections(client(undefined), undefined)).to.deep.equal(client(undefined));
    const none = client(undefined);
    expect(dropStaleRejections(none, set({ a: "1" }))).to.equal(none);
  });
});
