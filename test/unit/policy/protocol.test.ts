import { expect } from "chai";
import { mergeProtocols, selectProtocol } from "../../../src/policy/protocol";
import type { AppProtocol } from "../../../src/policy/types";

describe("protocol selection", () => {
  const byAppProtocol: readonly (readonly [string, AppProtocol, boolean])[] = [
    ["http", "http", false],
    ["HTTP", "http", false],
    ["http2", "http", false],
    ["https", "tcp", false],
    ["grpc", "grpc", false],
    ["grpc-web", "http", false],
    ["tcp", "tcp", false],
    ["tcp-server-first", "tcp", false],
    ["kubernetes.io/h2c", "http", false],
    ["kubernetes.io/ws", "http", false],
    ["kubernetes.io/wss", "tcp", false],
    ["mysql", "tcp", true],
    ["kubernetes.io/unheard-of", "tcp", true],
  ];
  for (const [appProtocol, protocol, unknown] of byAppProtocol) {
    it(`appProtocol ${appProtocol}: ${protocol}`, () => {
      expect(selectProtocol({ name: "http", appProtocol })).to.deep.equal({ protocol, unknown });
    });
  }

  const byName: readonly (readonly [string, AppProtocol])[] = [
    ["", "http"],
    ["main", "http"],
    ["http", "http"],
    ["http-api", "http"],
    ["https-api", "tcp"],
    ["grpc", "grpc"],
    ["grpc-api", "grpc"],
    ["grpc-web-api", "http"],
    ["tcp", "tcp"],
    ["tcp-server-first", "tcp"],
    ["tcp-server-first-db", "tcp"],
    ["tcpdump", "http"],
    ["grpcish", "http"],
  ];
  for (const [name, protocol] of byName) {
    it(`port name "${name}": ${protocol}`, () => {
      expect(selectProtocol({ name, appProtocol: undefined })).to.deep.equal({ protocol, unknown: false });
    });
  }

  it("merges what several Services say of one container port into what carries all of them", () => {
    expect(mergeProtocols(["http", "tcp"])).to.equal("tcp");
    expect(mergeProtocols(["grpc", "tcp"])).to.equal("tcp");
    expect(mergeProtocols(["grpc", "http"])).to.equal("http");
    expect(mergeProtocols(["grpc", "grpc"])).to.equal("grpc");
    expect(mergeProtocols([])).to.equal("http");
  });
});
