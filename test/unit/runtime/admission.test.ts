import { expect } from "chai";
import { judgeObject } from "../../../src/runtime/control-plane/admission";

const target = (namespace: string, port?: number): Record<string, unknown> => ({
  metadata: { name: "t", namespace: "shop" },
  spec: {
    destination: {
      kind: "ServiceAccount",
      name: "store",
      namespace,
      ...(port === undefined ? {} : { port }),
    },
    sources: [{ kind: "ServiceAccount", name: "buyer", namespace: "buyers" }],
    rules: [{ kind: "TCPRoute", name: "all" }],
  },
});
const fault = "spec.destination.namespace must be shop, the namespace of the TrafficTarget";

describe("judgement of custom objects", () => {
  it("has every fault, and no warning for an object that is right", () => {
    expect(judgeObject("TrafficTarget", target("shop"))).to.deep.equal({ faults: [], warnings: [] });
    expect(judgeObject("TrafficTarget", target("bank", 0)).faults).to.deep.equal([
      "spec.destination.port must be a whole number from 1 to 65535; it is 0",
      fault,
    ]);
  });

  it("lets an object with its old faults be changed, with a warning", () => {
    const before = target("bank");
    const labelled = { ...before, metadata: { name: "t", namespace: "shop", labels: { a: "b" } } };
    expect(judgeObject("TrafficTarget", labelled, before)).to.deep.equal({ faults: [], warnings: [fault] });
  });

  it("refuses an update that brings a new fault, with all of them", () => {
    expect(judgeObject("TrafficTarget", target("bank"), target("shop")).faults).to.deep.equal([fault]);
    expect(judgeObject("TrafficTarget", target("bank", 0), target("bank")).faults).to.have.length(2);
  });
});
