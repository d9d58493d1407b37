import { expect } from "chai";
import { IssuerError } from "../../../src/certificate/issuer";
import { SDS_SERVICE_CERT } from "../../../src/model/mesh-words";
import type { Issuer } from "../../../src/runtime/issuers/issuer";
import { Turns, type Urgency } from "../../../src/runtime/issuers/turns";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { leafRoot } from "../../../src/runtime/secrets/leaf-version";
import { createWorkloadSecrets, rootsOf } from "../../../src/runtime/secrets/workload-secrets";
import { findResource } from "../../../src/xds/resource";
import { watchedLog } from "../../support/told-errors";
import { TURNED_START, TurnedClock } from "../../support/turned-clock";
import { verdict } from "../../support/verdict";

const IDENTITIES = process.env["OSM_FULL"] === "1" ? 2_000 : 200;
/** As `remote.ts` has it: requests at once, and how long one may take, milliseconds. */
const [AT_ONCE, DEADLINE_MS] = [16, 10_000];
const SECOND = 1_000;

function authorityOfItsOwn() {
  const root = createRoot(TURNED_START);
  return loadAuthority(root.certPem, root.keyPem);
}

/** An issuer elsewhere, with turns: it answers after so long, or never and the deadline passes. */
function elsewhere(clock: TurnedClock, answerMs: number | "never") {
  const authority = authorityOfItsOwn();
  const turns = new Turns(AT_ONCE);
  const state = { asked: 0 };
  const issuer: Issuer = {
    fingerprint: authority.fingerprint,
    anchorsPem: authority.anchorsPem,
    issue: (plan, wish) =>
      turns.run(() => {
        state.asked += 1;
        return new Promise((resolve, reject) => {
          const answer = (): void => {
            resolve(authority.issue(plan));
          };
          const late = (): void => {
            reject(new IssuerError("unavailable", "no answer in time"));
          };
          if (answerMs === "never") clock.setTimeout(late, DEADLINE_MS);
          else clock.setTimeout(answer, answerMs);
        });
      }, wish),
  };
  return { issuer, state };
}

/** Leaves of identities, and when each had its last one, milliseconds after the start. */
function source(clock: TurnedClock, issuer: Issuer) {
  const parts = { roots: rootsOf(issuer), trustDomain: "cluster.local", validityMs: 24 * 3_600_000 };
  const secrets = createWorkloadSecrets({ ...parts, clock, log: watchedLog });
  const held = new Map<string, { readonly root: string; readonly at: number }>();
  const subscribe = (serviceAccount: string) =>
    secrets.subscribe({ namespace: "shop", serviceAccount }, set => {
      const version = findResource(set, SDS_SERVICE_CERT)?.version;
      const root = version && leafRoot(version);
      if (root !== undefined && held.get(serviceAccount)?.root !== root)
        held.set(serviceAccount, { root, at: clock.now() - TURNED_START });
    });
  const many = (): void => {
    for (let index = 0; index < IDENTITIES; index += 1) subscribe(`sa-${index}`);
  };
  const of = ({ fingerprint }: Issuer): number =>
    [...held.values()].filter(({ root }) => root === fingerprint).length;
  return { secrets, held, subscribe, many, of };
}

describe("who waits at an issuer that issues no more", () => {
  it("is issued by the other at once, and whoever has no turn yet at the dead one is not asked for there", async () => {
    const clock = new TurnedClock();
    const dead = elsewhere(clock, "never");
    const good = authorityOfItsOwn();
    const { secrets, many, of } = source(clock, dead.issuer);
    many();
    await clock.passSlowly(SECOND);
    expect(dead.state.asked).to.equal(AT_ONCE);
    secrets.setRoots(rootsOf(good));
    await clock.passSlowly(SECOND);
    const figures = { count: IDENTITIES, failed: IDENTITIES - of(good), bound: "1 s after the rotation" };
    verdict("a queue at a dead issuer is issued by the next root", of(good) === IDENTITIES, figures);
    expect(of(good)).to.equal(IDENTITIES);
    await clock.passSlowly(5 * DEADLINE_MS);
    expect(dead.state.asked, "asked of the dead one").to.equal(AT_ONCE);
    expect([secrets.issued, secrets.trouble()], "late failures change nothing").to.deep.equal([
      IDENTITIES,
      undefined,
    ]);
    secrets.stop();
  });

  it("has its leaf renewed by the other, too", async () => {
    const clock = new TurnedClock();
    const dead = elsewhere(clock, "never");
    const [first, last] = [authorityOfItsOwn(), authorityOfItsOwn()];
    const { secrets, many, of } = source(clock, first);
    many();
    await clock.passSlowly(SECOND);
    secrets.setRoots(rootsOf(dead.issuer));
    await clock.passSlowly(6 * SECOND);
    expect([of(first), dead.state.asked]).to.deep.equal([IDENTITIES, AT_ONCE]);
    secrets.setRoots(rootsOf(last));
    await clock.passSlowly(6 * SECOND);
    expect([of(last), dead.state.asked]).to.deep.equal([IDENTITIES, AT_ONCE]);
    secrets.stop();
  });

  it("goes on waiting for the answer that counts when the one before comes late, good or bad", async () => {
    for (const answerMs of ["never", DEADLINE_MS] as const) {
      const clock = new TurnedClock();
      const slow = elsewhere(clock, answerMs);
      const next = elsewhere(clock, 2 * DEADLINE_MS);
      const { secrets, subscribe, held } = source(clock, slow.issuer);
      subscribe("buyer");
      await clock.passSlowly(SECOND);
      secrets.setRoots(rootsOf(next.issuer));
      await clock.passSlowly(DEADLINE_MS);
      expect([held.size, secrets.trouble(), next.state.asked]).to.deep.equal([0, undefined, 1]);
      await clock.passSlowly(DEADLINE_MS + SECOND);
      expect([held.get("buyer")?.root, next.state.asked]).to.deep.equal([next.issuer.fingerprint, 1]);
      expect([slow.state.asked, secrets.issued, secrets.trouble()]).to.deep.equal([1, 1, undefined]);
      secrets.stop();
    }
  });

  it("is asked anew when the root is changed to and fro, and has one leaf in the end", async () => {
    const clock = new TurnedClock();
    const [one, other] = [elsewhere(clock, SECOND), elsewhere(clock, SECOND)];
    const { secrets, subscribe, held } = source(clock, one.issuer);
    subscribe("buyer");
    for (const { issuer } of [other, one, other, one]) secrets.setRoots(rootsOf(issuer));
    await clock.passSlowly(3 * SECOND);
    expect([held.get("buyer")?.root, secrets.issued]).to.deep.equal([one.issuer.fingerprint, 1]);
    secrets.stop();
  });

  it("is not asked for when it has gone before its turn", async () => {
    const clock = new TurnedClock();
    const slow = elsewhere(clock, SECOND);
    const { secrets, subscribe, held } = source(clock, slow.issuer);
    const streams = Array.from({ length: 3 * AT_ONCE }, (_, index) => subscribe(`sa-${index}`));
    await clock.passSlowly(1);
    for (const stream of streams.slice(AT_ONCE)) stream.close();
    subscribe("late");
    await clock.passSlowly(3 * SECOND);
    expect([slow.state.asked, held.size]).to.deep.equal([AT_ONCE + 1, AT_ONCE + 1]);
    secrets.stop();
  });
});

describe("a pod that starts while an issuer is slow", () => {
  /** How long a new pod waits for its leaf, milliseconds. */
  const newPod = async (clock: TurnedClock, { subscribe, held }: ReturnType<typeof source>) => {
    const begun = clock.now() - TURNED_START;
    subscribe("new-pod");
    await clock.passSlowly(3 * SECOND);
    return (held.get("new-pod")?.at ?? Infinity) - begun;
  };

  it("does not wait behind everybody's renewals", async () => {
    const clock = new TurnedClock();
    const slow = elsewhere(clock, SECOND);
    const all = source(clock, authorityOfItsOwn());
    all.many();
    await clock.passSlowly(SECOND);
    all.secrets.setRoots(rootsOf(slow.issuer));
    await clock.passSlowly(5 * SECOND);
    expect(all.of(slow.issuer), "renewed by then").to.be.below(IDENTITIES / 1.5);
    const waited = await newPod(clock, all);
    const figures = { count: IDENTITIES, longestMs: waited, bound: 2 * SECOND };
    verdict("a new pod at an issuer of 16 a second, behind renewals", waited <= 2 * SECOND, figures);
    expect(waited).to.be.at.most(2 * SECOND);
    await clock.passSlowly((IDENTITIES / AT_ONCE + 2) * SECOND);
    expect(all.of(slow.issuer), "all in the end").to.equal(IDENTITIES + 1);
    all.secrets.stop();
  });

  it("does not wait behind those that a replica asks for as it starts, whose proxies hold leaves", async () => {
    const clock = new TurnedClock();
    const slow = elsewhere(clock, SECOND);
    const all = source(clock, slow.issuer);
    all.many();
    await clock.passSlowly(SECOND);
    const waited = await newPod(clock, all);
    const figures = { count: IDENTITIES, longestMs: waited, bound: 2 * SECOND };
    verdict("a new pod at an issuer of 16 a second, behind a replica's start", waited <= 2 * SECOND, figures);
    expect(waited).to.be.at.most(2 * SECOND);
    await clock.passSlowly((IDENTITIES / AT_ONCE + 2) * SECOND);
    expect(all.of(slow.issuer), "all in the end").to.equal(IDENTITIES + 1);
    all.secrets.stop();
  });
});

describe("turns by urgency", () => {
  const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

  /** One place, which the test hands on. */
  function onePlace() {
    const turns = new Turns(1);
    const begun: string[] = [];
    let end = (): void => undefined;
    const ask = (name: string, urgency: Urgency): void => {
      const work = (): Promise<void> => {
        begun.push(name);
        return new Promise(resolve => (end = resolve));
      };
      void turns.run(work, { urgency });
    };
    const handOn = (): Promise<void> => {
      end();
      return settle();
    };
    return { begun, ask, handOn };
  }

  it("gives three places to the most urgent, of the new ones the newest, and the fourth to the oldest", async () => {
    const { begun, ask, handOn } = onePlace();
    ask("holder", "renewal");
    for (const name of ["r1", "r2", "r3"]) ask(name, "renewal");
    for (const name of ["w1", "w2"]) ask(name, "waiting");
    for (const name of ["n1", "n2", "n3", "n4"]) ask(name, "new");
    for (let place = 0; place < 9; place += 1) await handOn();
    expect(begun.join(" ")).to.equal("holder n4 n3 n2 r1 n1 w1 w2 r2 r3");
  });

  it("lets nobody starve: behind N others everybody has a turn after 4(N+1) places, whoever comes", async () => {
    const { begun, ask, handOn } = onePlace();
    const others = 20;
    ask("holder", "new");
    for (let index = 0; index < others; index += 1) ask(`before-${index}`, "renewal");
    ask("last", "renewal");
    for (let place = 0; place < 4 * (others + 1); place += 1) {
      ask(`new-${place}`, "new");
      ask(`again-${place}`, "waiting");
      await handOn();
    }
    expect(begun).to.contain("last");
  });
});
