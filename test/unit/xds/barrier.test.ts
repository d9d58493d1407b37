import { expect } from "chai";
import { Barrier, HOLD_MS } from "../../../src/runtime/ads/barrier";
import { createDiffCache } from "../../../src/xds/diff";
import type { EncodedResource, Snapshot } from "../../../src/xds/resource";
import { resourceSet, resourcesOf, TYPE_URLS } from "../../../src/xds/resource";
import { initialStreamState, type StreamInput, type StreamState } from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import { layerOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, listener } = TYPE_URLS;

/** A snapshot of a proxy: ports of its own application, and what leads to others. */
function snapshot(ports: readonly number[], shared: string): Snapshot {
  const of = (...resources: EncodedResource[]) => layerOf(resources);
  const own = ports.map(port => testResource(cluster, `local|${port}`, "1"));
  return new Map([
    [cluster, resourceSet(cluster, of(testResource(cluster, "outbound|a", "1")), layerOf(own))],
    [endpoint, resourceSet(endpoint, of(testResource(endpoint, "outbound|a", shared)))],
    [listener, resourceSet(listener, of(), of(testResource(listener, "inbound", ports.join())))],
  ]);
}

/** Versions of what a snapshot shares and of its own listener. */
function printed(told: Snapshot | undefined): string {
  const version = (typeUrl: typeof endpoint | typeof listener): string => {
    const set = told?.get(typeUrl);
    return set === undefined ? "" : [...resourcesOf(set)].map(resource => resource.version).join();
  };
  return `endpoints ${version(endpoint)}, ports ${version(listener)}`;
}

describe("the barrier across proxies", () => {
  const start = (stateOf: (stream: string) => StreamState | undefined) => {
    const delivered: string[] = [];
    const turns: (() => void)[] = [];
    const alarms = new Map<() => void, number>();
    const barrier = new Barrier<string>({
      clock: {
        now: () => 0,
        setTimeout: (run, ms) => {
          alarms.set(run, ms);
          return { cancel: () => alarms.delete(run) };
        },
      },
      diffs: createDiffCache(),
      stateOf,
      deliver: (stream, told) => delivered.push(`${stream}: ${printed(told)}`),
      soon: run => turns.push(run),
    });
    const news = (...told: readonly (readonly [string, Snapshot])[]): string[] => {
      delivered.length = 0;
      for (const [stream, wanted] of told) barrier.take(stream, wanted);
      for (const run of turns.splice(0)) run();
      return [...delivered];
    };
    news(["client", snapshot([1], "old")], ["server", snapshot([8080], "old")]);
    return { barrier, news, delivered, alarms };
  };
  const moved = [
    ["client", snapshot([2], "new")],
    ["server", snapshot([8080, 9090], "new")],
  ] as const;

  it("delivers at once where no proxy gains a port", () => {
    const { news, barrier } = start(initialStreamState);
    expect(news(["client", snapshot([1], "new")], ["server", snapshot([], "new")])).to.deep.equal([
      "client: endpoints new, ports 1",
      "server: endpoints new, ports ",
    ]);
    expect(barrier.wanted("client")).to.equal(undefined);
  });

  it("tells servers first and keeps what leads to others as it was, never what is a proxy's own", () => {
    const { news, barrier, delivered } = start(stream =>
      stream === "server" ? initialStreamState() : undefined,
    );
    expect(news(...moved)).to.deep.equal([
      "server: endpoints old, ports 8080,9090",
      "client: endpoints old, ports 2",
    ]);
    expect(printed(barrier.wanted("client"))).to.equal("endpoints new, ports 2");
    expect(news(["client", snapshot([], "newer")])).to.deep.equal(["client: endpoints old, ports "]);
    delivered.length = 0;
    barrier.ended("server");
    expect(delivered).to.deep.equal(["client: endpoints newer, ports "]);
    expect(barrier.wanted("client")).to.equal(undefined);
  });

  it("ends with the acknowledgement of the ports", () => {
    const diffs = createDiffCache();
    let state = initialStreamState();
    const go = (input: StreamInput): readonly { nonce: string }[] => {
      const [next, effects] = step(state, input, diffs);
      state = next;
      return effects.responses;
    };
    const ask = (typeUrl: typeof cluster | typeof endpoint | typeof listener, nonce = "") =>
      go({
        kind: "request",
        now: 0,
        request: {
          typeUrl,
          nonce,
          nodeId: undefined,
          subscribe: typeUrl === endpoint && nonce === "" ? ["outbound|a"] : [],
          unsubscribe: [],
          initialVersions: new Map(),
          error: undefined,
        },
      });
    const { news, barrier, delivered } = start(stream => (stream === "server" ? state : undefined));
    news(...moved);
    delivered.length = 0;
    go({ kind: "snapshot", now: 0, snapshot: snapshot([8080, 9090], "old") });
    const [clusters] = ask(cluster);
    barrier.moved("server");
    const [endpoints] = [...ask(cluster, clusters?.nonce), ...ask(endpoint)];
    ask(endpoint, endpoints?.nonce);
    const [listeners] = ask(listener);
    barrier.moved("server");
    expect(delivered, "not before the listener is acknowledged").to.deep.equal([]);
    expect(listeners).to.not.equal(undefined);
    ask(listener, listeners?.nonce);
    barrier.moved("server");
    expect(delivered).to.deep.equal([
      "client: endpoints new, ports 2",
      "server: endpoints new, ports 8080,9090",
    ]);
  });

  it("ends in time when nobody acknowledges", () => {
    const { news, barrier, delivered, alarms } = start(initialStreamState);
    news(...moved);
    expect([...alarms.values()]).to.deep.equal([HOLD_MS]);
    delivered.length = 0;
    for (const run of [...alarms.keys()]) run();
    expect([...delivered].sort()).to.deep.equal([
      "client: endpoints new, ports 2",
      "server: endpoints new, ports 8080,9090",
    ]);
    expect(barrier.wanted("client")).to.equal(undefined);
    expect(HOLD_MS).to.be.at.most(5000);
  });
});
