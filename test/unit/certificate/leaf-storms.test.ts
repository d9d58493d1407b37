import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { keepHeldLeaf } from "../../../src/runtime/ads/held-leaf";
import { systemClock } from "../../../src/runtime/clock";
import { watchedLog } from "../../support/told-errors";
import { SDS_SERVICE_CERT } from "../../../src/model/mesh-words";
import type { Clock } from "../../../src/runtime/ports";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { Slices } from "../../../src/runtime/secrets/slices";
import {
  createWorkloadSecrets,
  rootsOf,
  type WorkloadSecrets,
} from "../../../src/runtime/secrets/workload-secrets";
import { findResource, type ResourceSet } from "../../../src/xds/resource";
import { TURNED_START, TurnedClock } from "../../support/turned-clock";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const root = createRoot(TURNED_START);
const authority = loadAuthority(root.certPem, root.keyPem);

function sourceOn(clock: Clock, validityMs: number): WorkloadSecrets {
  const parts = { roots: rootsOf(authority), trustDomain: "cluster.local", log: watchedLog };
  return createWorkloadSecrets({ ...parts, validityMs, clock });
}

/** A fleet of identities that all begin in the same moment. */
function fleet(count: number, validityMs: number, clock: Clock) {
  const secrets = sourceOn(clock, validityMs);
  const held = new Map<string, ResourceSet>();
  for (let index = 0; index < count; index += 1) {
    const serviceAccount = `sa-${index}`;
    secrets.subscribe({ namespace: "shop", serviceAccount }, set => held.set(serviceAccount, set));
  }
  return { secrets, held };
}

const ends = new WeakMap<ResourceSet, number>();

/** The end of a leaf, epoch milliseconds; 0 for none. */
function endOf(set: ResourceSet | undefined): number {
  if (set === undefined) return 0;
  const end = ends.get(set) ?? readEnd(set);
  ends.set(set, end);
  return end;
}

function readEnd(set: ResourceSet): number {
  const body = Buffer.from(findResource(set, SDS_SERVICE_CERT)?.body ?? []).toString();
  const [pem] = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(body) ?? [];
  return pem === undefined ? 0 : Date.parse(new X509Certificate(pem).validTo);
}

/** How many leaves were issued in each second of a time. */
function perSecond(clock: TurnedClock, secrets: WorkloadSecrets, seconds: number): number[] {
  return Array.from({ length: seconds }, () => {
    const before = secrets.issued;
    clock.pass(1_000);
    return secrets.issued - before;
  });
}

describe("many leaves at once", () => {
  it("are not renewed at once: a fleet that began in one moment is renewed over a tenth of the life", () => {
    const clock = new TurnedClock();
    const { secrets } = fleet(200, HOUR, clock);
    clock.pass(1);
    expect(secrets.issued).to.equal(200);
    const early = perSecond(clock, secrets, 23 * 60);
    expect(Math.max(...early), "before 40 % of the life").to.equal(0);
    const then = perSecond(clock, secrets, 8 * 60);
    expect(then.reduce((sum, count) => sum + count, 0)).to.equal(200);
    expect(Math.max(...then), "in one second, of 200 over six minutes").to.be.below(12);
    secrets.stop();
  });

  it("make no storm after the clock has jumped: they are spread over a minute while there is life left", () => {
    const clock = new TurnedClock();
    const { secrets } = fleet(200, 24 * HOUR, clock);
    clock.pass(30 * MINUTE);
    clock.jump(15 * HOUR);
    const seconds = perSecond(clock, secrets, 180);
    expect(seconds.reduce((sum, count) => sum + count, 0)).to.equal(200);
    expect(Math.max(...seconds)).to.be.below(30);
    secrets.stop();
  });

  it("are replaced within a minute and a second when the clock has jumped beyond their end", () => {
    const clock = new TurnedClock();
    const { secrets, held } = fleet(100, HOUR, clock);
    clock.pass(MINUTE);
    clock.jump(30 * 24 * HOUR);
    clock.pass(MINUTE + 1_000);
    for (const set of held.values()) expect(endOf(set) - clock.now()).to.be.above(HOUR / 2);
    secrets.stop();
  });

  it("leave a turn to others in between, and none is lost or issued twice", async () => {
    const count = 200;
    const { secrets, held } = fleet(count, HOUR, systemClock);
    expect(secrets.issued, "in the first turn").to.be.below(count / 4);
    let turns = 0;
    while (secrets.issued < count) {
      await new Promise(resolve => setImmediate(resolve));
      turns += 1;
    }
    expect(secrets.issued).to.equal(count);
    expect([...held.values()].filter(set => endOf(set) === 0)).to.deep.equal([]);
    expect(turns).to.be.above(count / 20);
    // How long a turn takes is measured by `npm run bench -- leaves`.
    secrets.stop();
  });
});

describe("work in slices", () => {
  function slices(clock: Clock) {
    const done: number[] = [];
    const work = new Slices<number>({ clock, work: item => done.push(item) });
    return { done, work };
  }

  it("is done at once while there is little, then in turns and in order, each piece once", () => {
    const clock = new TurnedClock();
    const { done, work } = slices(clock);
    for (let item = 0; item < 40; item += 1) work.add(item);
    work.add(39);
    expect(done).to.deep.equal(Array.from({ length: 8 }, (_, index) => index));
    expect(work.waiting).to.equal(32);
    work.drop(20);
    clock.pass(0);
    expect(done).to.deep.equal(Array.from({ length: 40 }, (_, index) => index).filter(index => index !== 20));
    clock.pass(10);
    work.add(50);
    expect(done.at(-1)).to.equal(50);
    expect(clock.pending).to.equal(0);
  });

  it("ends when told to", () => {
    const clock = new TurnedClock();
    const { done, work } = slices(clock);
    for (let item = 0; item < 40; item += 1) work.add(item);
    work.stop();
    clock.pass(1_000);
    expect([done.length, work.waiting, clock.pending]).to.deep.equal([8, 0, 0]);
  });
});

describe("twenty lives of a minute, with the control plane away for 25 s in each", () => {
  const LIFE_MS = MINUTE;
  const DOWN_MS = 25_000;

  /** What a proxy holds, through control planes that come and go with nothing but their CA. */
  class Proxy {
    private held: ResourceSet | undefined;
    /** Share of the life left at the worst moment while the control plane was there, and at all. */
    leastUp = 1;
    least = 1;

    constructor(
      private readonly clock: TurnedClock,
      private readonly serviceAccount: string,
    ) {}

    /** As the ADS server decides it: the leaf in hand stays until it is due, or until the source renews. */
    connect(secrets: WorkloadSecrets): void {
      const { clock, serviceAccount } = this;
      const version = this.held && findResource(this.held, SDS_SERVICE_CERT)?.version;
      let against: ResourceSet | undefined;
      secrets.subscribe({ namespace: "shop", serviceAccount }, set => {
        if (endOf(set) === 0) return;
        against ??= set;
        const kept = against === set ? keepHeldLeaf(set, version, clock.now()) : undefined;
        if (kept === undefined) this.held = against = set;
        else
          clock.setTimeout(() => {
            if (against === set) this.held = set;
          }, kept.until - clock.now());
      });
    }

    look(up: boolean): void {
      const share = (endOf(this.held) - this.clock.now()) / LIFE_MS;
      this.least = Math.min(this.least, share);
      if (up) this.leastUp = Math.min(this.leastUp, share);
    }
  }

  it("leave no proxy without a valid leaf, nor below a quarter of its life while the control plane is there", () => {
    const clock = new TurnedClock();
    const proxies = Array.from({ length: 16 }, (_, index) => new Proxy(clock, `sa-${index}`));
    for (let life = 0; life < 20; life += 1) {
      const secrets = sourceOn(clock, LIFE_MS);
      for (const proxy of proxies) proxy.connect(secrets);
      for (let second = 0; second < (LIFE_MS - DOWN_MS) / 1_000; second += 1) {
        clock.pass(1_000);
        for (const proxy of proxies) proxy.look(true);
      }
      secrets.stop();
      for (let second = 0; second < DOWN_MS / 1_000; second += 1) {
        clock.pass(1_000);
        for (const proxy of proxies) proxy.look(false);
      }
    }
    for (const { leastUp, least } of proxies) {
      expect(least, "left at the worst moment").to.be.above(0);
      expect(leastUp, "left while the control plane is there").to.be.at.least(0.25);
    }
  });
});
