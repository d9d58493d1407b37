/** Places on the way in: informers, projectors, listeners of events. */
import { expect } from "chai";
import { createProjectors } from "../../../../src/ingest/index";
import type { EngineEvent } from "../../../../src/runtime/engine";
import { containedClock } from "../../../../src/runtime/contained";
import { followNamespaces } from "../../../../src/runtime/control-plane/namespaces";
import { startWorld } from "../../../../src/runtime/control-plane/world";
import type { WatchEvent } from "../../../../src/runtime/kube";
import { startInformer } from "../../../../src/runtime/kube/informer";
import { startInformers, type KindProjector } from "../../../../src/runtime/kube/informers";
import type { Change } from "../../../../src/runtime/kube/watch-state";
import type { Clock, Log } from "../../../../src/runtime/ports";
import { readSettings } from "../../../../src/runtime/settings";
import { TurnedClock } from "../../../support/turned-clock";
import { listing, settled, throws, type Place } from "./place";

const random = (): number => 0.5;
const good = { metadata: { name: "good", namespace: "shop", resourceVersion: "2" } };
const bad = { metadata: { name: "bad", namespace: "shop", resourceVersion: "1" } };
const nameOf = (object: unknown): string => (object as typeof bad).metadata.name;

/** A projector of each kind: the real one, but for the one object at which it throws. */
const PROJECTORS: readonly Place[] = Object.values(createProjectors("osm")).map((row: KindProjector) => ({
  name: `projector of ${row.kind}`,
  told: `"kind":"${row.kind}","object":"shop/bad"`,
  look: async log => {
    const project = (object: unknown): unknown => (nameOf(object) === "bad" ? throws() : row.project(object));
    const projector = { kind: row.kind, apiPath: row.apiPath, key: (o: unknown) => row.key(o), project };
    const events: EngineEvent[] = [];
    const informers = startInformers({
      kube: listing({ [row.apiPath]: [bad, good] }),
      projectors: [projector],
      apply: event => events.push(event),
      clock: new TurnedClock(),
      random,
      log,
    });
    await informers.synced;
    informers.stop();
    const [event] = events;
    expect(event?.type === "reset" && [...event.items.keys()]).to.deep.equal(["shop/good"]);
  },
}));

interface Followed {
  readonly changes: Change<string>[];
  readonly clock: TurnedClock;
  readonly stop: () => void;
}

/** An informer of which one part throws. */
async function follow(
  log: Log,
  parts: Partial<Parameters<typeof startInformer<string>>[0]>,
): Promise<Followed> {
  const changes: Change<string>[] = [];
  const clock = new TurnedClock();
  const informer = startInformer<string>({
    kube: listing({ "/things": [bad, good] }),
    source: { kind: "Thing", path: "/things", project: nameOf },
    onChange: change => changes.push(change),
    clock,
    random,
    log,
    ...parts,
  });
  await settled();
  return {
    changes,
    clock,
    stop: () => {
      informer.stop();
    },
  };
}

const added = (object: object): WatchEvent => ({ type: "ADDED", object }) as WatchEvent;
const later = (name: string, version: string): object => ({ metadata: { name, resourceVersion: version } });

const INFORMERS: readonly Place[] = [
  {
    name: "informer: a key that cannot be told, in a list",
    told: "an object could not be read",
    look: async log => {
      const key = (object: unknown): string => (nameOf(object) === "bad" ? throws() : nameOf(object));
      const source = { kind: "Thing", path: "/things", project: nameOf, key };
      const { changes, stop } = await follow(log, { source });
      stop();
      expect(changes).to.deep.equal([{ type: "reset", entries: new Map([["good", "good"]]) }]);
    },
  },
  {
    name: "informer: a key that cannot be told, in a watch",
    told: "an object could not be read",
    look: async log => {
      const key = (object: unknown): string => (nameOf(object) === "bad" ? throws() : nameOf(object));
      const kube = listing(
        {},
        {
          watch: (_path, onEvent) => {
            onEvent(added(later("bad", "11")));
            onEvent(added(later("next", "12")));
            return new Promise(() => undefined);
          },
        },
      );
      const source = { kind: "Thing", path: "/things", project: nameOf, key };
      const { changes, stop } = await follow(log, { kube, source });
      stop();
      expect(changes.at(-1)).to.deep.equal({ type: "upsert", key: "next", value: "next" });
    },
  },
  {
    name: "informer: who reads changes",
    told: '"kind":"Thing","object":"bad"',
    look: async log => {
      const seen: string[] = [];
      const kube = listing(
        {},
        {
          watch: (_path, onEvent) => {
            onEvent(added(later("bad", "11")));
            onEvent(added(later("next", "12")));
            return new Promise(() => undefined);
          },
        },
      );
      const onChange = (change: Change<string>): void => {
        if (change.type === "upsert" && change.key === "bad") throws();
        if (change.type === "upsert") seen.push(change.key);
      };
      const { stop } = await follow(log, { kube, onChange });
      stop();
      expect(seen).to.deep.equal(["next"]);
    },
  },
  {
    name: "informer: the client's list",
    told: '"kind":"Thing"',
    look: async log => {
      let lists = 0;
      const whole = listing({ "/things": [good] });
      const get = <T>(path: string): Promise<T> => (lists++ === 0 ? throws() : whole.get<T>(path));
      const { changes, clock, stop } = await follow(log, { kube: { ...whole, get } });
      await clock.passSlowly(1_000);
      stop();
      expect(changes).to.have.length(1);
    },
  },
  {
    name: "informer: the client's watch",
    told: '"kind":"Thing"',
    look: async log => {
      let watches = 0;
      const watch = (_path: string, onEvent: (event: WatchEvent) => void): Promise<void> => {
        if (watches++ === 0) throws();
        onEvent(added(later("next", "12")));
        return new Promise(() => undefined);
      };
      const { changes, clock, stop } = await follow(log, { kube: listing({}, { watch }) });
      await clock.passSlowly(1_000);
      stop();
      expect(changes.at(-1)).to.deep.equal({ type: "upsert", key: "next", value: "next" });
    },
  },
];

const settings = readSettings({}, "folder");
const namespacePath = "/api/v1/namespaces";

const LISTENERS: readonly Place[] = [
  {
    name: "listener of the API server's events",
    told: "event of the API server",
    look: async log => {
      const kube = listing({ [namespacePath]: [{ metadata: { name: "shop" } }] });
      const world = startWorld(settings, { kube, clock: new TurnedClock(), random, log });
      const seen: string[] = [];
      world.onEvent(throws);
      world.onEvent(event => seen.push(event.kind));
      await world.synced;
      world.stop();
      expect(new Set(seen).size).to.equal(Object.keys(createProjectors("osm")).length);
      expect([...world.engine.namespaces().keys()]).to.deep.equal(["shop"]);
    },
  },
  {
    name: "listener of namespaces",
    told: "namespace",
    look: async log => {
      const items = ["one", "two"].map(name => ({ metadata: { name } }));
      const options = { kube: listing({ [namespacePath]: items }), clock: new TurnedClock(), random, log };
      const namespaces = followNamespaces(settings, options);
      const seen: string[] = [];
      namespaces.onChange(throws);
      namespaces.onChange(name => seen.push(name));
      await namespaces.synced;
      namespaces.stop();
      expect(seen).to.deep.equal(["one", "two"]);
    },
  },
  {
    name: "work of a timer",
    told: "contained: timer",
    look: log => {
      const turned = new TurnedClock();
      const clock: Clock = containedClock(turned, log);
      let rang = 0;
      clock.setTimeout(throws, 1);
      clock.setTimeout(() => (rang += 1), 2);
      turned.pass(3);
      expect(rang).to.equal(1);
    },
  },
];

/** All of them. */
export const INPUTS: readonly Place[] = [...PROJECTORS, ...INFORMERS, ...LISTENERS];
