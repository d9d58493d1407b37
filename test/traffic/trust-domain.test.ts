import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import {
  bundlePem,
  bundleVersion,
  callerDomainsOf,
  NAMES_STAND_MS,
  PROOF_STANDS_MS,
  trustDomainsOf,
  type TrustedRoot,
} from "../../src/certificate/root-rotation";
import { createRoot, loadAuthority, type Authority } from "../../src/runtime/secrets/authority";
import { builtInRoot } from "../../src/runtime/secrets/root-record";
import type { WorkloadRoots } from "../../src/runtime/secrets/workload-secrets";
import type { LoadOperations, LoadPlan, LoadResult } from "../support/load-operations";
import type { Operations } from "../support/pod-operations";
import { PolicyMesh } from "../support/policy-mesh";
import { CAST, firstPolicy, RIVAL_MAY, ROOT } from "../support/rewritten-policy";
import type { StreamOperations } from "../support/stream-operations";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
/** Requests a second, a third of them in each manner. */
const RATE = Number(process.env["OSM_LOAD"] ?? (FULL ? "500" : "90"));
/** There and back so often, and then there. */
const TURNS = Number(process.env["OSM_TURNS"] ?? (FULL ? "8" : "0"));
const PATH = "/always";
const OWN = "cluster.local";
const OTHER = "other.example";
const PLANS: readonly LoadPlan[] = [
  { host: ROOT, port: 80, path: PATH, perSecond: RATE / 3, connections: "fresh" },
  { host: ROOT, port: 80, path: PATH, perSecond: RATE / 3, connections: "kept" },
  { host: ROOT, port: 81, path: PATH, perSecond: RATE / 3, connections: "http2" },
];
const BEAT_MS = 20;
/** Beside a machine that is held up, milliseconds. */
const LONG_MS = 120_000;

interface Root {
  readonly root: TrustedRoot;
  readonly authority: Authority;
}

/** Roots as a replica has them between two moves: those that are trusted, the one that issues, and the domain that is past. */
function between(trusted: readonly Root[], issuing: Root, past?: Root): WorkloadRoots {
  const roots = trusted.map(({ root }) => root);
  return {
    issuer: issuing.authority,
    trustVersion: bundleVersion(roots),
    trustPem: bundlePem(roots),
    trustDomain: issuing.root.trustDomain ?? OWN,
    trustDomains: trustDomainsOf(roots, OWN),
    callerDomains: callerDomainsOf(
      { roots, past: { ...(past && { [past.root.trustDomain ?? OWN]: 0 }) } },
      OWN,
    ),
  };
}

describe("a mesh that goes to another trust domain under load", () => {
  let mesh: PolicyMesh;
  let load: LoadOperations;
  let streams: StreamOperations;
  let own: Root;
  let other: Root;

  before(async () => {
    mesh = await PolicyMesh.start(CAST, firstPolicy);
    own = { root: builtInRoot(mesh.authority), authority: mesh.authority };
    const { certPem, keyPem } = createRoot(Date.now());
    const authority = loadAuthority(certPem, keyPem);
    other = { root: { ...builtInRoot(authority), owner: "other", trustDomain: OTHER }, authority };
    load = mesh.program("caller", "load-app.ts") as LoadOperations;
    streams = mesh.program("rival", "stream-app.ts") as StreamOperations;
    const caller = mesh.program("caller", "pod-app.ts") as Operations;
    for (const name of ["a", "b"]) {
      const app = mesh.program(name, "pod-app.ts") as Operations;
      await Promise.all([app.serveHttp(8080), app.serveHttp2(8081), app.serveTcp(9000, "")]);
    }
    mesh.write(RIVAL_MAY);
    const calls = async (): Promise<boolean> => {
      const answer = await caller.callHttp({ host: ROOT, port: 80, path: PATH }).catch(() => undefined);
      return answer?.status === 200;
    };
    await waitFor("the caller let in", calls, LONG_MS);
    await mesh.settled();
  }).timeout(2 * LONG_MS);

  after(() => mesh.close());

  const all = (root: Root) => (): boolean =>
    mesh.issuers.length === Object.keys(CAST).length &&
    mesh.issuers.every(issuer => issuer === root.root.fingerprint);

  /** Trust, issue, drop; each when the one before it is acknowledged and has stood as long as a rotation waits. */
  async function rotate(from: Root, to: Root, done: (what: string) => void): Promise<void> {
    done("trust");
    mesh.trust(between([from, to], from));
    await mesh.settled();
    await pause(NAMES_STAND_MS);
    done("issue");
    mesh.trust(between([from, to], to));
    await waitFor("leaves of the new root", all(to), LONG_MS);
    await mesh.settled();
    await pause(PROOF_STANDS_MS);
    done("drop");
    mesh.trust(between([to], to, from));
    await mesh.settled();
    await pause(PROOF_STANDS_MS);
  }

  it(`fails no request of ${RATE} a second, and ends no stream before names of the old one are past`, async () => {
    const target = { host: ROOT, port: 80, path: PATH };
    const open = (what: () => Promise<number>): Promise<number> =>
      waitFor("a stream let in", () => what().catch(() => undefined), LONG_MS);
    const kept = [
      await open(() => streams.openTcp({ host: ROOT, port: 83 }, BEAT_MS)),
      await open(() => streams.openWebSocket(target, BEAT_MS)),
    ];
    const moves: { readonly at: number; readonly what: string }[] = [];
    const made = (what: string): void => void moves.push({ at: Date.now(), what });
    const running = await Promise.all(PLANS.map(plan => load.start(plan)));
    for (let turn = 0; turn < TURNS; turn += 1)
      for (const [from, to] of [
        [own, other],
        [other, own],
      ] as const)
        await rotate(from, to, made);
    await rotate(own, other, made);
    const states = await Promise.all(kept.map(stream => streams.state(stream)));
    made("past");
    mesh.trust(between([other], other));
    await mesh.settled();
    await waitFor(
      "the end of what the old names let in",
      async () => (await Promise.all(kept.map(stream => streams.state(stream)))).every(({ open: is }) => !is),
      LONG_MS,
    );
    const results = await Promise.all(running.map(number => load.stop(number)));
    tell(results, moves);
    for (const { open: isOpen, closedAt } of states)
      if (!isOpen) console.log(`          a stream ended ${since(closedAt, moves)}`);
    const failed = results.flatMap(({ failures }) => failures);
    verdict(
      `another trust domain, ${2 * TURNS + 1} times under ${RATE} requests a second`,
      failed.length === 0,
      {
        count: results.reduce((sum, { begun }) => sum + begun, 0),
        failed: failed.length,
        bound: "0 failed",
      },
    );
    expect(failed.map(({ what }) => what)).to.deep.equal([]);
    expect(states.map(({ open: isOpen }) => isOpen)).to.deep.equal([true, true]);
  }).timeout(LONG_MS + TURNS * LONG_MS);

  function since(at: number, moves: readonly { readonly at: number; readonly what: string }[]): string {
    const last = moves.filter(move => move.at <= at).at(-1);
    return `${at - (last?.at ?? 0)} ms after "${last?.what ?? "the start"}"`;
  }

  function tell(results: readonly LoadResult[], moves: Parameters<typeof since>[1]): void {
    for (const [index, { begun, leftOut, failures, slowestMs, heldUpMs }] of results.entries()) {
      const { connections = "" } = PLANS[index] ?? {};
      console.log(
        `        ${connections}: ${begun} requests, ${leftOut} left out, ${failures.length} failed, slowest ${slowestMs} ms, generator held up ${heldUpMs} ms`,
      );
      for (const { begunAt, endedAt, what } of failures.slice(0, 12))
        console.log(`          ${what}, begun ${since(begunAt, moves)}, ended ${endedAt - begunAt} ms later`);
    }
  }

  it("had nothing rejected by any Envoy, and no error in the engine", () => {
    expect(mesh.refused).to.deep.equal([]);
    expect(mesh.errors).to.deep.equal([]);
  });
});
