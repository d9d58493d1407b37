import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import { objectPath, type InstallObject } from "../../src/install/object";
import { FreshWorld, proxyDisagreements, storeDisagreements } from "../chaos/agreement";
import { createPod, SERVED_PORT } from "../chaos/objects";
import { Stage } from "../chaos/stage";
import { slice, type TestObject } from "../support/objects";
import type { ApiPod } from "../support/pod-tokens";
import { trafficTarget } from "../support/traffic-objects";
import { quantile, verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
const SECONDS = FULL ? 300 : 10;
/** Addresses that come or go each second; each is a write of its own, as the slice of a busy Deployment sees them. */
const PER_SECOND = 50;
/** Addresses that come and go, and the EndpointSlices that hold them in turn. */
const ADDRESSES = 60;
const SLICES = 6;
/** Between two requests of a flow; four of the six flows are allowed. */
const EVERY_MS = FULL ? 50 : 100;
/** Simulated proxies beside five Envoys, all of which may call the Service. */
const CROWD = 8;
/** Envoys that are asked, again and again, which endpoints they have. */
const OBSERVED = ["buyer", "guest"] as const;
const LOOK_MS = 25;
const LIMIT_MS = 120_000;
/** Aim: p99 from the beginning of a write until these Envoys have the change. */
const AIM_MS = 1_000;
const STORE = { namespace: "shop", serviceAccount: "store" };
const ALLOWED: readonly string[] = ["always", "granted"];

/** A pod whose address comes and goes; one of the two real ones answers there, also after it went, as a pod that drains. */
interface Guest {
  readonly address: string;
  readonly pod: ApiPod;
  readonly slice: number;
}

/** Addresses of the run that an Envoy has as endpoints. */
async function addressesAt(stage: Stage, name: string): Promise<ReadonlySet<string>> {
  const text = await stage.sidecar(name).admin.admin("/clusters");
  const lines = text.matchAll(/::([\d.]+):\d+::cx_active::/g);
  return new Set([...lines].map(([, address = ""]) => address));
}

/** Has addresses come and go at a rate, and notes when the observed Envoys know. */
class Churn {
  due = 0;
  written = 0;
  leftOut = 0;
  readonly errors: string[] = [];
  readonly lateMs: number[] = [];
  private readonly wanted = new Set<string>();
  /** Changes that some observed Envoy does not have yet: address → when its write began. */
  private readonly pending = new Map<string, number>();
  private readonly busy = new Set<number>();
  private turn = 0;

  constructor(
    private readonly stage: Stage,
    private readonly guests: readonly Guest[],
  ) {}

  /** Begins what is due after so many seconds; an address that is on its way, or whose slice is being written, is passed over. */
  catchUp(seconds: number): void {
    for (; this.due < seconds * PER_SECOND; this.due += 1) {
      const guest = this.next();
      if (guest === undefined) this.leftOut += 1;
      else void this.turnOver(guest);
    }
  }

  /** Looks at the Envoys once. */
  async look(): Promise<void> {
    const begun = new Map(this.pending);
    const held = await Promise.all(OBSERVED.map(name => addressesAt(this.stage, name)));
    const now = performance.now();
    for (const [address, since] of begun) {
      if (!held.every(addresses => addresses.has(address) === this.wanted.has(address))) continue;
      this.lateMs.push(now - since);
      this.pending.delete(address);
    }
  }

  /** Everything that was begun is written, and the observed Envoys have it. */
  get isOver(): boolean {
    return this.busy.size === 0 && this.pending.size === 0;
  }

  /** Has every address there, one after the other; resolves once that is written. */
  async fill(): Promise<void> {
    for (const guest of this.guests) if (!this.wanted.has(guest.address)) await this.turnOver(guest);
  }

  /** The next one in turn that is at rest. */
  private next(): Guest | undefined {
    const inTurn = [...this.guests.slice(this.turn), ...this.guests.slice(0, this.turn)];
    const found = inTurn.find(guest => !this.pending.has(guest.address) && !this.busy.has(guest.slice));
    if (found !== undefined) this.turn = this.guests.indexOf(found) + 1;
    return found;
  }

  private async turnOver({ address, slice: number }: Guest): Promise<void> {
    if (!this.wanted.delete(address)) this.wanted.add(address);
    this.pending.set(address, performance.now());
    this.busy.add(number);
    const { endpoints } = sliceOf(this.guests, number, this.wanted);
    const path = `/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/${sliceName(number)}`;
    await this.stage.api.kube.mergePatch(path, { endpoints }).then(
      () => {
        this.written += 1;
      },
      (error: unknown) => {
        this.errors.push(String(error));
        this.pending.delete(address);
      },
    );
    this.busy.delete(number);
  }
}

const sliceName = (number: number): string => `store-churn-${number}`;

function sliceOf(guests: readonly Guest[], number: number, wanted: ReadonlySet<string>): TestObject {
  const there = guests.filter(guest => guest.slice === number && wanted.has(guest.address));
  return slice({
    namespace: "shop",
    name: sliceName(number),
    service: "store",
    ports: [{ name: "http", port: SERVED_PORT }],
    endpoints: there.map(({ address, pod }) => ({ address, pod: pod.name, uid: pod.uid })),
  });
}

async function apply(stage: Stage, object: TestObject): Promise<void> {
  await stage.api.kube.apply(objectPath(object as unknown as InstallObject), object, "churn");
}

/** Makes the addresses, half of them at each real pod of the Service, their pods and empty slices. */
async function inviteGuests(stage: Stage): Promise<readonly Guest[]> {
  const addresses = Array.from({ length: ADDRESSES }, (_, index) => `10.99.0.${100 + index}`);
  for (const [half, name] of ["store-0", "store-1"].entries()) {
    const own = addresses.filter((_, index) => index % 2 === half);
    const lines = own.map(address => `addr add ${address}/32 dev eth0\n`);
    stage.place(name).run(["ip", "-batch", "-"], lines.join(""));
  }
  const guests: Guest[] = [];
  for (const [index, address] of addresses.entries()) {
    const mesh = { name: `guest-${index}`, identity: STORE, ip: address, app: "store" };
    guests.push({ address, pod: await createPod(stage.api, mesh), slice: index % SLICES });
  }
  for (let number = 0; number < SLICES; number += 1) await apply(stage, sliceOf(guests, number, new Set()));
  return guests;
}

describe("endpoints that come and go fast, while requests flow (R-16)", function () {
  this.timeout(FULL ? 1_200_000 : 480_000);
  const findings: string[] = [];
  let stage: Stage;
  let churn: Churn;
  let all = 0;
  const failed: string[] = [];
  const passed: string[] = [];

  before(async () => {
    stage = await Stage.start({ replicas: 1, crowd: CROWD, leafLife: "1h" }, text => findings.push(text));
    await stage.objects.turnGrant();
    const crowd = [0, 1, 2, 3].map(number => `crowd/one-${number}`);
    await apply(
      stage,
      trafficTarget({ name: "crowd", to: "shop/store", from: crowd, rules: ["HTTPRouteGroup/all"] }),
    );
    churn = new Churn(stage, await inviteGuests(stage));
    await stage.begin(EVERY_MS);
    await waitFor("all flows as they should be", steady, LIMIT_MS);
  });
  after(async () => {
    await (stage as Stage | undefined)?.stop(false);
  });

  const right = new Set<string>();
  /** Whether the last request of every flow has ended as it should. */
  async function steady(): Promise<boolean> {
    const outcomes = await stage.take();
    for (const { name, rule } of stage.flows)
      for (const { status } of outcomes[name] ?? [])
        if ((status === 200) === ALLOWED.includes(rule)) right.add(name);
        else right.delete(name);
    return right.size === stage.flows.length;
  }

  /** Counts what has ended since the last call. */
  async function judge(): Promise<void> {
    const outcomes = await stage.take();
    for (const { name, rule } of stage.flows)
      for (const { status, path, what } of outcomes[name] ?? []) {
        all += 1;
        if (ALLOWED.includes(rule) && status !== 200) failed.push(`${path}: ${status} ${what}`);
        if (!ALLOWED.includes(rule) && status === 200) passed.push(path);
      }
  }

  it(`${PER_SECOND} addresses a second for ${SECONDS} s fail no request, and Envoys know of each soon`, async () => {
    const began = performance.now();
    const seconds = (): number => (performance.now() - began) / 1_000;
    const looking = (async () => {
      while (seconds() < SECONDS || !churn.isOver) {
        if (seconds() > SECONDS + LIMIT_MS / 1_000) throw new Error("Envoys do not get the last changes");
        await churn.look();
        await pause(LOOK_MS);
      }
    })();
    looking.catch(() => undefined);
    let judgedAt = 0;
    while (seconds() < SECONDS) {
      churn.catchUp(seconds());
      if (seconds() > judgedAt + 1) {
        judgedAt = seconds();
        await judge();
      }
      await pause(5);
    }
    const rate = churn.written / seconds();
    await looking;
    await judge();
    expect(churn.lateMs.length, "changes that were timed").to.be.above(0);
    const p99Ms = Math.round(quantile(churn.lateMs, 0.99));
    verdict(
      `R-16: ${PER_SECOND} addresses a second for ${SECONDS} s`,
      failed.length + passed.length + churn.errors.length === 0 && p99Ms <= AIM_MS,
      {
        count: all,
        failed: failed.length + passed.length,
        leftOut: churn.leftOut,
        p50Ms: Math.round(quantile(churn.lateMs, 0.5)),
        p99Ms,
        longestMs: Math.round(Math.max(...churn.lateMs)),
        bound: `0 requests; p99 ${AIM_MS} ms until ${OBSERVED.length} Envoys have a change; ${churn.written} changes, ${rate.toFixed(1)} a second`,
      },
    );
    expect(churn.errors).to.deep.equal([]);
    expect([failed, passed]).to.deep.equal([[], []]);
    expect(rate).to.be.above(PER_SECOND / 10);
    expect(p99Ms).to.be.below(10 * AIM_MS);
  });

  it("leaves every proxy with what there is", async () => {
    await churn.fill();
    await waitFor("the last addresses", async () => {
      await churn.look();
      return churn.isOver;
    });
    await waitFor("requests at an address that came", async () =>
      /::10\.99\.0\.1\d\d:\d+::rq_total::[1-9]/.test(await stage.sidecar("buyer").admin.admin("/clusters")),
    );
    const fresh = await FreshWorld.start(stage.api.kube, stage.folder);
    let differing: readonly string[] = [];
    const agree = async (): Promise<boolean> => {
      const { parties } = stage;
      differing = [
        ...(await storeDisagreements(fresh, parties)),
        ...(await proxyDisagreements(fresh, parties)),
      ];
      return differing.length === 0;
    };
    await waitFor("everybody agrees", agree, LIMIT_MS).catch(() => undefined);
    fresh.stop();
    expect(differing).to.deep.equal([]);
    await judge();
    expect([failed, passed, findings]).to.deep.equal([[], [], []]);
  });
});
