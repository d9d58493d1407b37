import { fromJson, toBinary, type JsonObject } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { expect } from "chai";
import { TYPE_URLS } from "../../../src/xds/resource";
import {
  createDeltaDecoder,
  decodeDeltaRequest,
  decodeSotwRequest,
  encodeFragment,
  frameDeltaResponse,
  frameRemoved,
  frameResources,
  frameSotwResponse,
} from "../../../src/xds/wire";
import { testResource } from "../../support/ads-rig";
import { envoyApi, messageJson } from "../../support/envoy-json";

const DISCOVERY = "envoy.service.discovery.v3";
const { cluster, route } = TYPE_URLS;

/** The bytes of a message as protobuf's own library writes them. */
function bytesOf(name: string, json: JsonObject): Uint8Array {
  const schema = envoyApi().getMessage(`${DISCOVERY}.${name}`);
  if (schema === undefined) throw new Error(`no message ${name}`);
  return toBinary(schema, fromJson(schema, json, { registry: envoyApi() }));
}
const deltaRequest = (json: JsonObject): Uint8Array => bytesOf("DeltaDiscoveryRequest", json);

const BLANK = {
  nodeId: undefined,
  typeUrl: "",
  subscribe: [],
  unsubscribe: [],
  initialVersions: new Map(),
  nonce: "",
  error: undefined,
};

describe("a request of a delta stream", () => {
  it("is read in every part that the mesh looks at", () => {
    const request = deltaRequest({
      node: {
        id: "sidecar~1",
        cluster: "ignored",
        metadata: { a: "b" },
        userAgentName: "envoy",
        userAgentBuildVersion: { version: { majorNumber: 1, minorNumber: 30, patch: 4 }, metadata: { c: 1 } },
        extensions: [{ name: "x" }],
      },
      typeUrl: cluster,
      resourceNamesSubscribe: ["a", "b"],
      resourceNamesUnsubscribe: ["c", "d"],
      initialResourceVersions: { a: "1", b: "2" },
      responseNonce: "s1",
      errorDetail: { code: 13, message: "not like this", details: [] },
    });
    expect(decodeDeltaRequest(request)).to.deep.equal({
      nodeId: "sidecar~1",
      build: "1.30.4",
      typeUrl: cluster,
      subscribe: ["a", "b"],
      unsubscribe: ["c", "d"],
      initialVersions: new Map([
        ["a", "1"],
        ["b", "2"],
      ]),
      nonce: "s1",
      error: "not like this",
    });
  });

  it("may say nothing, or name a node without an id or a version without numbers", () => {
    expect(decodeDeltaRequest(new Uint8Array())).to.deep.equal(BLANK);
    expect(decodeDeltaRequest(deltaRequest({ node: {} }))).to.deep.equal({ ...BLANK, nodeId: "" });
    const built = (version: JsonObject) => deltaRequest({ node: { userAgentBuildVersion: version } });
    expect(decodeDeltaRequest(built({})).build).to.equal("0.0.0");
    expect(decodeDeltaRequest(built({ version: {} })).build).to.equal("0.0.0");
    expect(decodeDeltaRequest(built({ version: { minorNumber: 3 } })).build).to.equal("0.3.0");
  });

  it("that refuses without a word still refuses", () => {
    const refused = decodeDeltaRequest(deltaRequest({ errorDetail: { code: 3 } }));
    expect(refused.error).to.equal("rejected without a message");
    expect(
      decodeDeltaRequest(deltaRequest({ initialResourceVersions: { "": "" } })).initialVersions,
    ).to.deep.equal(new Map([["", ""]]));
  });

  it("is read past fields that are not known, of every kind, and of numbers where words are meant", () => {
    const strange = new BinaryWriter();
    strange.tag(2, WireType.Varint).uint32(7);
    strange.tag(3, WireType.Bit32).fixed32(7);
    strange.tag(90, WireType.Bit64).fixed64(7);
    strange.tag(91, WireType.LengthDelimited).string("x");
    strange.tag(92, WireType.StartGroup).tag(1, WireType.Varint).uint32(1).tag(92, WireType.EndGroup);
    strange.tag(6, WireType.LengthDelimited).string("s1");
    expect(decodeDeltaRequest(strange.finish())).to.deep.equal({ ...BLANK, nonce: "s1" });
  });

  it("counts the last of a word that is there twice", () => {
    const twice = new BinaryWriter();
    for (const nonce of ["s1", "s2"]) twice.tag(6, WireType.LengthDelimited).string(nonce);
    expect(decodeDeltaRequest(twice.finish()).nonce).to.equal("s2");
  });

  it("is none where it is cut off or ends a group that has not begun", () => {
    const whole = deltaRequest({ typeUrl: cluster, responseNonce: "s1" });
    expect(() => decodeDeltaRequest(whole.subarray(0, whole.length - 1))).to.throw();
    const group = new BinaryWriter().tag(2, WireType.EndGroup).finish();
    expect(() => decodeDeltaRequest(group)).to.throw("unexpected end of group");
  });
});

describe("a decoder that streams share", () => {
  const request = (nonce: string): Buffer =>
    Buffer.from(deltaRequest({ typeUrl: cluster, responseNonce: nonce }));

  it("gives the same answer for the same bytes, decoded once", () => {
    const decode = createDeltaDecoder();
    const first = decode(request("s1"));
    expect(first).to.deep.equal({ ...BLANK, typeUrl: cluster, nonce: "s1" });
    expect(decode(request("s1"))).to.equal(first);
    expect(decode(request("s2")).nonce).to.equal("s2");
    expect(decode(request("s1"))).to.equal(first);
  });

  it("remembers 64 requests of 256 bytes", () => {
    const decode = createDeltaDecoder();
    const empty = request("").length + 3;
    const [short, long] = [request("x".repeat(256 - empty)), request("x".repeat(257 - empty))];
    expect([short.length, long.length]).to.deep.equal([256, 257]);
    expect(decode(short)).to.equal(decode(short));
    expect(decode(long)).to.not.equal(decode(long));
    expect(decode(long)).to.deep.equal(decode(long));
    const first = decode(request("0"));
    // With the short one above, 64 in all.
    for (let i = 1; i < 63; i += 1) decode(request(String(i)));
    expect(decode(request("0"))).to.equal(first);
    decode(request("one more"));
    expect(decode(request("0"))).to.not.equal(first);
  });
});

describe("a request of a state-of-the-world stream", () => {
  it("is read in every part that the mesh looks at", () => {
    const request = bytesOf("DiscoveryRequest", {
      versionInfo: "ignored",
      node: { id: "client", cluster: "ignored" },
      typeUrl: cluster,
      resourceNames: ["a", "b"],
      responseNonce: "w1",
      errorDetail: { message: "no" },
    });
    expect(decodeSotwRequest(request)).to.deep.equal({
      nodeId: "client",
      typeUrl: cluster,
      names: ["a", "b"],
      nonce: "w1",
      error: "no",
    });
  });

  it("may say nothing, and name a node without an id", () => {
    const blank = { nodeId: undefined, typeUrl: "", names: [], nonce: "", error: undefined };
    expect(decodeSotwRequest(new Uint8Array())).to.deep.equal(blank);
    const named = bytesOf("DiscoveryRequest", { node: { cluster: "x" } });
    expect(decodeSotwRequest(named)).to.deep.equal({ ...blank, nodeId: "" });
  });

  it("is read past fields that are not known, and is none where it is cut off", () => {
    const strange = new BinaryWriter();
    strange.tag(90, WireType.LengthDelimited).string("x");
    strange.tag(4, WireType.LengthDelimited).string(cluster);
    const bytes = strange.finish();
    expect(decodeSotwRequest(bytes).typeUrl).to.equal(cluster);
    expect(() => decodeSotwRequest(bytes.subarray(0, 20))).to.throw();
  });
});

describe("a response", () => {
  const resources = [testResource(route, "a", "1", { size: 0 }), testResource(route, "b", "2", { size: 0 })];
  const any = { "@type": route };

  it("of a delta stream is its parts, as protobuf's own library reads them", () => {
    const bytes = frameDeltaResponse(route, "s1", [frameResources(resources), frameRemoved(["c", "d"])]);
    expect(messageJson(`${DISCOVERY}.DeltaDiscoveryResponse`, bytes)).to.deep.equal({
      typeUrl: route,
      nonce: "s1",
      resources: [
        { name: "a", version: "1", resource: any },
        { name: "b", version: "2", resource: any },
      ],
      removedResources: ["c", "d"],
    });
  });

  it("of a delta stream may carry nothing", () => {
    const bytes = frameDeltaResponse(route, "s1", [frameResources([]), frameRemoved([])]);
    expect(messageJson(`${DISCOVERY}.DeltaDiscoveryResponse`, bytes)).to.deep.equal({
      typeUrl: route,
      nonce: "s1",
    });
  });

  it("of the state of the world is all that is asked for", () => {
    const bytes = frameSotwResponse(route, "v1", "w1", resources);
    expect(messageJson(`${DISCOVERY}.DiscoveryResponse`, bytes)).to.deep.equal({
      typeUrl: route,
      nonce: "w1",
      versionInfo: "v1",
      resources: [any, any],
    });
  });

  it("has in each fragment the name, the version and the bytes", () => {
    const body = new BinaryWriter().tag(1, WireType.LengthDelimited).string("table").finish();
    const fragment = encodeFragment({ typeUrl: route, name: "a", version: "7", body });
    expect(messageJson(`${DISCOVERY}.Resource`, fragment)).to.deep.equal({
      name: "a",
      version: "7",
      resource: { "@type": route, name: "table" },
    });
  });
});
