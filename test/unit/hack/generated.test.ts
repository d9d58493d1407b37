import { expect } from "chai";
import { complaints, type GeneratedFacts } from "../../../hack/gen-envoy/generate";

const CURRENT: GeneratedFacts = {
  stamp: "made from this",
  origin: "made from this",
  goModule: "require (\n\tgithub.com/envoyproxy/go-control-plane/envoy v1.40.0\n)\n",
  envoy: "1.40.0",
};

describe("generated files", () => {
  it("are current when they were made from what there is, for the Envoy that runs", () => {
    expect(complaints(CURRENT)).to.deep.equal([]);
  });

  it("are not when descriptors, generator or parameters changed, or nothing was generated", () => {
    for (const stamp of [undefined, "made from that"]) {
      expect(complaints({ ...CURRENT, stamp })).to.deep.equal([
        "src/envoy/api/generated is not current: run npm run gen",
      ]);
    }
  });

  it("are not when the API is of another Envoy than the sidecars", () => {
    const sentence = (api: string): string => `the API is of Envoy ${api}, the sidecars are of 1.41.0`;
    expect(complaints({ ...CURRENT, envoy: "1.41.0" })).to.deep.equal([sentence("1.40.0")]);
    expect(complaints({ ...CURRENT, envoy: "1.41.0", goModule: "" })).to.deep.equal([sentence("(unknown)")]);
  });
});
