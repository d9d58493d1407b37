import { expect } from "chai";
import { IssuerError } from "../../../src/certificate/issuer";
import type { Issuer } from "../../../src/runtime/issuers/issuer";
import {
  ignoredFor,
  readRootObject,
  RootResolver,
  WAIT_NOT_ANNOTATION,
  type RootObject,
} from "../../../src/runtime/control-plane/root-objects";
import { TurnedClock } from "../../support/turned-clock";

const SECRET = { tresor: { ca: { secretRef: { name: "own", namespace: "osm-system" } } } };
const ELSEWHERE = {
  certManager: { issuerName: "mesh", issuerKind: "Issuer", issuerGroup: "cert-manager.io" },
};

function object(name: string, spec: object, without = ""): RootObject {
  const annotations = { [WAIT_NOT_ANNOTATION]: without };
  const metadata = { name, annotations, creationTimestamp: `2026-01-01T00:00:0${name.length}Z` };
  return readRootObject({ metadata, spec } as unknown as Parameters<typeof readRootObject>[0]);
}

describe("whom a rotation does not wait for", () => {
  const named = (owner: string | undefined, ...objects: RootObject[]): readonly string[] => [
    ...ignoredFor(owner, objects),
  ];

  it("is what the roots that count say, and the one that the move is about", () => {
    const active = object("a", { role: "active" }, "shop/a");
    const inactive = object("bb", { role: "inactive" }, "*");
    expect(named("a", active, inactive)).to.deep.equal(["shop/a"]);
    expect(named(undefined, active, inactive), "towards the built-in root").to.deep.equal(["shop/a"]);
    expect(named("bb", active, inactive), "the inactive one is dropped").to.deep.equal(["shop/a", "*"]);
  });

  it("is not what a surplus root says", () => {
    const two = [object("a", { role: "active" }), object("bb", { role: "passive" }, "shop/b")];
    expect(named("a", ...two, object("ccc", { role: "passive" }, "*"))).to.deep.equal(["shop/b"]);
  });
});

describe("asking providers for their roots", () => {
  /** When a provider was asked within a time in which it is looked at every second, seconds. */
  async function asked(
    provider: object,
    fails: (turn: number) => boolean,
    seconds: number,
  ): Promise<number[]> {
    let now = 0;
    const times: number[] = [];
    const resolver = new RootResolver({
      trustDomain: "cluster.local",
      clock: { now: () => now, setTimeout: () => ({ cancel: () => undefined }) },
      random: () => 1,
      openIssuer: () => {
        times.push(now / 1_000);
        if (fails(times.length - 1)) return Promise.reject(new IssuerError("unavailable", "away"));
        return Promise.resolve({ anchorsPem: "a", fingerprint: "b".repeat(16), issue: () => expect.fail() });
      },
    });
    const root = object("own", { role: "active", provider });
    for (; now <= seconds * 1_000; now += 1_000) {
      await resolver.look([root]);
      const failed = fails(times.length - 1);
      expect(resolver.errorOf("own")).to.equal(failed ? "away" : undefined);
      expect(resolver.requestOf(root).root?.owner).to.equal(failed ? undefined : "own");
    }
    return times;
  }

  it("is rare where each answer is a certificate, and costs nothing where it is a Secret that is read", async () => {
    expect(await asked(ELSEWHERE, () => false, 1_300)).to.deep.equal([0, 600, 1_200]);
    expect(await asked(SECRET, () => false, 130)).to.deep.equal([0, 60, 120]);
  });

  it("becomes rarer while it fails, up to a minute, and begins anew after a success", async () => {
    expect(await asked(ELSEWHERE, () => true, 200)).to.deep.equal([0, 5, 15, 35, 75, 135, 195]);
    expect(await asked(SECRET, turn => turn < 2 || turn > 2, 90)).to.deep.equal([0, 5, 15, 75, 80, 90]);
  });

  it("does not wait for one that has answered before and is silent now, and takes its answer when it comes", async () => {
    const clock = new TurnedClock();
    let answer: (root: Issuer) => void = () => undefined;
    let asked = 0;
    const known: Issuer = { anchorsPem: "a", fingerprint: "a".repeat(16), issue: () => expect.fail() };
    const resolver = new RootResolver({
      trustDomain: "cluster.local",
      clock,
      random: () => 1,
      openIssuer: provider => {
        if (provider.tresor !== undefined) return Promise.resolve(known);
        asked += 1;
        return asked === 1 ? Promise.resolve(known) : new Promise(resolve => (answer = resolve));
      },
    });
    const roots = [
      object("elsewhere", { role: "active", provider: ELSEWHERE }),
      object("own", { role: "passive", provider: SECRET }),
    ];
    await resolver.look(roots);
    clock.pass(700_000);
    const look = resolver.look(roots);
    await clock.passSlowly(500);
    await look;
    expect(asked).to.equal(2);
    const rootOf = (at: number): string | undefined =>
      resolver.requestOf(roots[at] as RootObject).root?.fingerprint;
    expect([rootOf(0), rootOf(1)], "what is known goes on").to.deep.equal([
      known.fingerprint,
      known.fingerprint,
    ]);
    clock.pass(5_000);
    await resolver.look(roots);
    expect(asked, "one question at a time").to.equal(2);
    answer({ ...known, fingerprint: "b".repeat(16) });
    await clock.passSlowly(0);
    expect(rootOf(0)).to.equal("b".repeat(16));
  });
});
