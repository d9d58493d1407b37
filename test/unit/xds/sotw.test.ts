import { expect } from "chai";
import { TYPE_URLS, type EncodedResource } from "../../../src/xds/resource";
import { initialSotwState, stepSotw } from "../../../src/xds/sotw";
import { messageJson } from "../../support/envoy-json";
import { snapshotOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, listener, route } = TYPE_URLS;

interface Response {
  readonly typeUrl?: string;
  readonly nonce?: string;
  readonly versionInfo?: string;
  readonly resources?: readonly { readonly name?: string; readonly clusterName?: string }[];
}

/** A client of the whole state; what it is sent, like `w1 cluster: a,b`. */
class Client {
  private state = initialSotwState();
  readonly sent: string[] = [];

  world(...resources: readonly EncodedResource[]): readonly string[] {
    return this.feed({ kind: "snapshot", snapshot: snapshotOf(resources) });
  }

  ask(typeUrl: string, names: readonly string[], nonce = ""): readonly string[] {
    const request = { nodeId: undefined, typeUrl, names, nonce, error: undefined };
    return this.feed({ kind: "request", request });
  }

  private feed(input: Parameters<typeof stepSotw>[1]): readonly string[] {
    const [state, responses] = stepSotw(this.state, input);
    this.state = state;
    return responses.map(bytes => {
      const read = messageJson("envoy.service.discovery.v3.DiscoveryResponse", bytes) as Response;
      expect(read.versionInfo).to.equal(read.nonce);
      const word = Object.entries(TYPE_URLS).find(([, url]) => url === read.typeUrl)?.[0];
      return `${read.nonce ?? ""} ${word ?? ""}: ${(read.resources ?? []).length}`;
    });
  }
}

/** A resource whose bytes any message can be read from. */
const resource = (typeUrl: EncodedResource["typeUrl"], name: string, version = "1"): EncodedResource =>
  testResource(typeUrl, name, version, { size: 0 });

describe("a stream of the state of the world", () => {
  const world = [
    resource(cluster, "a"),
    resource(cluster, "b"),
    resource(listener, "l"),
    resource(endpoint, "a"),
    resource(endpoint, "b"),
    resource(route, "r"),
  ];

  it("is sent nothing before there is something, and nothing that is not asked for", () => {
    const client = new Client();
    expect(client.ask(cluster, [])).to.deep.equal([]);
    expect(client.world(...world)).to.deep.equal(["w1 cluster: 2"]);
  });

  it("is answered for each type under a nonce of its own", () => {
    const client = new Client();
    client.ask(cluster, []);
    client.ask(listener, []);
    expect(client.world(...world)).to.deep.equal(["w1 cluster: 2", "w2 listener: 1"]);
    expect(client.ask(route, ["r"])).to.deep.equal(["w3 route: 1"]);
  });

  it("means all of clusters and listeners where it names none, and nothing of the others", () => {
    const client = new Client();
    client.world(...world);
    expect(client.ask(cluster, [])).to.deep.equal(["w1 cluster: 2"]);
    expect(client.ask(listener, [])).to.deep.equal(["w2 listener: 1"]);
    expect(client.ask(endpoint, [])).to.deep.equal(["w3 endpoint: 0"]);
    expect(client.ask(route, [])).to.deep.equal(["w4 route: 0"]);
  });

  it("means all by a star, and otherwise what it names and is there", () => {
    const client = new Client();
    client.world(...world);
    expect(client.ask(endpoint, ["*"])).to.deep.equal(["w1 endpoint: 2"]);
    expect(client.ask(cluster, ["a", "none"])).to.deep.equal(["w2 cluster: 1"]);
  });

  it("is answered for types that the mesh serves", () => {
    const client = new Client();
    client.world(...world);
    expect(client.ask("type.googleapis.com/other", ["*"])).to.deep.equal([]);
    expect(client.world(resource(cluster, "a"))).to.deep.equal([]);
  });

  it("waits for the answer to what was sent last; answers to what was sent before say nothing", () => {
    const client = new Client();
    client.world(...world);
    client.ask(cluster, []);
    expect(client.world(resource(cluster, "a", "2")), "not before an answer").to.deep.equal([]);
    expect(client.ask(cluster, ["b"], "w0"), "of none that was sent").to.deep.equal([]);
    expect(client.ask(cluster, [], "w1")).to.deep.equal(["w2 cluster: 1"]);
    expect(client.ask(cluster, [], "w1"), "of an older one").to.deep.equal([]);
    expect(client.ask(cluster, [], "w2"), "nothing new").to.deep.equal([]);
    expect(client.world(resource(cluster, "a", "2"))).to.deep.equal([]);
    expect(client.world(resource(cluster, "a", "3"))).to.deep.equal(["w3 cluster: 1"]);
  });

  it("is sent what another name brings, and what is gone by its absence", () => {
    const client = new Client();
    client.world(...world);
    expect(client.ask(endpoint, ["a"])).to.deep.equal(["w1 endpoint: 1"]);
    expect(client.ask(endpoint, ["a", "b"], "w1")).to.deep.equal(["w2 endpoint: 2"]);
    client.ask(endpoint, ["a", "b"], "w2");
    expect(client.world(resource(endpoint, "b"))).to.deep.equal(["w3 endpoint: 1"]);
    // The same resources for other names: the client has asked anew and has to be told.
    expect(client.ask(endpoint, ["b"], "w3")).to.deep.equal(["w4 endpoint: 1"]);
  });

  it("is told apart names that run into each other", () => {
    const client = new Client();
    client.world(resource(endpoint, "a", "1b"), resource(endpoint, "b", "2"));
    client.ask(endpoint, ["*"]);
    client.ask(endpoint, ["*"], "w1");
    expect(client.world(resource(endpoint, "a", "1"), resource(endpoint, "b", "2"))).to.have.length(1);
  });
});
