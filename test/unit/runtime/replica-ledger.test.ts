import { expect } from "chai";
import {
  bundleVersion,
  initialRotation,
  stepRotation,
  type TrustedRoot,
} from "../../../src/certificate/root-rotation";
import { SDS_PEERS, SDS_ROOT_CERT } from "../../../src/model/mesh-words";
import type { LedgerStream } from "../../../src/runtime/ads/ledger";
import { ReplicaLedger } from "../../../src/runtime/ledger/replica";
import { createDiffCache } from "../../../src/xds/diff";
import { TYPE_URLS, type TypeUrl } from "../../../src/xds/resource";
import { initialStreamState, type StreamInput, type StreamState } from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import { snapshotOf, testResource } from "../../support/ads-rig";

const { cluster, listener, secret } = TYPE_URLS;

function rootOf(letter: string, trustDomain?: string): TrustedRoot {
  const named = trustDomain === undefined ? {} : { trustDomain };
  return { fingerprint: letter.repeat(16), owner: letter, anchorsPem: "", provider: undefined, ...named };
}

/** A stream that has just begun and holds all but the listener, which it refused. */
function refusing(trust: string, accepted = trust): StreamState {
  const diffs = createDiffCache();
  let state = initialStreamState();
  const go = (input: StreamInput): void => {
    const [next, { responses }] = step(state, input, diffs);
    state = next;
    for (const { typeUrl, nonce } of responses) ask(typeUrl, [], nonce);
  };
  const ask = (typeUrl: TypeUrl, subscribe: readonly string[] = [], nonce = ""): void => {
    const error = nonce !== "" && typeUrl === listener ? "no" : undefined;
    const common = { nodeId: undefined, unsubscribe: [], initialVersions: new Map<string, string>() };
    go({ kind: "request", now: 0, request: { ...common, typeUrl, nonce, subscribe, error } });
  };
  const resources = [
    testResource(cluster, "web", "1"),
    testResource(listener, "web", "1"),
    testResource(secret, SDS_ROOT_CERT, trust),
    testResource(secret, SDS_PEERS, accepted),
  ];
  go({ kind: "snapshot", now: 0, snapshot: snapshotOf(resources) });
  ask(cluster);
  ask(listener);
  ask(secret, [SDS_ROOT_CERT, SDS_PEERS]);
  return state;
}

describe("a replica's ledger", () => {
  it("counts nothing for watchers that have gone, and again for the next", () => {
    const timers: (() => void)[] = [];
    let counted = 0;
    const none = { close: () => undefined };
    const ledger = new ReplicaLedger({
      streams: {
        newest: () => {
          counted++;
          return [];
        },
        diffs: createDiffCache(),
        refusals: () => [],
        onChange: () => none,
      },
      engine: { generations: () => new Map(), onCompiled: () => none },
      meshConfig: { group: "", kind: "MeshConfig", namespace: "osm", name: "mesh" },
      clock: {
        now: () => 0,
        setTimeout: run => {
          timers.push(run);
          return { cancel: () => undefined };
        },
      },
    });
    const messages: string[] = [];
    const send = (message: string): boolean => messages.push(message) > 0;
    ledger.watch(send).close();
    for (const run of timers.splice(0)) run();
    expect([counted, messages.length]).to.deep.equal([0, 0]);
    ledger.watch(send);
    for (const run of timers.splice(0)) run();
    expect([counted, messages.length]).to.deep.equal([1, 1]);
    ledger.stop();
  });

  it("holds up a rotation for a new stream's refused listener only where names come that are new", () => {
    const waiting = (next: TrustedRoot, asServer?: string): readonly string[] | undefined => {
      const now = rootOf("a");
      const roots = [now, next];
      const trust = bundleVersion(roots);
      const given = { trust, issuing: now.fingerprint, domains: ["mesh", "other"] };
      const proxy = { identity: { namespace: "shop", serviceAccount: "web" }, podName: "web", podUid: "uid" };
      const stream = {
        proxy,
        openedAt: 1,
        bytesSent: 0,
        state: refusing(trust, asServer),
      } as unknown as LedgerStream;
      const none = { close: () => undefined };
      const ledger = new ReplicaLedger({
        streams: {
          newest: () => [stream],
          diffs: createDiffCache(),
          refusals: () => [],
          onChange: () => none,
        },
        engine: { generations: () => new Map(), onCompiled: () => none },
        meshConfig: { group: "", kind: "MeshConfig", namespace: "osm", name: "mesh" },
        given: () => given,
        domains: () => given.domains,
        clock: { now: () => 0, setTimeout: () => ({ cancel: () => undefined }) },
      });
      const proxies = [...ledger.rows().trust.values()];
      expect(proxies).to.deep.equal([{ name: "shop/web", trust: asServer ?? trust, domains: [] }]);
      const facts = {
        now: 0,
        fleet: { complete: true, replicas: [given], proxies, absent: new Map<string, string>() },
        gateway: undefined,
        leafLifeMs: 1_000,
        ignored: new Set<string>(),
        trustDomain: "mesh",
      };
      const to = { issuing: next.fingerprint, roots: [next] };
      return stepRotation({ ...initialRotation(now), roots }, to, facts).proof?.waiting;
    };
    expect(waiting(rootOf("b"))).to.deep.equal([]);
    expect(waiting(rootOf("b", "other"))).to.deep.equal(["shop/web"]);
    expect(waiting(rootOf("b"), rootOf("a").fingerprint), "trusted as a client alone").to.deep.equal([
      "shop/web",
    ]);
  });
});
