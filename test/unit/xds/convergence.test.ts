import { expect } from "chai";
import fc from "fast-check";
import { createDiffCache } from "../../../src/xds/diff";
import { isSynced } from "../../../src/xds/ledger";
import {
  resourceSet,
  TYPE_URLS,
  type EncodedResource,
  type ResourceSet,
  type Snapshot,
  type TypeUrl,
} from "../../../src/xds/resource";
import { initialStreamState, stepInFull, type StreamInput, type StreamState } from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import type { DeltaRequest } from "../../../src/xds/wire";
import { decodeResponse, type ReceivedResponse } from "../../support/ads-client";
import { layerOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, listener, route } = TYPE_URLS;
const NAMES = ["a", "b", "c", "d"];

/** Version per name and type: 0 is absent, 4 is a version that the client refuses. */
type World = Readonly<Record<"cluster" | "endpoint" | "listener" | "route", readonly number[]>>;

function worldOf(max: number): fc.Arbitrary<World> {
  const versions = fc.array(fc.integer({ min: 0, max }), { minLength: 4, maxLength: 4 });
  return fc.record({ cluster: versions, endpoint: versions, listener: versions, route: versions });
}
const world = worldOf(4);
const goodWorld = worldOf(3);
const TYPES = [cluster, endpoint, listener, route];

function isWildcard(typeUrl: TypeUrl): boolean {
  return typeUrl === cluster || typeUrl === listener;
}

type Action =
  | { readonly kind: "world"; readonly value: World }
  | { readonly kind: "change"; readonly part: keyof World; readonly index: number; readonly version: number }
  | { readonly kind: "answer"; readonly pick: number }
  | { readonly kind: "subscribe"; readonly type: TypeUrl; readonly name: string; readonly add: boolean }
  | { readonly kind: "reconnect" | "time" | "settle" };
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 3, arbitrary: fc.oneof(world, goodWorld).map(value => ({ kind: "world" as const, value })) },
  {
    weight: 4,
    arbitrary: fc
      .record({
        part: fc.constantFrom("cluster", "endpoint", "listener", "route"),
        index: fc.nat(3),
        version: fc.oneof(fc.nat(3), fc.nat(4)),
      })
      .map(value => ({ kind: "change" as const, ...value }) as Action),
  },
  { weight: 5, arbitrary: fc.nat(5).map(pick => ({ kind: "answer" as const, pick })) },
  {
    weight: 2,
    arbitrary: fc
      .record({ type: fc.constantFrom(endpoint, route), name: fc.constantFrom(...NAMES), add: fc.boolean() })
      .map(value => ({ kind: "subscribe" as const, ...value })),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "reconnect" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "time" as const }) },
  { weight: 2, arbitrary: fc.constant({ kind: "settle" as const }) },
);

/** Resources and sets by their content: what does not change stays the same object, as in the compiler. */
interface Known {
  readonly resources: Map<string, EncodedResource>;
  readonly sets: Map<string, ResourceSet>;
}

const nothingKnown = (): Known => ({ resources: new Map(), sets: new Map() });

function snapshot(value: World, { resources: known, sets }: Known): Snapshot {
  const set = (typeUrl: TypeUrl, versions: readonly number[]): ResourceSet => {
    const setKey = `${typeUrl} ${versions.join()}`;
    const before = sets.get(setKey);
    if (before !== undefined) return before;
    const resources = NAMES.flatMap((name, i) => {
      const version = versions[i] ?? 0;
      if (version === 0) return [];
      const key = `${typeUrl} ${name} ${version}`;
      const resource = known.get(key) ?? testResource(typeUrl, name, version === 4 ? "bad" : String(version));
      known.set(key, resource);
      return [resource];
    });
    // Two layers, so that differences of both positions occur.
    const made = resourceSet(typeUrl, layerOf(resources.slice(0, 2)), layerOf(resources.slice(2)));
    sets.set(setKey, made);
    return made;
  };
  return new Map<TypeUrl, ResourceSet>([
    [cluster, set(cluster, value.cluster)],
    [endpoint, set(endpoint, value.endpoint)],
    [listener, set(listener, value.listener)],
    [route, set(route, value.route)],
  ]);
}

/** A client by the book: wildcards for clusters and listeners, names for the rest, one answer per response. */
class Client {
  state: StreamState = initialStreamState();
  readonly held = new Map<TypeUrl, Map<string, string>>();
  readonly wanted = new Map<TypeUrl, Set<string>>();
  readonly inbox: ReceivedResponse[] = [];
  readonly refused: string[] = [];
  now = 0;

  constructor(private readonly diffs = createDiffCache()) {
    for (const typeUrl of TYPES) {
      this.held.set(typeUrl, new Map());
      this.wanted.set(typeUrl, new Set());
    }
  }

  feed(
    input:
      | { kind: "snapshot"; snapshot: Snapshot }
      | { kind: "request"; request: DeltaRequest }
      | { kind: "tick" },
  ): void {
    const timed = { ...input, now: this.now } as StreamInput;
    const inFull = stepInFull(this.state, timed, this.diffs);
    const [state, effects] = step(this.state, timed, this.diffs);
    expect([state, effects], "a short way leads elsewhere").to.deep.equal(inFull);
    this.state = state;
    for (const { bytes } of effects.responses) this.inbox.push(decodeResponse(bytes));
  }

  request(typeUrl: TypeUrl, part: Partial<DeltaRequest>): void {
    const request = {
      nodeId: undefined,
      typeUrl,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map(),
      nonce: "",
      error: undefined,
      ...part,
    };
    this.feed({ kind: "request", request });
  }

  connect(): void {
    this.state = initialStreamState();
    this.inbox.length = 0;
    for (const typeUrl of TYPES) {
      const versions = new Map(this.held.get(typeUrl));
      this.request(typeUrl, { subscribe: [...(this.wanted.get(typeUrl) ?? [])], initialVersions: versions });
    }
  }

  subscribe(typeUrl: TypeUrl, name: string, add: boolean): void {
    if (add) this.wanted.get(typeUrl)?.add(name);
    else this.wanted.get(typeUrl)?.delete(name);
    if (!add) this.held.get(typeUrl)?.delete(name);
    this.request(typeUrl, add ? { subscribe: [name] } : { unsubscribe: [name] });
  }

  wantAll(): void {
    for (const typeUrl of [endpoint, route]) for (const name of NAMES) this.wanted.get(typeUrl)?.add(name);
  }

  wants(typeUrl: TypeUrl, name: string): boolean {
    return isWildcard(typeUrl) || (this.wanted.get(typeUrl)?.has(name) ?? false);
  }

  answer(pick: number): void {
    const response = this.inbox.splice(pick % Math.max(1, this.inbox.length), 1)[0];
    if (response === undefined) return;
    const typeUrl = response.typeUrl as TypeUrl;
    const bad = response.resources.filter(r => r.version === "bad").map(r => r.name);
    this.refused.push(...bad.map(name => `${typeUrl} ${name}`));
    if (bad.length === 0 || isWildcard(typeUrl)) this.apply(typeUrl, response);
    const error = bad.length === 0 ? undefined : `Error adding: ${bad.join(", ")}: wrong`;
    this.request(typeUrl, { nonce: response.nonce, error });
  }

  /** Takes the good part of a response, as Envoy does with clusters and listeners. */
  private apply(typeUrl: TypeUrl, { resources, removed }: ReceivedResponse): void {
    const held = this.held.get(typeUrl);
    for (const { name, version } of resources) {
      if (version !== "bad" && this.wants(typeUrl, name)) held?.set(name, version);
    }
    for (const name of removed) held?.delete(name);
  }

  /** Answers everything and lets gates time out until nothing happens any more. */
  settle(): void {
    for (let round = 0; round < 100; round += 1) {
      while (this.inbox.length > 0) this.answer(0);
      this.now += 1_500;
      this.feed({ kind: "tick" });
      if (this.inbox.length === 0 && this.state.gatedSince === undefined) return;
    }
    throw new Error("does not come to rest");
  }
}

/** Plays the actions, then brings in `last` and lets the client settle. */
function play(client: Client, actions: readonly Action[], last: World): Snapshot {
  const known = nothingKnown();
  let world = last;
  let current = snapshot(last, known);
  const deliver = (next: Snapshot): void => {
    current = next;
    client.feed({ kind: "snapshot", snapshot: next });
  };
  const run = (next: Action): void => {
    switch (next.kind) {
      case "world":
        world = next.value;
        deliver(snapshot(world, known));
        return;
      case "change": {
        const versions = world[next.part].map((old, i) => (i === next.index ? next.version : old));
        world = { ...world, [next.part]: versions };
        deliver(snapshot(world, known));
        return;
      }
      case "answer":
        client.answer(next.pick);
        return;
      case "subscribe":
        client.subscribe(next.type, next.name, next.add);
        return;
      case "settle":
        client.settle();
        return;
      case "time":
        client.now += 1_000;
        client.feed({ kind: "tick" });
        return;
      case "reconnect":
        client.connect();
        deliver(current);
    }
  };
  client.connect();
  for (const next of actions) {
    client.now += 10;
    run(next);
  }
  deliver(snapshot(last, known));
  client.settle();
  return current;
}

function expectHeld(client: Client, target: Snapshot, typeUrl: TypeUrl): void {
  for (const name of NAMES) {
    if (!client.wants(typeUrl, name)) continue;
    const version = target.get(typeUrl)?.layers.flatMap(layer => layer.get(name) ?? [])[0]?.version;
    if (version === "bad" || (version === undefined && !isWildcard(typeUrl))) continue;
    expect(client.held.get(typeUrl)?.get(name), `${typeUrl} ${name}`).to.equal(version);
  }
}

describe("delta streams come to rest at what they should hold", () => {
  it("whatever happens in between", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), world, fc.boolean(), (actions, last, eager) => {
        const client = new Client();
        if (eager) client.wantAll();
        const target = play(client, actions, last);
        for (const typeUrl of TYPES) expectHeld(client, target, typeUrl);
        const refusals = [...client.state.types.values()].flatMap(type => [...type.rejected.values()]);
        expect(refusals.every(refusal => refusal.version === "bad")).to.equal(true);
        expect(isSynced(client.state, createDiffCache())).to.equal(refusals.length === 0);
      }),
      { numRuns: 300 },
    );
  });

  it("sends nothing that a reconnecting client already holds", () => {
    fc.assert(
      fc.property(goodWorld, value => {
        const client = new Client();
        client.wantAll();
        client.connect();
        client.feed({ kind: "snapshot", snapshot: snapshot(value, nothingKnown()) });
        client.settle();
        const holdsWildcards = [cluster, listener].every(
          typeUrl => (client.held.get(typeUrl)?.size ?? 0) > 0,
        );
        client.connect();
        client.feed({ kind: "snapshot", snapshot: snapshot(value, nothingKnown()) });
        expect(client.inbox.reduce((sum, r) => sum + r.resources.length + r.removed.length, 0)).to.equal(0);
        if (holdsWildcards) expect(client.inbox).to.have.length(0);
      }),
      { numRuns: 200 },
    );
  });
});
