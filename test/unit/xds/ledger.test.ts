import { expect } from "chai";
import { encodeLeaf } from "../../../src/envoy/encode";
import { objectRefKey, type ObjectRef } from "../../../src/model/object-ref";
import { createDiffCache } from "../../../src/xds/diff";
import { isSettled, lagOf } from "../../../src/xds/ledger";
import { resourcesOf, TYPE_URLS, type EncodedResource, type Snapshot } from "../../../src/xds/resource";
import { initialStreamState, type StreamInput } from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import { snapshotOf, testResource } from "../../support/ads-rig";
import { resourceJson } from "../../support/envoy-json";
import { namespace, pod, service, slice, type TestObject } from "../../support/objects";
import { createWorld, namesIn } from "../../support/world";

const { cluster, endpoint, listener, route } = TYPE_URLS;
const split: ObjectRef = { group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name: "web" };

/** Names of route tables to which a listener refers, read from its bytes like a proxy does. */
function asksFor(resource: EncodedResource): readonly string[] {
  const found = JSON.stringify(resourceJson(resource)).matchAll(/"routeConfigName":"([^"]*)"/g);
  return [...found].map(([, name = ""]) => name);
}

/** A stream that asks for what it is told to and acknowledges all it is sent. */
class Stream {
  state = initialStreamState();
  readonly diffs = createDiffCache();
  /** What it answers with instead of acknowledging listeners. */
  refusal: string | undefined;

  take(snapshot: Snapshot): void {
    this.go({ kind: "snapshot", now: 0, snapshot });
  }

  ask(
    typeUrl: (typeof TYPE_URLS)[keyof typeof TYPE_URLS],
    subscribe: readonly string[] = [],
    nonce = "",
  ): void {
    this.go({
      kind: "request",
      now: 0,
      request: {
        typeUrl,
        nonce,
        nodeId: undefined,
        subscribe,
        unsubscribe: [],
        initialVersions: new Map(),
        error: nonce !== "" && typeUrl === listener ? this.refusal : undefined,
      },
    });
  }

  get isSettled(): boolean {
    return isSettled(this.state, this.diffs);
  }

  get lag(): unknown {
    const lag = lagOf(this.state, this.diffs);
    return lag === "everything" ? lag : [...lag];
  }

  private go(input: StreamInput): void {
    const [next, { responses }] = step(this.state, input, this.diffs);
    this.state = next;
    for (const { typeUrl, nonce } of responses) this.ask(typeUrl, [], nonce);
  }
}

describe("what a proxy has to ask for before it counts as settled", () => {
  const started = (...resources: readonly EncodedResource[]): Stream => {
    const stream = new Stream();
    stream.take(snapshotOf(resources));
    stream.ask(cluster);
    stream.ask(listener);
    return stream;
  };

  it("is each route table to which a listener refers", () => {
    const web = { ...testResource(listener, "web", "1"), needs: ["web"] };
    const stream = started(web, testResource(route, "web", "1", { origins: [split] }));
    expect([stream.isSettled, stream.lag]).to.deep.equal([false, [objectRefKey(split)]]);
    stream.ask(route, ["web"]);
    expect([stream.isSettled, stream.lag]).to.deep.equal([true, []]);
  });

  it("is none to which only a listener refers that the proxy has refused; its policy is late", () => {
    const stream = new Stream();
    stream.refusal = "Error adding/updating listener(s) web: not like this\n";
    const web = { ...testResource(listener, "web", "1"), needs: ["web"] };
    stream.take(snapshotOf([web, testResource(route, "web", "1", { origins: [split] })]));
    stream.ask(cluster);
    stream.ask(listener);
    expect([stream.isSettled, stream.lag]).to.deep.equal([true, [objectRefKey(split)]]);
  });

  it("is none to which no listener refers", () => {
    const stream = started(
      testResource(listener, "web", "1"),
      testResource(route, "web", "1", { origins: [split] }),
    );
    expect([stream.isSettled, stream.lag]).to.deep.equal([true, []]);
  });

  it("is made for no second headless Service on a pod port, nor for one without pods", () => {
    const headless = (name: string, app: string): TestObject =>
      service({
        namespace: "shop",
        name,
        selector: { app },
        clusterIPs: ["None"],
        ports: [{ name: "http", port: 8080 }],
      });
    const behind = (name: string): TestObject =>
      slice({
        namespace: "shop",
        service: name,
        ports: [{ name: "http", port: 8080 }],
        endpoints: [{ address: "10.0.0.1", pod: "db-0" }],
      });
    const client = pod({ namespace: "shop", name: "buyer", ips: ["10.1.0.1"], serviceAccount: "buyer" });
    const world = createWorld(encodeLeaf);
    world.feed(
      namespace("shop"),
      pod({ namespace: "shop", name: "db-0", ips: ["10.0.0.1"], labels: { app: "db" } }),
      client,
      headless("db", "db"),
      headless("db-peers", "db"),
      headless("empty", "nobody"),
      behind("db"),
      behind("db-peers"),
    );
    const snapshot = world.connect(client).latest();
    const listeners = [...resourcesOf(snapshot.get(listener) ?? { typeUrl: listener, layers: [] })];
    const asked = listeners.flatMap(asksFor);
    const tables = namesIn(snapshot, route);
    expect(asked).to.deep.equal(["outbound|shop/db|8080"]);
    expect(tables, "tables that somebody asks for").to.deep.equal(asked);

    const stream = new Stream();
    stream.take(snapshot);
    stream.ask(cluster);
    stream.ask(endpoint, namesIn(snapshot, endpoint));
    stream.ask(listener);
    expect(stream.isSettled, "before the table that is needed").to.equal(false);
    stream.ask(route, asked);
    expect(stream.isSettled, "once all is acknowledged").to.equal(true);
  });
});
