import { expect } from "chai";
import { objectRefKey, originsWithin, type ObjectRef } from "../../../src/model/object-ref";
import { resourceSet, TYPE_URLS, type Layer, type Snapshot } from "../../../src/xds/resource";
import { tallyOf, type CountedProxy, type Lag } from "../../../src/xds/tally";
import { layerOf, testResource } from "../../support/ads-rig";

function split(name: string): ObjectRef {
  return { group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name };
}

const service: ObjectRef = { group: "", kind: "Service", namespace: "shop", name: "web" };
const NONE: Lag = new Set<string>();

const layer = (...names: readonly string[]): Layer =>
  layerOf(names.map(name => testResource(TYPE_URLS.cluster, name, "1", { origins: [split(name), service] })));
const target = (...layers: readonly Layer[]): Snapshot =>
  new Map([[TYPE_URLS.cluster, resourceSet(TYPE_URLS.cluster, ...layers)]]);
const keys = (...names: readonly string[]): Lag => new Set(names.map(name => objectRefKey(split(name))));

describe("tally of proxies by policy object", () => {
  const shared = layer("everywhere", "both");
  const own = layer("here", "both");

  it("counts a proxy once, wherever the object stands in its configuration, and no object of Kubernetes itself", () => {
    const proxies: CountedProxy[] = [
      { name: "shop/a", target: target(shared, own), lag: NONE },
      { name: "shop/b", target: target(shared, layer()), lag: NONE },
    ];
    const tally = tallyOf(proxies);
    expect([...tally].map(([key, { affected }]) => [key.split("/").at(-1), affected])).to.have.deep.members([
      ["everywhere", 2],
      ["both", 2],
      ["here", 1],
    ]);
  });

  it("tells who is behind: what is late, what is still held, and everybody who has just come", () => {
    const proxies: CountedProxy[] = [
      { name: "shop/a", target: target(shared, own), lag: keys("here", "gone") },
      { name: "shop/b", target: target(shared, layer()), lag: "everything" },
      { name: "shop/c", target: undefined, lag: "everything" },
    ];
    const tally = tallyOf(proxies);
    const of = (name: string) => tally.get(objectRefKey(split(name)));
    expect(of("everywhere")).to.deep.equal({ affected: 2, programmed: 1, behind: ["shop/b"] });
    expect(of("here")).to.deep.equal({ affected: 1, programmed: 0, behind: ["shop/a"] });
    expect(of("gone"), "not in its configuration any more").to.deep.equal({
      affected: 1,
      programmed: 0,
      behind: ["shop/a"],
    });
  });

  it("names a few of many", () => {
    const proxies = Array.from({ length: 100 }, (_, n) => ({
      name: `shop/${n}`,
      target: target(shared),
      lag: keys("everywhere"),
    }));
    const counted = tallyOf(proxies).get(objectRefKey(split("everywhere")));
    expect(counted).to.include({ affected: 100, programmed: 0 });
    expect(counted?.behind).to.have.length(3);
  });

  it("is cheap for 1,000 proxies in 100 groups and 1,000 objects", () => {
    const all = layer(...Array.from({ length: 1_000 }, (_, n) => `object-${n}`));
    const groups = Array.from({ length: 100 }, (_, n) => target(all, layer(`own-${n}`)));
    const proxies = Array.from({ length: 1_000 }, (_, n): CountedProxy => {
      const snapshot = groups[n % groups.length];
      return { name: `shop/${n}`, target: snapshot, lag: n % 2 === 0 ? NONE : keys("object-7") };
    });
    tallyOf(proxies);
    const start = process.hrtime.bigint();
    const tally = tallyOf(proxies);
    const ms = Number(process.hrtime.bigint() - start) / 1e6;
    expect(tally.size).to.equal(1_100);
    expect(tally.get(objectRefKey(split("object-7")))).to.include({ affected: 1_000, programmed: 500 });
    // A few milliseconds on a quiet machine; ten times what a busy one takes.
    expect(ms).to.be.lessThan(2_000);
  });
});

describe("origins within a value", () => {
  it("are found however deep, once each", () => {
    const leaf = {
      origins: [service],
      rules: [{ origins: [split("a")] }, { permission: { origins: [split("a")] } }],
    };
    expect(originsWithin(leaf).map(objectRefKey)).to.deep.equal([service, split("a")].map(objectRefKey));
    expect(originsWithin(leaf)).to.equal(originsWithin(leaf));
  });
});
