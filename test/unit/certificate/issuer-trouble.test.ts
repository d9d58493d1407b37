import { expect } from "chai";
import { IssuerError } from "../../../src/certificate/issuer";
import { SDS_SERVICE_CERT } from "../../../src/model/mesh-words";
import type { Issuer } from "../../../src/runtime/issuers/issuer";
import { Turns } from "../../../src/runtime/issuers/turns";
import { watchedLog } from "../../support/told-errors";
import { createMetrics } from "../../../src/runtime/metrics";
import { observeIssuing } from "../../../src/runtime/observe";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { createWorkloadSecrets, rootsOf } from "../../../src/runtime/secrets/workload-secrets";
import { findResource, type ResourceSet } from "../../../src/xds/resource";
import { TURNED_START, TurnedClock } from "../../support/turned-clock";

const MINUTE = 60_000;
const root = createRoot(TURNED_START);
const authority = loadAuthority(root.certPem, root.keyPem);

/** An issuer elsewhere, of an hour's leaves, that can be away. */
function shop() {
  const state = { away: false, asked: 0 };
  const issuer: Issuer = {
    fingerprint: authority.fingerprint,
    anchorsPem: authority.anchorsPem,
    issue: async plan => {
      state.asked += 1;
      await Promise.resolve();
      if (state.away) throw new IssuerError("unavailable", "nobody answers");
      return authority.issue(plan);
    },
  };
  const clock = new TurnedClock();
  const roots = rootsOf(issuer);
  const parts = { roots, trustDomain: "cluster.local", validityMs: 60 * MINUTE, clock, log: watchedLog };
  const secrets = createWorkloadSecrets(parts);
  const received: ResourceSet[] = [];
  const subscribe = (serviceAccount: string) =>
    secrets.subscribe({ namespace: "shop", serviceAccount }, set => received.push(set));
  const metrics = createMetrics();
  observeIssuing(metrics, secrets);
  const leaf = (): string | undefined => {
    const last = received.at(-1);
    return last && findResource(last, SDS_SERVICE_CERT)?.version;
  };
  return { state, clock, secrets, subscribe, leaf, metrics };
}

describe("an issuer that fails", () => {
  it("takes no certificate from anybody, is told of by a metric, and is asked again within 30 s", async () => {
    const { state, clock, secrets, subscribe, leaf, metrics } = shop();
    subscribe("buyer");
    await clock.passSlowly(0);
    const first = leaf();
    expect(first).to.be.a("string");
    state.away = true;
    await clock.passSlowly(40 * MINUTE);
    expect(leaf(), "the leaf in use").to.equal(first);
    expect(secrets.trouble()).to.have.property("waiting", 1);
    expect(metrics.text())
      .to.contain("\nosm_cert_waiting_count 1\n")
      .and.contain("\nosm_cert_issued_count 1\n");
    // Ten minutes of failures are no storm either.
    expect(state.asked).to.be.below(200);
    state.away = false;
    await clock.passSlowly(30_000);
    expect(leaf()).to.be.a("string").and.not.equal(first);
    expect(secrets.trouble()).to.equal(undefined);
    expect(metrics.text()).to.contain("\nosm_cert_waiting_count 0\n");
  });

  it("gives a proxy that came meanwhile its first certificate within 30 s of its return", async () => {
    const { state, clock, subscribe, leaf } = shop();
    state.away = true;
    subscribe("late");
    await clock.passSlowly(10 * MINUTE);
    expect(leaf()).to.equal(undefined);
    state.away = false;
    await clock.passSlowly(30_000);
    expect(leaf()).to.be.a("string");
  });
});

describe("turns", () => {
  it("lets so many in at once, in the order they came, also after failures", async () => {
    const turns = new Turns(2);
    const begun: number[] = [];
    const ends: ((fail: boolean) => void)[] = [];
    const work = Array.from({ length: 5 }, (_, index) =>
      turns
        .run(() => {
          begun.push(index);
          return new Promise<void>((resolve, reject) =>
            ends.push(fail => {
              if (fail) reject(new Error("failed"));
              else resolve();
            }),
          );
        })
        .catch(() => undefined),
    );
    const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve));
    await settle();
    expect(begun).to.deep.equal([0, 1]);
    ends[1]?.(true);
    await settle();
    expect(begun).to.deep.equal([0, 1, 2]);
    for (const index of [0, 2, 3, 4]) {
      ends[index]?.(false);
      await settle();
    }
    await Promise.all(work);
    expect(begun).to.deep.equal([0, 1, 2, 3, 4]);
  });
});
