import { expect } from "chai";
import { createDiffCache } from "../../../src/xds/diff";
import { resourceSet, TYPE_URLS, type EncodedResource, type Layer } from "../../../src/xds/resource";
import { decodeResponse } from "../../support/ads-client";
import { layerOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, secret } = TYPE_URLS;
const one = (name: string, version: string): EncodedResource => testResource(cluster, name, version);
const layer = (...pairs: readonly (readonly [string, string])[]): Layer =>
  layerOf(pairs.map(([name, version]) => one(name, version)));
const set = (...layers: readonly Layer[]) => resourceSet(cluster, ...layers);

describe("differences of sets", () => {
  const before = layer(["a", "1"], ["b", "1"], ["c", "1"]);

  it("are what has come, what has another version and what is gone", () => {
    const [diff, ...more] = createDiffCache().between(
      set(before),
      set(layer(["a", "1"], ["b", "2"], ["d", "1"])),
    );
    expect([...(diff?.changed.values() ?? [])].map(({ name, version }) => `${name}${version}`)).to.deep.equal(
      ["b2", "d1"],
    );
    expect(diff?.removed).to.deep.equal(["c"]);
    expect(more).to.deep.equal([]);
  });

  it("are computed once for the same two, and not at all for the same", () => {
    const diffs = createDiffCache();
    const after = layer(["a", "2"]);
    const [first] = diffs.between(set(before), set(after));
    expect(diffs.computed).to.equal(1);
    expect(diffs.between(set(before), set(after))[0]).to.equal(first);
    expect(diffs.computed).to.equal(1);
    expect(diffs.between(set(before), set(before))).to.deep.equal([]);
    const same = set(before);
    expect(diffs.between(same, same)).to.deep.equal([]);
    expect(diffs.between(undefined, undefined)).to.deep.equal([]);
    expect(diffs.computed).to.equal(1);
    diffs.between(set(after), set(before));
    diffs.between(set(before), set(layer(["a", "2"])));
    expect(diffs.computed).to.equal(3);
  });

  it("are none of equal versions, whatever the objects are", () => {
    const again = layer(["a", "1"], ["b", "1"], ["c", "1"]);
    expect(createDiffCache().between(set(before), set(again))).to.deep.equal([]);
  });

  it("are those of each layer, also of one that has come or gone", () => {
    const diffs = createDiffCache();
    const own = layer(["own", "1"]);
    const names = (from: ReturnType<typeof set> | undefined, to: ReturnType<typeof set> | undefined) =>
      diffs.between(from, to).map(({ changed, removed }) => [[...changed.keys()].join(), removed.join()]);
    expect(names(undefined, set(before, own))).to.deep.equal([
      ["a,b,c", ""],
      ["own", ""],
    ]);
    expect(names(set(before, own), undefined)).to.deep.equal([
      ["", "a,b,c"],
      ["", "own"],
    ]);
    expect(names(set(before), set(before, own))).to.deep.equal([["own", ""]]);
    expect(names(set(before, own), set(before))).to.deep.equal([["", "own"]]);
  });

  it("are framed once, whole or by halves, each under a nonce of its own", () => {
    const [diff] = createDiffCache().between(set(before), set(layer(["a", "1"], ["b", "2"])));
    const [other] = createDiffCache().between(set(before), set(layer(["a", "1"])));
    if (diff === undefined || other === undefined) throw new Error("no difference");
    const framed = (["both", "changed", "removed"] as const).map(halves => diff.response(cluster, halves));
    expect(
      framed.map(({ bytes }) => {
        const { resources, removed, typeUrl } = decodeResponse(bytes);
        return [typeUrl, resources.map(({ name }) => name).join(), removed.join()];
      }),
    ).to.deep.equal([
      [cluster, "b", "c"],
      [cluster, "b", ""],
      [cluster, "", "c"],
    ]);
    expect(new Set(framed.map(({ nonce }) => nonce)).size).to.equal(3);
    for (const { bytes, nonce } of framed) expect(decodeResponse(bytes).nonce).to.equal(nonce);
    expect(diff.response(cluster, "both")).to.equal(framed[0]);
    expect(diff.framedChanged()).to.equal(diff.framedChanged());
  });

  it("have nonces that no other difference has", () => {
    const diffs = createDiffCache();
    const [first] = diffs.between(set(before), set(layer(["a", "2"])));
    const [second] = diffs.between(set(before), set(layer(["a", "3"])));
    expect(first?.response(cluster, "both").nonce).to.not.equal(second?.response(cluster, "both").nonce);
  });
});

describe("responses of a few resources", () => {
  const named = (...names: readonly string[]): readonly EncodedResource[] =>
    names.map(name => testResource(endpoint, name, "1"));
  const [a, b, c, d, e] = named("a", "b", "c", "d", "e") as [
    EncodedResource,
    EncodedResource,
    EncodedResource,
    EncodedResource,
    EncodedResource,
  ];

  it("are the same for the very same resources in the same order", () => {
    const diffs = createDiffCache();
    const first = diffs.few(endpoint, [a, b]);
    expect(first).to.not.equal(undefined);
    expect(diffs.few(endpoint, [a, b])).to.equal(first);
    for (const other of [[a], [b, a], [a, c], [a, b, c], named("a", "b")])
      expect(diffs.few(endpoint, other)).to.not.equal(first);
    expect(diffs.few(endpoint, [a, b])).to.equal(first);
    const read = decodeResponse(first?.bytes ?? new Uint8Array());
    expect(read.resources.map(({ name }) => name)).to.deep.equal(["a", "b"]);
    expect(read).to.include({ nonce: first?.nonce, typeUrl: endpoint });
  });

  it("have a nonce each", () => {
    const diffs = createDiffCache();
    expect(diffs.few(endpoint, [a])?.nonce).to.not.equal(diffs.few(endpoint, [b])?.nonce);
  });

  it("are none of nothing, of more than four, and of secrets", () => {
    const diffs = createDiffCache();
    expect(diffs.few(endpoint, [])).to.equal(undefined);
    expect(diffs.few(endpoint, [a, b, c, d])).to.not.equal(undefined);
    expect(diffs.few(endpoint, [a, b, c, d, e])).to.equal(undefined);
    expect(diffs.few(secret, [a])).to.equal(undefined);
  });

  it("are remembered eight at a time that begin alike", () => {
    const diffs = createDiffCache();
    const first = diffs.few(endpoint, [a]);
    for (let i = 1; i < 8; i += 1) diffs.few(endpoint, [a, ...named(`x${i}`)]);
    expect(diffs.few(endpoint, [a])).to.equal(first);
    diffs.few(endpoint, [a, b]);
    expect(diffs.few(endpoint, [a])).to.not.equal(first);
  });
});
