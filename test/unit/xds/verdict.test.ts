import { expect } from "chai";
import { TYPE_URLS, type TypeUrl } from "../../../src/xds/resource";
import { initialTypeState, type InFlight, type TypeState } from "../../../src/xds/type-state";
import { acknowledge, refuse } from "../../../src/xds/verdict";
import { layerOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, listener, route } = TYPE_URLS;
const origin = { group: "a", kind: "B", namespace: "c", name: "d" };

/** A response with these names on its way to a client that holds version 1 of `known`. */
function sent(typeUrl: TypeUrl, names: readonly string[], known: readonly string[] = []) {
  const resources = names.map(name => testResource(typeUrl, name, "2", { origins: [origin] }));
  const before = { typeUrl, layers: [layerOf(known.map(name => testResource(typeUrl, name, "1")))] };
  const target = { typeUrl, layers: [layerOf(resources)] };
  const after = { set: target, deviations: new Map<string, string | null>() };
  const inFlight: InFlight = { nonce: "s1", sentAt: 0, resources, after };
  const content = { set: before, deviations: new Map<string, string | null>() };
  const state: TypeState = { ...initialTypeState(typeUrl), subscribed: true, content, inFlight };
  return { state, inFlight, resources, before, target };
}

/** Names that a refusal of `names` with these words is blamed on. */
function blamed(names: readonly string[], message: string): readonly string[] {
  const { state, inFlight } = sent(route, names);
  return refuse(state, inFlight, message).rejections.map(({ name }) => name);
}

describe("an acknowledged response", () => {
  it("is what the client holds from then on, and ends what it had refused of the same names", () => {
    const { state, inFlight } = sent(route, ["a"]);
    const rejection = { name: "a", version: "1", message: "no", origins: [] };
    const rejected = new Map([
      ["a", rejection],
      ["b", { ...rejection, name: "b" }],
    ]);
    const next = acknowledge({ ...state, rejected }, inFlight);
    expect(next).to.deep.equal({
      ...state,
      content: inFlight.after,
      inFlight: undefined,
      rejected: new Map([["b", { ...rejection, name: "b" }]]),
    });
  });

  it("copies nothing where nothing was refused", () => {
    const { state, inFlight } = sent(route, ["a"]);
    expect(acknowledge(state, inFlight).rejected).to.equal(state.rejected);
  });
});

describe("a refused response", () => {
  const rows: readonly (readonly [string, readonly string[], string, readonly string[]])[] = [
    ["is its only resource's, whatever the words are", ["a"], "something else", ["a"]],
    ["is that of whom the words name", ["a", "b"], "Error adding/updating: b: no", ["b"]],
    ["is of all whom they name", ["a", "b", "c"], "a, c", ["a", "c"]],
    ["is of one at the very beginning and end", ["a", "b"], "a", ["a"]],
    ["is of one in quotes", ["a.b", "b"], "listener 'a.b' failed", ["a.b"]],
    ["is of one before a full stop", ["a", "b"], "bad cluster a. Really", ["a"]],
    ["is of one before a colon", ["a", "b"], "a: bad", ["a"]],
    [
      "is of one that another name holds and that is named again",
      ["shop", "shop/cart"],
      "shop/cart, shop",
      ["shop", "shop/cart"],
    ],
    ["is of nobody whose name goes on", ["a", "b"], "ab", []],
    ["is of nobody whose name goes on after a dot", ["a", "b"], "a.x failed", []],
    ["is of nobody whose name goes on after a colon", ["10", "b"], "10:80 failed", []],
    ["is of nobody whose name goes on after a bar", ["inbound", "b"], "inbound|80 failed", []],
    ["is of nobody whose name has begun before", ["80", "b"], "inbound|80 failed", []],
    ["is of nobody whose name has begun before a dash", ["cart", "b"], "shop-cart failed", []],
    ["is of nobody whose name has begun before a dot", ["cart", "b"], "shop.cart failed", []],
    ["is of nobody without a name", ["", "b"], "anything at all", []],
  ];
  for (const [what, names, message, wanted] of rows) {
    it(what, () => {
      expect(blamed(names, message)).to.deep.equal(wanted);
    });
  }

  it("without resources has been taken", () => {
    const { state, inFlight } = sent(route, []);
    expect(refuse(state, inFlight, "no")).to.deep.equal({
      state: acknowledge(state, inFlight),
      rejections: [],
    });
  });

  it("of nobody is cornered by halves, and holds nothing against anybody", () => {
    for (const [count, limit] of [
      [2, 1],
      [3, 2],
      [5, 3],
      [8, 4],
    ] as const) {
      const names = Array.from({ length: count }, (_, i) => `n${i}`);
      const { state, inFlight } = sent(route, names);
      expect(refuse(state, inFlight, "no")).to.deep.equal({
        state: { ...state, inFlight: undefined, limit },
        rejections: [],
      });
    }
  });

  it("is told of with version, words and origins, and ends the cornering", () => {
    const { state, inFlight } = sent(route, ["a", "b"]);
    const verdict = refuse({ ...state, limit: 2 }, inFlight, "a is wrong");
    const rejection = { name: "a", version: "2", message: "a is wrong", origins: [origin] };
    expect(verdict.rejections).to.deep.equal([rejection]);
    expect(verdict.state.rejected).to.deep.equal(new Map([["a", rejection]]));
    expect(verdict.state).to.include({ limit: undefined, inFlight: undefined });
  });

  it("adds to what was refused before", () => {
    const { state, inFlight } = sent(route, ["a", "b"]);
    const old = { name: "x", version: "1", message: "", origins: [] };
    const { rejected } = refuse({ ...state, rejected: new Map([["x", old]]) }, inFlight, "a").state;
    expect([...rejected.keys()]).to.deep.equal(["x", "a"]);
  });

  for (const typeUrl of [route, endpoint]) {
    it(`leaves the client what it had, as nothing of it is applied: ${typeUrl}`, () => {
      const { state, inFlight } = sent(typeUrl, ["a", "b"], ["a"]);
      expect(refuse(state, inFlight, "a").state.content).to.equal(state.content);
    });
  }

  for (const typeUrl of [cluster, listener]) {
    it(`gives the client the rest of it, as Envoy applies that: ${typeUrl}`, () => {
      const { state, inFlight, target } = sent(typeUrl, ["a", "b", "c"], ["a"]);
      const { content } = refuse(state, inFlight, "a and b").state;
      expect(content).to.deep.equal({
        set: target,
        deviations: new Map([
          ["a", "1"],
          ["b", null],
        ]),
      });
      // What deviated before goes on to.
      const deviations = new Map<string, string | null>([
        ["a", "0"],
        ["b", null],
      ]);
      const again = refuse({ ...state, content: { ...state.content, deviations } }, inFlight, "a and b");
      expect(again.state.content.deviations).to.deep.equal(deviations);
    });
  }

  it("leaves a client that had no set of the type with nothing of the refused", () => {
    const { state, inFlight } = sent(cluster, ["a", "b"]);
    const content = { set: undefined, deviations: new Map<string, string | null>() };
    expect(refuse({ ...state, content }, inFlight, "a").state.content.deviations).to.deep.equal(
      new Map([["a", null]]),
    );
  });
});
