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

  describe("with no room for what is on its way", () => {
    const crowded = () => {
      const delivered: string[] = [];
      const turns: (() => void)[] = [];
      const states = new Map<string, StreamState>();
      const room = {
        left: 9,
        waiting: [] as (() => void)[],
        get hasRoom(): boolean {
          return this.left > 0;
        },
        whenRoom(run: () => void): void {
          this.waiting.push(run);
        },
      };
      const barrier = new Barrier<string>({
        clock: { now: () => 0, setTimeout: () => ({ cancel: () => undefined }) },
        diffs: createDiffCache(),
        stateOf: stream => states.get(stream),
        deliver: (stream, told) => {
          room.left -= 1;
          delivered.push(`${stream}: ${printed(told)}`);
        },
        room,
        soon: run => turns.push(run),
      });
      const take = (...told: readonly (readonly [string, Snapshot])[]): void => {
        for (const [stream, wanted] of told) barrier.take(stream, wanted);
        for (const run of turns.splice(0)) run();
      };
      const more = (left: number): void => {
        room.left = left;
        for (const run of room.waiting.splice(0)) run();
      };
      take(...["a", "b", "c", "d"].map(name => [name, snapshot([1], "old")] as const));
      delivered.length = 0;
      room.left = 1;
      return { barrier, delivered, take, more, states, room };
    };
    const all = (text: string) => ["a", "b", "c", "d"].map(name => [name, snapshot([1], text)] as const);

    it("tells the others as room comes, in order, of the newest that there is then", () => {
      const { delivered, take, more, barrier, room } = crowded();
      take(...all("new"));
      expect(delivered).to.deep.equal(["a: endpoints new, ports 1"]);
      expect(barrier.wanted("b")).not.to.equal(undefined);
      take(["c", snapshot([1], "newest")]);
      expect(room.waiting, "asked once").to.have.length(1);
      barrier.ended("d");
      more(1);
      expect(delivered.slice(1)).to.deep.equal(["b: endpoints new, ports 1"]);
      more(5);
      expect(delivered.slice(2)).to.deep.equal(["c: endpoints newest, ports 1"]);
      expect(barrier.wanted("c")).to.equal(undefined);
      expect(room.waiting).to.deep.equal([]);
    });

    it("tells who gains ports at once: others wait for it", () => {
      const { delivered, take, more, states, room } = crowded();
      take(...all("new"));
      room.left = 0;
      states.set("c", initialStreamState());
      take(["c", snapshot([1, 9090], "new")]);
      expect(delivered.at(-1)).to.equal("c: endpoints old, ports 1,9090");
      more(9);
      expect(delivered.filter(each => each.startsWith("b"))).to.have.length(1);
    });
  });

  describe("with streams that had many changes", () => {
    /** Time, and the pauses of streams, are set by hand. */
    const paced = () => {
      let whenTold: ((stream: string) => void) | undefined;
      const pauses = new Map<string, number>();
      const time = { now: 0 };
      const states = new Map<string, StreamState>();
      const delivered: string[] = [];
      const turns: (() => void)[] = [];
      const timers = new Map<() => void, number>();
      const barrier = new Barrier<string>({
        clock: {
          now: () => time.now,
          setTimeout: (run, ms) => {
            timers.set(run, time.now + ms);
            return { cancel: () => timers.delete(run) };
          },
        },
        diffs: createDiffCache(),
        stateOf: stream => states.get(stream),
        deliver: (stream, told) => {
          delivered.push(`${stream}: ${printed(told)}`);
          whenTold?.(stream);
        },
        pauseMs: stream => pauses.get(stream) ?? 0,
        soon: run => turns.push(run),
      });
      const take = (stream: string, wanted: Snapshot): void => {
        barrier.take(stream, wanted);
        for (const run of turns.splice(0)) run();
      };
      const pass = (ms: number): void => {
        time.now += ms;
        for (const [run, at] of [...timers]) if (at <= time.now && timers.delete(run)) run();
      };
      for (const stream of ["calm", "busy"]) take(stream, snapshot([1], "old"));
      delivered.length = 0;
      const onTold = (run: (stream: string) => void): void => void (whenTold = run);
      return { barrier, pauses, delivered, take, pass, time, timers, states, onTold };
    };

    it("lets changes of such a stream meet in one, and nobody else wait", () => {
      const { pauses, delivered, take, pass, barrier } = paced();
      pauses.set("busy", 100);
      take("busy", snapshot([1], "newer"));
      take("calm", snapshot([1], "newer"));
      take("busy", snapshot([1], "newest"));
      expect(delivered).to.deep.equal(["calm: endpoints newer, ports 1"]);
      expect(printed(barrier.wanted("busy"))).to.equal("endpoints newest, ports 1");
      pauses.delete("busy");
      pass(100);
      expect(delivered.slice(1)).to.deep.equal(["busy: endpoints newest, ports 1"]);
      expect(barrier.wanted("busy")).to.equal(undefined);
    });

    it("tells one that has waited, however much it asked for meanwhile, and forgets one that has ended", () => {
      const { pauses, delivered, take, pass, barrier, timers } = paced();
      pauses.set("busy", 100).set("calm", 250);
      take("busy", snapshot([2], "new"));
      take("calm", snapshot([2], "new"));
      pass(60);
      // Asking goes on, and so do changes: neither puts the time off.
      pauses.set("busy", 1_000);
      take("busy", snapshot([2], "newest"));
      pass(40);
      expect(delivered).to.deep.equal(["busy: endpoints newest, ports 2"]);
      barrier.ended("calm");
      pass(1_000);
      expect(delivered.length).to.equal(1);
      expect(timers.size, "timers left").to.equal(0);
    });

    it("has no time left for one that ends while another is told", () => {
      const { pauses, delivered, take, pass, barrier, timers, onTold } = paced();
      onTold(stream => {
        if (stream === "busy") barrier.ended("calm");
      });
      pauses.set("busy", 100).set("calm", 250);
      take("busy", snapshot([2], "new"));
      take("calm", snapshot([2], "new"));
      pass(100);
      expect(delivered).to.have.length(1);
      expect(timers.size).to.equal(0);
    });

    it("does not wait for a clock that was put back", () => {
      const { pauses, delivered, take, pass, time, timers } = paced();
      time.now = 3_600_000;
      pauses.set("busy", 100);
      take("busy", snapshot([2], "new"));
      pauses.delete("busy");
      time.now = 0;
      for (const run of [...timers.keys()]) timers.set(run, 100);
      pass(100);
      expect(delivered).to.deep.equal(["busy: endpoints new, ports 2"]);
    });

    it("keeps others from a port that such a stream has not been told of", () => {
      const { pauses, delivered, take, pass, barrier, states } = paced();
      states.set("busy", initialStreamState());
      pauses.set("busy", 100);
      take("busy", snapshot([1, 9090], "old"));
      barrier.moved("busy");
      take("calm", snapshot([1], "new"));
      expect(delivered).to.deep.equal(["calm: endpoints old, ports 1"]);
      pauses.delete("busy");
      pass(100);
      expect(delivered.slice(1)).to.deep.equal(["busy: endpoints old, ports 1,9090"]);
      barrier.ended("busy");
      expect(delivered.slice(2)).to.deep.equal(["calm: endpoints new, ports 1"]);
    });
  });
});
