import { expect } from "chai";
import { encodeLeaf } from "../../../src/envoy/encode";
import type { EgressPort, OutboundCatchAllLeaf } from "../../../src/policy/types";
import { validate } from "../../support/envoy";
import { at, built } from "./json-path";
import { EGRESS } from "./terms";

const origins = EGRESS.origins;
const opened = (name: string, ...cidrs: readonly string[]): EgressPort => ({
  name,
  port: 443,
  kind: "tls",
  serverNames: [`${name}.com`],
  cluster: "passthrough",
  cidrs,
  origins,
});
const leaf = (...egress: readonly EgressPort[]): OutboundCatchAllLeaf => ({ ...EGRESS, egress });
const word = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";
/** Which ranges each chain of the port is for, in short. */
const ranges = (...egress: readonly EgressPort[]): readonly string[] => {
  const list = built(leaf(...egress))["filterChains"];
  return (Array.isArray(list) ? list : []).slice(1).map(chain => {
    const prefixes = at(chain, "filterChainMatch", "prefixRanges");
    const texts = (Array.isArray(prefixes) ? prefixes : []).map(
      prefix => `${word(at(prefix, "addressPrefix"))}/${word(at(prefix, "prefixLen"))}`,
    );
    return `${word(at(chain, "name"))}: ${texts.join(" ")}`;
  });
};

describe("Egress of any address beside one of all addresses of a family", () => {
  // To Envoy the two are one range, and which chain it takes is chance.
  it("is said of the other family only, and in the range of the first as well", () => {
    expect(ranges(opened("any"), opened("four", "0.0.0.0/0"))).to.deep.equal([
      "egress|any: ::/0",
      "egress|any|0.0.0.0/0: 0.0.0.0/0",
      "egress|four|0.0.0.0/0: 0.0.0.0/0",
    ]);
    expect(ranges(opened("any"), opened("six", "::/0"))).to.deep.equal([
      "egress|any: 0.0.0.0/0",
      "egress|any|::/0: ::/0",
      "egress|six|::/0: ::/0",
    ]);
  });

  it("is said in both ranges where both are written", () => {
    expect(ranges(opened("any"), opened("both", "0.0.0.0/0", "::/0"))).to.deep.equal([
      "egress|any|0.0.0.0/0: 0.0.0.0/0",
      "egress|both|0.0.0.0/0: 0.0.0.0/0",
      "egress|any|::/0: ::/0",
      "egress|both|::/0: ::/0",
    ]);
  });

  it("is any address as ever where nobody writes such a range", () => {
    expect(ranges(opened("any"), opened("some", "0.0.0.0/1"))).to.deep.equal([
      "egress|any: ",
      "egress|any|0.0.0.0/1: 0.0.0.0/1",
      "egress|some|0.0.0.0/1: 0.0.0.0/1",
    ]);
  });

  it("is taken by the real Envoy", async () => {
    for (const cidrs of [["0.0.0.0/0"], ["::/0"], ["0.0.0.0/0", "::/0"]]) {
      const passthrough = { kind: "passthrough-cluster", name: "passthrough", origins } as const;
      const resources = [passthrough, leaf(opened("any"), opened("own", ...cidrs))].map(encodeLeaf);
      const verdict = await validate(resources);
      expect(verdict.ok, verdict.output).to.equal(true);
    }
  }).timeout(20_000);
});
