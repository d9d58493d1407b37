import { expect } from "chai";
import fc from "fast-check";
import { KubeError, type KubeObject, type WatchEvent } from "../../../src/runtime/kube";
import { Backoff } from "../../../src/runtime/kube/backoff";
import { withQuery } from "../../../src/runtime/kube/client";
import {
  answerError,
  isConflict,
  isExpired,
  isNotFound,
  transportError,
} from "../../../src/runtime/kube/errors";
import { compareVersions, sameJson, WatchState, type Change } from "../../../src/runtime/kube/watch-state";

function object(name: string, version: number, extra: Record<string, string> = {}): KubeObject {
  return { metadata: { name, namespace: "ns", resourceVersion: String(version), labels: extra } };
}

function event(type: WatchEvent["type"], of: KubeObject): WatchEvent {
  return { type, object: of } as WatchEvent;
}

function started(project: (o: KubeObject) => unknown = o => o.metadata.labels): {
  state: WatchState<unknown>;
  changes: Change<unknown>[];
  faults: string[];
} {
  const changes: Change<unknown>[] = [];
  const faults: string[] = [];
  const state = new WatchState<unknown>(
    { project },
    change => changes.push(change),
    key => faults.push(key),
  );
  return { state, changes, faults };
}

function list(state: WatchState<unknown>, version: number, ...objects: KubeObject[]): boolean {
  state.beginList();
  state.page(objects);
  return state.endList(String(version));
}

describe("state of a watch", () => {
  it("reports a first list as one step, even an empty one, and an equal second one not at all", () => {
    const { state, changes } = started();
    list(state, 5);
    expect(changes).to.deep.equal([{ type: "reset", entries: new Map() }]);
    list(state, 6);
    expect(changes).to.have.length(1);
    list(state, 7, object("a", 7));
    list(state, 8, object("a", 8));
    expect(changes).to.have.length(2);
    list(state, 9);
    expect(changes.at(-1)).to.deep.equal({ type: "reset", entries: new Map() });
  });

  it("stops an event at the door when the projected value is the same", () => {
    const { state, changes } = started();
    list(state, 1, object("a", 1, { x: "1" }));
    const before = state.get("ns/a");
    expect(state.event(event("MODIFIED", object("a", 2, { x: "1" })))).to.equal("unchanged");
    expect(state.get("ns/a")).to.equal(before);
    expect(state.event(event("MODIFIED", object("a", 3, { x: "2" })))).to.equal("changed");
    expect(changes).to.have.length(2);
    expect(state.resourceVersion).to.equal("3");
  });

  it("drops what is older than what is known, of any kind of event", () => {
    const { state, changes } = started();
    list(state, 10, object("a", 8), object("b", 9));
    expect(state.event(event("MODIFIED", object("a", 7, { old: "1" })))).to.equal("stale");
    expect(state.event(event("DELETED", object("b", 8)))).to.equal("stale");
    expect(state.event(event("DELETED", object("a", 11)))).to.equal("changed");
    expect(state.event(event("ADDED", object("a", 11, { zombie: "1" })))).to.equal("stale");
    expect(state.event(event("ADDED", object("a", 12)))).to.equal("changed");
    expect(changes.map(change => change.type)).to.deep.equal(["reset", "delete", "upsert"]);
  });

  it("does not keep or report objects without a use, and tells when one loses its use", () => {
    const { state, changes } = started(o => (o.metadata.labels?.["use"] === undefined ? undefined : "kept"));
    list(state, 1, object("a", 1), object("b", 1, { use: "" }));
    expect([...state.values().keys()]).to.deep.equal(["ns/b"]);
    state.event(event("MODIFIED", object("b", 2)));
    state.event(event("MODIFIED", object("a", 3)));
    state.event(event("DELETED", object("a", 4)));
    expect(changes.slice(1)).to.deep.equal([{ type: "delete", key: "ns/b" }]);
  });

  it("distrusts a list from the past twice and believes it the third time", () => {
    const { state } = started();
    list(state, 100, object("a", 100));
    expect(list(state, 50)).to.equal(false);
    expect(list(state, 50)).to.equal(false);
    expect(state.get("ns/a")).not.to.equal(undefined);
    expect(list(state, 50)).to.equal(true);
    expect([state.size, state.resourceVersion]).to.deep.equal([0, "50"]);
  });

  it("keeps the last value of an object whose projection throws, and goes on with all others", () => {
    const { state, faults } = started(o => {
      if (o.metadata.labels?.["poison"] !== undefined) throw new Error("bug");
      return o.metadata.labels;
    });
    list(state, 1, object("a", 1, { fine: "1" }));
    expect(state.event(event("MODIFIED", object("a", 2, { poison: "1" })))).to.equal("unchanged");
    expect(state.event(event("ADDED", object("b", 3, { poison: "1" })))).to.equal("unchanged");
    expect(state.event(event("ADDED", object("c", 4, { fine: "1" })))).to.equal("changed");
    expect(state.get("ns/a")).to.deep.equal({ fine: "1" });
    expect(faults).to.deep.equal(["ns/a", "ns/b"]);
  });

  it("tells an expired version from other errors, and takes bookmarks forward only", () => {
    const { state } = started();
    list(state, 10);
    state.event(event("BOOKMARK", object("", 20)));
    state.event(event("BOOKMARK", object("", 15)));
    expect(state.resourceVersion).to.equal("20");
    const error = (code: number): WatchEvent => ({ type: "ERROR", object: { metadata: { name: "" }, code } });
    expect([state.event(error(410)), state.event(error(500))]).to.deep.equal(["expired", "error"]);
  });

  it("compares versions as numbers of any length", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 30n }),
        fc.bigInt({ min: 0n, max: 10n ** 30n }),
        (a, b) => {
          expect(Math.sign(compareVersions(String(a), String(b)))).to.equal(a < b ? -1 : a > b ? 1 : 0);
        },
      ),
    );
  });

  it("compares values as JSON does, but for the order of keys", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(sameJson(a, structuredClone(a))).to.equal(true);
        if (sameJson(a, b)) expect(JSON.stringify(sorted(a))).to.equal(JSON.stringify(sorted(b)));
      }),
    );
    expect(sameJson({ a: undefined }, {})).to.equal(false);
    expect(sameJson(new Map([["a", [1]]]), new Map([["a", [1]]]))).to.equal(true);
    expect(sameJson([], {})).to.equal(false);
  });
});

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, sorted(item)] as const);
  return entries.sort(([a], [b]) => (a < b ? -1 : 1));
}

describe("waiting between attempts", () => {
  it("grows from 0.1 s to 2 s, jittered, and starts again after a success", () => {
    const low = new Backoff(() => 0);
    expect(Array.from({ length: 7 }, () => low.failed())).to.deep.equal([
      50, 100, 200, 400, 800, 1_000, 1_000,
    ]);
    low.succeeded();
    expect(low.failed()).to.equal(50);
    const high = new Backoff(() => 0.999_999);
    for (let n = 0; n < 2_000; n += 1) expect(high.failed()).to.be.at.most(2_000);
    expect(high.consecutiveFailures).to.equal(2_000);
  });

  it("never comes before the time the server asked for, and honours at most a minute", () => {
    const backoff = new Backoff(() => 0.5);
    expect(backoff.failed(7)).to.equal(7_250);
    expect(backoff.failed(100_000)).to.equal(60_250);
    expect(backoff.failed(0)).to.be.at.least(100);
  });
});

describe("errors of the API server", () => {
  const status = (fields: Record<string, unknown>): string => JSON.stringify({ kind: "Status", ...fields });

  it("carry status, reason and the wait that was asked for", () => {
    const throttled = answerError("GET /x", {
      status: 429,
      body: status({ reason: "TooManyRequests", message: "slow down", details: { retryAfterSeconds: 3 } }),
      retryAfter: undefined,
    });
    expect(throttled).to.include({ status: 429, reason: "TooManyRequests", retryAfter: 3 });
    expect(throttled.message).to.equal("GET /x: 429 slow down");
    const header = answerError("GET /x", { status: 503, body: "<html>", retryAfter: "9" });
    expect(header).to.include({ status: 503, reason: "HTTP503", retryAfter: 9 });
    expect(answerError("GET /x", { status: 503, body: "", retryAfter: "Wed, 21 Oct" }).retryAfter).to.equal(
      undefined,
    );
  });

  it("are told apart", () => {
    expect(isExpired(new KubeError(410, "Expired", ""))).to.equal(true);
    expect(isNotFound(new KubeError(404, "NotFound", ""))).to.equal(true);
    expect(isConflict(new KubeError(409, "Conflict", ""))).to.equal(true);
    expect(isExpired(new Error("410"))).to.equal(false);
    const reset = transportError("GET /x", Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    expect(reset).to.include({ status: 0, reason: "ECONNRESET", message: "GET /x: reset" });
    expect(transportError("GET /x", reset)).to.equal(reset);
  });

  it("adds query parameters to paths with and without some", () => {
    expect(withQuery("/a", { b: "c=d" })).to.equal("/a?b=c%3Dd");
    expect(withQuery("/a?x=1", { b: "c" })).to.equal("/a?x=1&b=c");
    expect(withQuery("/a", {})).to.equal("/a");
  });
});
