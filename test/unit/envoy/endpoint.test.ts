import { expect } from "chai";
import { built } from "./json-path";
import { origins } from "./leaves";

const socket = (address: string, portValue: number): object => ({
  endpoint: { address: { socketAddress: { address, portValue } } },
});

describe("endpoints for Envoy", () => {
  it("stand in localities by zone, in order", () => {
    const set = built({
      kind: "endpoint-set",
      name: "c",
      origins,
      endpoints: [
        { address: "10.0.0.1", port: 80, zone: "b" },
        { address: "10.0.0.2", port: 80, zone: "a" },
        { address: "fd00::1", port: 81, zone: undefined },
        { address: "10.0.0.3", port: 80, zone: "b" },
      ],
    });
    expect(set).to.deep.equal({
      clusterName: "c",
      endpoints: [
        { lbEndpoints: [socket("fd00::1", 81)] },
        { locality: { zone: "a" }, lbEndpoints: [socket("10.0.0.2", 80)] },
        { locality: { zone: "b" }, lbEndpoints: [socket("10.0.0.1", 80), socket("10.0.0.3", 80)] },
      ],
    });
  });

  it("may be none", () => {
    expect(built({ kind: "endpoint-set", name: "c", origins, endpoints: [] })).to.deep.equal({
      clusterName: "c",
    });
  });
});
