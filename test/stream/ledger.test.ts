import { expect } from "chai";
import { connect } from "node:tls";
import { once } from "node:events";
import { planWorkload } from "../../src/certificate/plan";
import { ADS_SAN } from "../../src/model/mesh-words";
import { objectRefKey, type ObjectRef } from "../../src/model/object-ref";
import { systemClock } from "../../src/runtime/clock";
import type { Authority } from "../../src/runtime/secrets/authority";
import { createRoot, issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import { watchLedger } from "../../src/runtime/ledger/transport";
import type { ProxyProgress } from "../../src/status/conditions";
import { TYPE_URLS } from "../../src/xds/resource";
import type { AdsRig } from "../support/ads-rig";
import { snapshotOf, testResource } from "../support/ads-rig";
import { TestLedgers, type LedgerRig } from "../support/ledger-rig";
import { waitFor } from "../support/wait";

function policy(name: string): ObjectRef {
  return { group: "split.smi-spec.io", kind: "TrafficSplit", namespace: "shop", name };
}

const ONE = policy("one");
const TWO = policy("two");
const IDENTITY = { namespace: "shop", serviceAccount: "buyer" };

const cluster = (name: string, version: string, ...origins: ObjectRef[]) =>
  testResource(TYPE_URLS.cluster, name, version, { origins });

describe("the ledger of two replicas, summed over mutual TLS", () => {
  let rigs: readonly [LedgerRig, LedgerRig];
  let ledgers: TestLedgers;
  /** Of the version whose clusters a proxy refuses to answer. */
  let stuck: string | undefined;

  beforeEach(async () => {
    stuck = undefined;
    ledgers = await TestLedgers.start(2);
    const [a, b] = ledgers.rigs;
    if (a === undefined || b === undefined) throw new Error("two rigs were asked for");
    rigs = [a, b];
  });
  afterEach(async () => {
    await ledgers.stop();
  });

  /** A proxy that asks for clusters and listeners like Envoy does. */
  const proxy = (ads: AdsRig, name: string): void => {
    const client = ads.connect(name, {
      answer: ({ resources }) => !resources.some(({ version }) => version === stuck),
    });
    client.send({ nodeId: name, typeUrl: TYPE_URLS.cluster });
    client.send({ typeUrl: TYPE_URLS.listener });
  };
  const give = (...resources: readonly ReturnType<typeof cluster>[]): void => {
    for (const { ads } of rigs) ads.world.set(snapshotOf(resources));
  };
  const progress = (ref: ObjectRef, generation = 1): ProxyProgress => ledgers.progress(ref, generation);
  const programmed = (ref: ObjectRef, count: number): Promise<unknown> =>
    waitFor(`${ref.name} on ${count} proxies`, () => {
      const { affected, programmed: done, complete, compiled } = progress(ref);
      return complete && compiled && affected === count && done === count;
    });

  it("counts proxies of all replicas, and waits for those that the object affects only", async () => {
    ledgers.compiled(ONE, 1);
    ledgers.compiled(TWO, 1);
    give(cluster("one", "1", ONE), cluster("two", "1", TWO));
    for (const [index, { ads }] of rigs.entries()) proxy(ads, `pod-${index}`);
    await programmed(ONE, 2);
    await programmed(TWO, 2);
    stuck = "2";
    give(cluster("one", "2", ONE), cluster("two", "1", TWO));
    await waitFor("the object that is stuck", () => progress(ONE).programmed === 0);
    expect(progress(ONE)).to.include({ affected: 2, refused: 0, complete: true });
    expect(progress(ONE).behind).to.have.members(["shop/pod-0", "shop/pod-1"]);
    expect(progress(TWO)).to.include({ affected: 2, programmed: 2 });
    expect(progress(policy("nobody's"), 0)).to.include({ affected: 0, programmed: 0, complete: true });
  });

  it("does not take an older generation for the new one, whatever is acknowledged", async () => {
    ledgers.compiled(ONE, 1);
    give(cluster("one", "1", ONE));
    proxy(rigs[0].ads, "pod-0");
    await programmed(ONE, 1);
    expect(progress(ONE, 2)).to.include({ affected: 1, programmed: 1, compiled: false });
    rigs[0].reports.compile(objectRefKey(ONE), 2);
    await waitFor("one replica", () =>
      ledgers.fleet.view().replicas.some(r => [...r.generation.values()][0] === 2),
    );
    expect(progress(ONE, 2).compiled, "one of two replicas has read it").to.equal(false);
    rigs[1].reports.compile(objectRefKey(ONE), 2);
    await waitFor("both replicas", () => progress(ONE, 2).compiled);
  });

  it("counts what is to be removed, and a live proxy that is connected nowhere", async () => {
    ledgers.compiled(ONE, 1);
    give(cluster("one", "1", ONE), cluster("two", "1"));
    proxy(rigs[0].ads, "pod-0");
    await programmed(ONE, 1);
    ledgers.expect("uid-away", { namespace: "shop", name: "away" });
    expect(progress(ONE)).to.include({ affected: 2, programmed: 1 });
    expect(progress(ONE).behind).to.deep.equal(["shop/away (not connected)"]);
    ledgers.expect("uid-away", undefined);
    stuck = "2";
    give(cluster("two", "2"));
    await waitFor("the removal that is held back", () => progress(ONE).programmed === 0);
    expect(progress(ONE)).to.include({ affected: 1 });
  });

  it("does not know the sum while a replica cannot be asked, and knows it again afterwards", async () => {
    ledgers.compiled(ONE, 1);
    give(cluster("one", "1", ONE));
    for (const [index, { ads }] of rigs.entries()) proxy(ads, `pod-${index}`);
    await programmed(ONE, 2);
    await rigs[1].stopLedger();
    await waitFor("the loss", () => !progress(ONE).complete);
    await rigs[1].startLedger();
    await programmed(ONE, 2);
    ledgers.setReady(1, false);
    await rigs[1].stopLedger();
    await waitFor("the end of a replica that takes no proxies any more", () => progress(ONE).affected === 1);
    expect(progress(ONE).complete).to.equal(true);
  });

  it("MeshConfig waits for every proxy to hold everything once, and is not undone by later changes", async () => {
    give(cluster("one", "1", ONE));
    proxy(rigs[0].ads, "pod-0");
    ledgers.compiled(ledgers.meshConfig, 5);
    const config = (): ProxyProgress => progress(ledgers.meshConfig, 5);
    await waitFor("the proxy", () => config().programmed === 1 && config().compiled);
    stuck = "2";
    give(cluster("one", "2", ONE));
    ledgers.compiled(ONE, 2);
    await waitFor("a change under way", () => progress(ONE, 2).programmed === 0);
    expect(config()).to.include({ affected: 1, programmed: 1 });
    ledgers.compiled(ledgers.meshConfig, 6);
    await waitFor("the next generation", () => progress(ledgers.meshConfig, 6).compiled);
    expect(progress(ledgers.meshConfig, 6)).to.include({ affected: 1, programmed: 0 });
  });

  it("tells nobody of an end who has closed it", async () => {
    const ends: string[] = [];
    const first = () =>
      new Promise<{ close(): void }>(resolve => {
        const watch = watchLedger({
          address: `127.0.0.1:${rigs[0].ledgerPort}`,
          authority: ledgers.authority,
          clock: systemClock,
          onMessage: () => {
            resolve(watch);
          },
          onEnd: reason => ends.push(reason),
        });
      });
    (await first()).close();
    // A whole connection later, the end of the one before would have been told.
    (await first()).close();
    (await first()).close();
    expect(ends).to.deep.equal([]);
  });

  it("is for the control plane only: no certificate, a workload's, a server's, another root's are refused", async () => {
    const lifetime = { now: Date.now(), validityMs: 60_000 };
    const { authority } = ledgers;
    const ask = (pair: { certPem: string; keyPem: string }): Promise<string> =>
      new Promise((resolve, reject) => {
        // An authority that has only this certificate to give.
        const forger: Authority = { ...authority, issue: () => ({ ...pair, notAfter: 0, serial: "" }) };
        const watch = watchLedger({
          address: `127.0.0.1:${rigs[0].ledgerPort}`,
          authority: forger,
          clock: systemClock,
          onMessage: () => {
            reject(new Error("the ledger was told"));
          },
          onEnd: reason => {
            watch.close();
            resolve(reason);
          },
        });
      });
    expect(await ask(authority.issue(planWorkload(IDENTITY, "cluster.local", lifetime)))).to.contain(
      "for the control plane only",
    );
    expect(await ask(issueServing(authority, [ADS_SAN], lifetime))).to.not.contain(
      "for the control plane only",
    );
    const root = createRoot(Date.now());
    const other = loadAuthority(root.certPem, root.keyPem);
    expect(await ask(other.issue(planWorkload(IDENTITY, "cluster.local", lifetime)))).to.be.a("string");
    const bare = connect({ host: "127.0.0.1", port: rigs[0].ledgerPort, rejectUnauthorized: false });
    const [error] = (await Promise.race([once(bare, "error"), once(bare, "close")])) as unknown[];
    expect(error, "closed without a certificate").to.not.equal(undefined);
    bare.destroy();
  });
});
