import { expect } from "chai";
import { apiKind } from "../../../src/api/kinds";
import { statusPage } from "../../../src/runtime/api/status";
import { followProgress, subjectOfKey, type Progress } from "../../../src/runtime/control-plane/progress";
import type { Engine, EngineEvent } from "../../../src/runtime/engine";
import { Fleet } from "../../../src/runtime/ledger/fleet";
import type { LedgerMessage } from "../../../src/runtime/ledger/rows";
import { readSettings } from "../../../src/runtime/settings";
import type { ProxyProgress } from "../../../src/status/conditions";
import { describedShapers } from "../../support/described-shapers";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../../support/objects";
import { expectErrors } from "../../support/told-errors";
import { routeGroup, trafficTarget } from "../../support/traffic-objects";
import { TurnedClock } from "../../support/turned-clock";
import { createWorld, encodeAsJson, quietLog, remove, upsert, type World } from "../../support/world";

const SERVICES = 6;
const PODS_EACH = 5;
/** Changes are gathered for so long, and what was compiled for the unconnected is kept so long after they have come. */
const SOON = 50;
const KEPT = 60_000;

const nameOf = (app: number, nth: number): string => `s${app}-${nth}`;
const uidOf = (app: number, nth: number): string => `uid-shop-${nameOf(app, nth)}`;
const ipOf = (app: number, nth: number): string => `10.0.${app}.${nth + 1}`;
const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);
const podsOf = (app: number): readonly TestObject[] =>
  numbers(PODS_EACH).map(nth =>
    pod({
      namespace: "shop",
      name: nameOf(app, nth),
      ips: [ipOf(app, nth)],
      labels: { app: `s${app}` },
      serviceAccount: `sa${app}`,
    }),
  );
const endpoints = (app: number, count: number): TestObject =>
  slice({
    namespace: "shop",
    service: `s${app}`,
    ports: [{ name: "http", port: 8080 }],
    endpoints: numbers(count).map(nth => ({ address: ipOf(app, nth), pod: nameOf(app, nth) })),
  });
const MESH = [
  namespace("shop"),
  ...numbers(SERVICES).flatMap(app => [
    service({
      namespace: "shop",
      name: `s${app}`,
      ports: [{ name: "http", port: 80, targetPort: 8080, appProtocol: "http" }],
    }),
    endpoints(app, PODS_EACH),
    ...podsOf(app),
  ]),
];
/** It shapes every client of the Service. */
const setting = (app: number): TestObject => ({
  apiVersion: "policy.openservicemesh.io/v1alpha1",
  kind: "UpstreamTrafficSetting",
  metadata: { name: `u${app}`, namespace: "shop", uid: `u${app}` },
  spec: { host: `s${app}.shop.svc.cluster.local`, connectionSettings: { tcp: { maxConnections: 9 } } },
});
const settingKey = (app: number): string => `UpstreamTrafficSetting.policy.openservicemesh.io/shop/u${app}`;
const ROUTES = routeGroup("shop", "all", [{ name: "all", pathRegex: ".*", methods: ["*"] }]);
/** It shapes the pods of one account, with those. */
const target = (app: number): TestObject =>
  trafficTarget({
    name: `t${app}`,
    to: `shop/sa${app}`,
    from: ["shop/sa0"],
    rules: [{ group: "all", matches: ["all"] }],
  });
const targetKey = (app: number): string => `TrafficTarget.access.smi-spec.io/shop/t${app}`;

/** The event of an object; custom ones are in their first generation. */
function event(object: TestObject): EngineEvent {
  const made = upsert(object);
  if (made.type !== "upsert" || apiKind(object.kind) === undefined) return made;
  return { ...made, compiled: { ...made.compiled, generation: 1 } } as EngineEvent;
}

/** A clock of a machine on which each look at it costs 20 ms; what is put off to the next turn waits for {@link turn}. */
class BusyClock extends TurnedClock {
  private readonly later: (() => void)[] = [];

  override now(): number {
    this.jump(20);
    return super.now();
  }

  override setTimeout(run: () => void, ms: number): { cancel(): void } {
    if (ms > 0) return super.setTimeout(run, ms);
    this.later.push(run);
    return { cancel: () => undefined };
  }

  /** Runs what was put off; false: there was nothing. */
  turn(): boolean {
    const due = this.later.splice(0);
    for (const run of due) run();
    return due.length > 0;
  }
}

/** A watcher: the real compiler, the sum over one replica whose rows the test sends, and what follows it. */
class Watcher {
  readonly world: World;
  readonly touched: string[] = [];
  readonly counts = { described: 0, followed: 0, prepared: 0 };
  readonly fleet: Fleet;
  readonly progress: Progress;
  private send: (message: LedgerMessage) => void = () => undefined;

  constructor(
    objects: readonly TestObject[],
    readonly clock: TurnedClock = new TurnedClock(),
    more: Partial<Engine> = {},
  ) {
    this.world = createWorld(encodeAsJson);
    this.engine = { ...this.counting(this.world.engine), ...more };
    this.apply(...MESH, ...objects);
    const log = quietLog();
    const expected = (): ReturnType<Engine["expectedProxies"]> => this.engine.expectedProxies();
    this.fleet = new Fleet({
      connect: (_replica, handlers) => {
        this.send = message => {
          handlers.onMessage(message);
        };
        return { close: () => undefined };
      },
      expected,
      clock,
      random: Math.random,
      log,
    });
    this.engine.onExpectedProxies(() => {
      this.fleet.expectedChanged();
    });
    const touch = ({ name }: { readonly name: string }): void => void this.touched.push(name);
    this.progress = followProgress({ engine: this.engine, fleet: this.fleet, clock, log, touch });
    this.fleet.setReplicas([{ uid: "r", name: "r", address: "", ready: true }]);
  }

  readonly engine: Engine;

  get computations(): number {
    return this.engine.stats().computations;
  }

  apply(...objects: readonly TestObject[]): void {
    for (const object of objects) this.world.engine.apply(event(object));
    this.world.engine.flush();
  }

  /** The replica says that all are connected but these. */
  unconnected(...uids: readonly string[]): void {
    const connected = [...this.engine.expectedProxies()].filter(([uid]) => !uids.includes(uid));
    const proxy = Object.fromEntries(connected.map(([uid, { name }]) => [uid, { name, config: 0 }]));
    this.send({ full: true, rows: { proxy, generation: Object.fromEntries(this.engine.generations()) } });
  }

  of(key: string): ProxyProgress | undefined {
    const subject = subjectOfKey(key);
    return subject && this.progress.of(subject, this.engine.generations().get(key) ?? 0);
  }

  /** How many unconnected proxies an object shapes; the replica counts none. */
  away(key: string): number | undefined {
    return this.of(key)?.affected;
  }

  stop(): void {
    this.progress.stop();
    this.fleet.stop();
  }

  private counting(engine: Engine): Engine {
    const { counts } = this;
    return {
      ...engine,
      describe: podUid => {
        counts.described += 1;
        return engine.describe(podUid);
      },
      followShapers: (podUid, onStale) => {
        counts.followed += 1;
        return engine.followShapers(podUid, onStale);
      },
      prepareShapers: podUids => {
        counts.prepared += 1;
        return engine.prepareShapers(podUids);
      },
    };
  }
}

const AWAY = numbers(SERVICES - 1).flatMap(app => numbers(PODS_EACH).map(nth => uidOf(app, nth)));
const ALL_SETTINGS = numbers(SERVICES).map(app => setting(app));

/** Computations of one look at so many objects with so many unconnected proxies. */
function computationsOf(objects: number, missing: number): number {
  const watcher = new Watcher(ALL_SETTINGS.slice(0, objects));
  const before = watcher.computations;
  watcher.unconnected(...AWAY.slice(0, missing));
  watcher.clock.pass(SOON);
  for (const app of numbers(objects)) expect(watcher.away(settingKey(app))).to.equal(missing);
  const counted = watcher.computations - before;
  expect(watcher.counts).to.deep.equal({ described: 0, followed: missing, prepared: 1 });
  watcher.stop();
  return counted;
}

describe("proxies that are not connected", () => {
  expectErrors(/cannot be compiled/);

  it("are asked once for all objects, and what they share is compiled once for all of them", () => {
    const [one, five] = [computationsOf(1, 1), computationsOf(1, PODS_EACH)];
    const many = computationsOf(1, AWAY.length);
    // Pods of one Service share their group as well.
    expect(five - one, "cells of each further pod").to.be.at.most(10 * (PODS_EACH - 1));
    expect(many - one, "cells of each further pod").to.be.at.most(30 * (AWAY.length - 1));
    expect(many, "not once for each").to.be.at.most(2 * one);
    const whole = computationsOf(SERVICES, AWAY.length);
    expect(whole, "whatever the number of objects").to.be.at.most(many + 10 * SERVICES);
  });

  it("are not asked again while nothing has changed, however often and late one looks", () => {
    const watcher = new Watcher(ALL_SETTINGS);
    watcher.unconnected(...AWAY);
    watcher.clock.pass(SOON);
    const before = watcher.computations;
    for (const uids of [AWAY, AWAY.slice(1), AWAY.slice(2)]) {
      watcher.clock.pass(10_000);
      watcher.unconnected(...uids);
      watcher.clock.pass(10_000);
      for (const app of numbers(SERVICES)) expect(watcher.away(settingKey(app))).to.equal(uids.length);
    }
    expect(watcher.computations - before).to.equal(0);
    expect(watcher.counts).to.deep.equal({ described: 0, followed: AWAY.length, prepared: 1 });
    watcher.stop();
  });

  it("are asked again after a change, which costs what differs", () => {
    const watcher = new Watcher([setting(0), ROUTES, target(1)]);
    watcher.unconnected(...AWAY);
    watcher.clock.pass(SOON);
    const whole = watcher.computations;
    expect([0, 1].map(app => watcher.away(settingKey(app)))).to.deep.equal([AWAY.length, undefined]);
    watcher.apply(setting(1));
    watcher.clock.pass(2_000);
    expect(watcher.away(settingKey(1)), "an object that is new").to.equal(AWAY.length);
    watcher.world.engine.apply(remove(setting(0)));
    watcher.world.engine.flush();
    watcher.clock.pass(2_000);
    expect([0, 1].map(app => watcher.away(settingKey(app)))).to.deep.equal([undefined, AWAY.length]);
    const before = watcher.computations;
    watcher.apply(endpoints(3, 1));
    watcher.clock.pass(10_000);
    expect(watcher.computations - before, "endpoints of one Service").to.be.at.most(whole / 4);
    watcher.stop();
  });

  it("are counted anew when what shapes them changes without any of the objects, and it is told", () => {
    const strict = meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false } });
    const watcher = new Watcher([strict, ROUTES, target(1), target(2)]);
    watcher.unconnected(uidOf(1, 0));
    watcher.clock.pass(SOON);
    expect([1, 2].map(app => watcher.away(targetKey(app)))).to.deep.equal([1, 0]);
    watcher.touched.length = 0;
    const [first] = podsOf(1);
    const spec = { ...(first?.["spec"] as object), serviceAccountName: "sa2" };
    watcher.apply({ ...(first as TestObject), spec });
    watcher.clock.pass(5_000);
    expect([1, 2].map(app => watcher.away(targetKey(app)))).to.deep.equal([0, 1]);
    expect(watcher.touched).to.have.members(["t1", "t2"]);
    watcher.stop();
  });

  it("are asked by no page of the status, however many objects it lists", () => {
    const watcher = new Watcher(ALL_SETTINGS);
    watcher.unconnected(...AWAY);
    watcher.clock.pass(SOON);
    const { engine, fleet, clock } = watcher;
    const settings = readSettings({}, "");
    const progress: Progress["of"] = (subject, generation) => watcher.progress.of(subject, generation);
    const sources = { engine, fleet, clock, settings, progress, version: "v0" };
    // As in force, where whoever writes the status follows the findings.
    const followed = engine.onDiagnostics(() => undefined);
    engine.flush();
    const before = watcher.computations;
    const page = statusPage({ ...sources, roots: () => undefined });
    expect(page.objects.filter(({ kind }) => kind === "UpstreamTrafficSetting")).to.have.length(SERVICES);
    expect(new Set(page.objects.map(({ affected }) => affected))).to.include(AWAY.length);
    expect(page.objects[0]?.behind).to.have.length(3);
    expect(watcher.computations - before, "for the page").to.equal(0);
    expect(watcher.counts).to.deep.equal({ described: 0, followed: AWAY.length, prepared: 1 });
    followed.close();
    watcher.stop();
  });

  it("are asked a little in each turn; meanwhile nothing is taken for done, and then it is told", () => {
    const clock = new BusyClock();
    const watcher = new Watcher(ALL_SETTINGS, clock);
    watcher.unconnected(...AWAY);
    expect(watcher.of(settingKey(0)), "not known yet").to.equal(undefined);
    clock.pass(SOON);
    let turns = 0;
    let most = 0;
    for (let before = watcher.computations; clock.turn(); before = watcher.computations) {
      turns += 1;
      most = Math.max(most, watcher.computations - before);
      const now = watcher.of(settingKey(0));
      if (now !== undefined) expect(now.affected).to.be.greaterThan(0);
    }
    expect(turns).to.be.greaterThan(AWAY.length + SERVICES);
    expect(most, "computations of one turn").to.be.at.most(60);
    expect(watcher.away(settingKey(0))).to.equal(AWAY.length);
    expect(watcher.touched.filter(name => name === "u0")).to.have.length(2);
    watcher.stop();
  });

  it("are not asked while nobody can say who is away, nor for the MeshConfig alone", () => {
    const nobody = new Watcher([]);
    nobody.unconnected(...AWAY);
    nobody.clock.pass(SOON);
    expect(nobody.counts.followed).to.equal(0);
    nobody.stop();
    const watcher = new Watcher([setting(0)]);
    watcher.clock.pass(SOON);
    expect(watcher.of(settingKey(0))).to.include({ complete: false, affected: 0 });
    expect(watcher.counts.followed).to.equal(0);
    watcher.unconnected(...AWAY);
    watcher.clock.pass(SOON);
    expect(watcher.counts.followed).to.equal(AWAY.length);
    watcher.stop();
  });

  it("leave nothing behind when they have come, after a while, or when nobody follows", () => {
    const watcher = new Watcher(ALL_SETTINGS);
    const idle = watcher.engine.stats().computedCells;
    watcher.unconnected(...AWAY);
    watcher.clock.pass(SOON);
    const busy = watcher.engine.stats().computedCells;
    expect(busy).to.be.greaterThan(idle);
    watcher.unconnected();
    watcher.clock.pass(SOON);
    expect(watcher.away(settingKey(0))).to.equal(0);
    expect(watcher.engine.stats().computedCells, "others like them come next").to.equal(busy);
    watcher.clock.pass(KEPT);
    expect(watcher.engine.stats().computedCells).to.equal(idle);
    watcher.unconnected(...AWAY);
    watcher.clock.pass(SOON);
    watcher.stop();
    expect(watcher.engine.stats().computedCells).to.equal(idle);
  });

  it("cost the others nothing when one of them cannot be compiled", () => {
    const bad = uidOf(1, 0);
    const watcher: Watcher = new Watcher([setting(0)], new TurnedClock(), {
      followShapers: (podUid, onStale) =>
        podUid === bad
          ? {
              read: () => {
                throw new Error("it cannot be compiled");
              },
              close: () => undefined,
            }
          : watcher.world.engine.followShapers(podUid, onStale),
    });
    watcher.unconnected(...AWAY);
    watcher.clock.pass(SOON);
    expect(watcher.away(settingKey(0))).to.equal(AWAY.length - 1);
    watcher.stop();
  });

  it("are shaped by what their leaves come from, also after changes", () => {
    const { world, engine, ...watcher } = new Watcher([ROUTES, setting(0), setting(1), target(1)]);
    const uids = numbers(SERVICES).map(app => uidOf(app, 0));
    const watches = uids.map(uid => engine.followShapers(uid, () => undefined));
    const changes: readonly (readonly EngineEvent[])[] = [
      [],
      [event(meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false } }))],
      [event(target(2)), event(setting(2))],
      [remove(setting(1)), remove(target(1))],
      [event(endpoints(0, 1))],
      [event(namespace("shop", { meshed: false }))],
      [event(namespace("shop"))],
    ];
    for (const events of changes) {
      for (const each of events) world.engine.apply(each);
      world.engine.flush();
      const got = watches.map(watch => [...watch.read()].sort());
      expect(got).to.deep.equal(uids.map(uid => describedShapers(world.engine, uid)));
    }
    for (const watch of watches) watch.close();
    watcher.progress.stop();
    watcher.fleet.stop();
  });
});
