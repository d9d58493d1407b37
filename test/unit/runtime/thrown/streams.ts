/** Places at the streams of proxies: a real ADS server over TLS with real clients. */
import { expect } from "chai";
import type { AdsObserver } from "../../../../src/runtime/ads/observer";
import { Barrier } from "../../../../src/runtime/ads/barrier";
import type { ConfigSource, Log, SecretSource } from "../../../../src/runtime/ports";
import { createDiffCache } from "../../../../src/xds/diff";
import { TYPE_URLS, type Snapshot } from "../../../../src/xds/resource";
import { AdsRig, plainAuthenticator, snapshotOf, testResource } from "../../../support/ads-rig";
import { TurnedClock } from "../../../support/turned-clock";
import { waitFor } from "../../../support/wait";
import { throws, type Place } from "./place";

const { cluster } = TYPE_URLS;
const version = (text: string): Snapshot => snapshotOf([testResource(cluster, "shop", text)]);

/** Two changes reach a good proxy, whatever is thrown. */
async function servesTheOther(
  rig: AdsRig,
  {
    spoil,
    meanwhile,
  }: { readonly spoil?: () => Promise<unknown>; readonly meanwhile?: () => Promise<unknown> } = {},
): Promise<void> {
  rig.world.set(version("1"));
  try {
    await spoil?.();
    const good = rig.connect("good");
    for (const typeUrl of [cluster, TYPE_URLS.listener]) good.send({ typeUrl });
    await waitFor("the first", () => good.versions(cluster)["shop"] === "1");
    rig.world.set(version("2"));
    await waitFor("the second", () => good.versions(cluster)["shop"] === "2");
    await meanwhile?.();
    expect([good.ended, rig.server.stats().streams], "no other stream is left").to.deep.equal([undefined, 1]);
  } finally {
    await rig.stop();
  }
}

/** Opens the stream of the one at which something throws, and waits for its end. */
async function openBad(rig: AdsRig, client = rig.connect("bad")): Promise<void> {
  client.send({ typeUrl: cluster });
  await waitFor("its end", () => client.ended !== undefined);
}

const SILENT: AdsObserver = {
  requested: () => undefined,
  sent: () => undefined,
  answered: () => undefined,
  converged: () => undefined,
};

const OBSERVERS: readonly Place[] = (["requested", "sent", "answered", "converged"] as const).map(method => ({
  name: `observer of streams: ${method}`,
  told: "observer of streams",
  look: async log => {
    const news = (): ReadonlyMap<string, number> => new Map([["Service", Date.now()]]);
    const rig = await AdsRig.start({ log, news });
    let thrown = 0;
    rig.server.observe({
      ...SILENT,
      [method]: () => {
        thrown += 1;
        throws();
      },
    });
    await servesTheOther(rig, { meanwhile: () => waitFor("the error", () => thrown > 0) });
  },
}));

const SOURCES: readonly Place[] = [
  {
    name: "source of configuration, at one proxy",
    told: '"pod":"bad"',
    look: async log => {
      const rig: AdsRig = await AdsRig.start({
        log,
        config: {
          subscribe: (proxy, onSnapshot) =>
            proxy.podName === "bad" ? throws() : rig.world.subscribe(proxy, onSnapshot),
        } satisfies ConfigSource,
      });
      await servesTheOther(rig, {
        spoil: () => openBad(rig),
      });
    },
  },
  {
    name: "source of secrets, at one identity",
    told: '"pod":"bad"',
    look: async log => {
      const secrets: SecretSource = {
        subscribe: (identity, onSecrets) =>
          identity.serviceAccount === "bad" ? throws() : rig.secrets.subscribe(identity, onSecrets),
      };
      const rig: AdsRig = await AdsRig.start({ log, secrets });
      rig.world.addPod({ namespace: "shop", serviceAccount: "bad" }, "bad", "uid-bad");
      await servesTheOther(rig, {
        spoil: () => openBad(rig, rig.open({ token: "shop/bad/bad/uid-bad" })),
      });
    },
  },
  {
    name: "authenticator, at one stream",
    told: "an ADS stream could not be opened",
    look: async log => {
      const rig = await AdsRig.start({
        log,
        authenticator: {
          authenticate: evidence =>
            evidence.bearerToken?.includes("bad") === true
              ? throws()
              : plainAuthenticator.authenticate(evidence),
        },
      });
      await servesTheOther(rig, {
        spoil: () => openBad(rig),
      });
    },
  },
  {
    name: "news of what a delivery follows from",
    told: '"pod":"bad"',
    look: async log => {
      let first = true;
      const news = (): ReadonlyMap<string, number> => {
        if (!first) return new Map();
        first = false;
        return throws();
      };
      const rig = await AdsRig.start({ log, news });
      rig.world.set(version("0"));
      await openBad(rig);
      await servesTheOther(rig);
    },
  },
  {
    name: "listener of the streams' ledger",
    told: "streams have moved",
    look: async log => {
      const rig = await AdsRig.start({ log });
      let told = 0;
      rig.server.ledger.onChange(throws);
      rig.server.ledger.onChange(() => (told += 1));
      await servesTheOther(rig);
      expect(told).to.be.above(0);
    },
  },
];

function barrier(
  log: Log,
  delivered: string[],
): { readonly it: Barrier<string>; readonly soon: (() => void)[]; readonly ended: readonly string[] } {
  const soon: (() => void)[] = [];
  const ended: string[] = [];
  const it = new Barrier<string>({
    clock: new TurnedClock(),
    diffs: createDiffCache(),
    stateOf: () => undefined,
    deliver: stream => {
      if (stream === "bad") throws();
      delivered.push(stream);
    },
    soon: run => soon.push(run),
    failed: (stream, error) => {
      ended.push(stream);
      log.error("configuration of a stream", { stream, error: String(error) });
    },
  });
  return { it, soon, ended };
}

const BARRIER: Place = {
  name: "delivery to one stream, at the barrier",
  told: "configuration of a stream",
  look: log => {
    const delivered: string[] = [];
    const { it, soon, ended } = barrier(log, delivered);
    for (const stream of ["good", "other"]) it.take(stream, version("1"));
    expect(() => {
      it.take("bad", version("1"));
    }, "at its beginning it is the stream's own").to.throw();
    for (const stream of ["bad", "good", "other"]) it.take(stream, version("2"));
    for (const run of soon) run();
    expect(delivered).to.deep.equal(["good", "other", "good", "other"]);
    expect(ended, "what cannot be told goes on with nothing old").to.deep.equal(["bad"]);
  },
};

/** All of them. */
export const STREAMS: readonly Place[] = [...OBSERVERS, ...SOURCES, BARRIER];
