import { expect } from "chai";
import { X509Certificate } from "node:crypto";
import { until } from "../../hack/cluster/progress";
import type { MadeMove, RotationState } from "../../src/certificate/root-rotation";
import { DEFAULT_TRUST_DOMAIN } from "../../src/model/mesh-words";
import { verdict } from "../support/verdict";
import { acceptedDomains, SecretHistory, type HeldSecret } from "./support/held-secrets";
import { killWriter, LiveRoots } from "./support/live-roots";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { FULL, Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { Shop } from "./support/shop";
import { SidecarAdmin } from "./support/sidecar-admin";

/** At full counts the roots go there and back until so many requests have been sent, so many a second. */
const REQUESTS = FULL ? 100_000 : 1;
const RATE = FULL ? 500 : 100;

/** The owner's CA gives names of another trust domain. */
const OTHER_DOMAIN = "other.example";

/** Longest that a PEM text's clock and a record's may differ: both are this machine's, milliseconds. */
const SAME_MS = 5;

describe("rotation of the root of the real mesh, under traffic", function () {
  this.timeout(FULL ? 1_800_000 : 600_000);
  let mesh: Mesh;
  let config: LiveMeshConfig;
  let shop: Shop;
  let own: LiveRoots | undefined;
  let sidecars: readonly SidecarAdmin[];
  let history: SecretHistory;
  /** Every move that was seen in the record, and what it was made from. */
  const moves: MadeMove[] = [];
  let kills = 0;
  /** Kills while a proof was under way, at full counts one for each move that needs one. */
  let killsInProof = 0;

  before(async () => {
    mesh = await Mesh.open();
    config = await LiveMeshConfig.of(mesh);
    shop = await Shop.open(mesh, "roots", 1);
    const pods = await Promise.all(["server", "client"].map(app => shop.namespace.readyPod(app)));
    sidecars = pods.map(pod => new SidecarAdmin(mesh, pod));
    history = new SecretHistory(sidecars);
    await config.patch({ featureFlags: { enableMeshRootCertificate: true } });
  });

  after(async () => {
    await own?.remove();
    await config.restore();
    await TestNamespace.removeAll();
  });

  /** Notes new moves; the writer is killed after the first one, at full counts after every one. */
  const look = async ({ made }: RotationState): Promise<void> => {
    const fresh = made.filter(({ at }) => at > (moves.at(-1)?.at ?? began));
    if (fresh.length === 0) {
      if (FULL) await killInProof();
      return;
    }
    moves.push(...fresh);
    if (!FULL && kills > 0) return;
    kills += 1;
    await killWriter(mesh);
  };
  let began = 0;

  /** Once after each move, as soon as the next writer says that it waits for proxies: what it has counted is lost. */
  const killInProof = async (): Promise<void> => {
    if (moves.length === 0 || killedAfter === moves.length) return;
    const { status } = (await own?.get()) ?? {};
    if (!/ of \d+ proxies (trust|hold)/.test(status?.progress ?? "")) return;
    killedAfter = moves.length;
    killsInProof += 1;
    await killWriter(mesh);
  };
  let killedAfter = 0;

  it("goes to a CA of the owner's and back with the writer killed on the way, and no request fails", async () => {
    began = Date.now();
    history.start();
    const counts = await shop.under(
      "rotation of the root",
      async () => {
        let isOwn = false;
        for (;;) {
          own ??= await LiveRoots.create(mesh, "test-root", OTHER_DOMAIN);
          if (isOwn) await own.become("passive").then(() => own?.become("inactive"));
          await own.alone(isOwn ? undefined : "test-root", look);
          isOwn = !isOwn;
          if (isOwn) continue;
          await own.says("unused");
          if ((await shop.client.stats()).sent >= REQUESTS) return;
          await own.remove();
          own = undefined;
        }
      },
      { rate: RATE },
    );
    // The last move waits for nobody: the bundle of one root is on its way when all else has ended.
    await until("one root at every sidecar", 120_000, () =>
      history.seen.every(({ trust }) => trust.at(-1)?.version.includes("+") === false),
    );
    await history.stop();
    report(
      `${moves.length} moves, the writer killed ${kills} times, and ${killsInProof} times during a proof`,
    );
    expect(counts.sent).to.be.at.least(REQUESTS);
  });

  it("made every move in its order, none twice", () => {
    const kinds = moves.map(({ kind }) => kind);
    expect(kinds.length).to.be.at.least(6);
    kinds.forEach((kind, index) => {
      expect(kind, `move ${index} of ${kinds.join(" ")}`).to.equal(
        (["trust", "issue", "drop"] as const)[index % 3],
      );
    });
    // Each three of them are about the new root, the new one, and the one before it.
    for (let index = 0; index < moves.length; index += 3)
      expect(moves[index]?.fingerprint).to.equal(moves[index + 1]?.fingerprint);
    expect(moves.flatMap(({ without }) => without)).to.deep.equal([]);
  });

  it("no sidecar had a certificate before all trusted its root, nor lost trust in a root before all had left it", () => {
    let compared = 0;
    const early: string[] = [];
    const inOrder = (what: string, first: number | undefined, then: number | undefined): void => {
      if (first === undefined || then === undefined) return;
      compared += 1;
      if (first > then + SAME_MS) early.push(`${what}: ${first - then} ms early`);
    };
    const firstOf = (
      all: readonly HeldSecret[],
      is: (version: string) => boolean,
      after: number,
      before: number,
    ): number | undefined => all.find(({ version, at }) => is(version) && at >= after && at < before)?.at;
    for (let index = 0; index < moves.length; index += 3) {
      // The bundle with both may be missed by a reader that is held up; the one after it says nothing about that.
      const isBoth = (version: string): boolean => version.split("+").length > 1;
      const [trust, issue, drop] = moves.slice(index, index + 3);
      if (trust === undefined || issue === undefined || drop === undefined) break;
      // What was missed of one rotation is not to be found in the next one.
      const next = moves[index + 3]?.at ?? Infinity;
      for (const { trust: bundles, leaf } of history.seen) {
        const trusted = firstOf(bundles, isBoth, trust.at - SAME_MS, next);
        const issued = firstOf(leaf, version => version.startsWith(issue.fingerprint), trust.at, next);
        const dropped = firstOf(bundles, version => version === issue.fingerprint, issue.at, next);
        inOrder("the record's trust, a sidecar's", trust.at, trusted);
        inOrder("a sidecar's trust, the record's issue", trusted, issue.at);
        inOrder("the record's issue, a sidecar's leaf", issue.at, issued);
        inOrder("a sidecar's leaf, the record's drop", issued, drop.at);
        inOrder("the record's drop, a sidecar's bundle", drop.at, dropped);
      }
    }
    expect(early).to.deep.equal([]);
    verdict("root rotation: order of trust and certificates at every sidecar", early.length === 0, {
      count: compared,
      failed: early.length,
      bound: "none early",
    });
    // Leaves and last bundles stay, and are missed by nobody.
    expect(compared).to.be.at.least(moves.length);
  });

  it("gave each sidecar names of the issuer's trust domain alone", () => {
    for (const { leaf } of history.seen) {
      for (const { version, pem } of leaf) {
        const isOther = moves.some(
          ({ kind, fingerprint }, index) =>
            kind === "issue" && index % 6 === 1 && version.startsWith(fingerprint),
        );
        const { subjectAltName = "" } = new X509Certificate(pem);
        expect(subjectAltName).to.contain(
          `URI:spiffe://${isOther ? OTHER_DOMAIN : DEFAULT_TRUST_DOMAIN}/ns/`,
        );
      }
    }
    expect(history.seen.flatMap(({ leaf }) => leaf).length).to.be.greaterThan(history.seen.length);
  });

  it("left the other root and its trust domain at no sidecar", async () => {
    const { roots } = (await LiveRoots.record(mesh)) ?? { roots: [] };
    const [root] = roots;
    expect(roots.map(({ owner }) => owner)).to.deep.equal([undefined]);
    for (const { trust } of history.seen) {
      expect(trust.at(-1)?.version).to.equal(root?.fingerprint);
      expect(trust.at(-1)?.pem.trim()).to.equal(root?.anchorsPem.trim());
    }
    // Listeners and clusters warm up before they take the place of others.
    for (const sidecar of sidecars)
      await until("names of the mesh's trust domain alone", 120_000, async () =>
        (await acceptedDomains(sidecar)).join() === DEFAULT_TRUST_DOMAIN ? true : undefined,
      );
  });
});
