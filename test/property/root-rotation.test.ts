import { expect } from "chai";
import fc from "fast-check";
import { trusts, type FleetTrust, type RotationFacts } from "../../src/certificate/root-proof";
import {
  bundleVersion,
  initialRotation,
  NAMES_STAND_MS,
  PROOF_STANDS_MS,
  stepRotation,
  trustDomainsOf,
  type RotationState,
  type TrustedRoot,
  type WantedRoots,
} from "../../src/certificate/root-rotation";
import { parseRotation, printRotation } from "../../src/certificate/rotation-record";

/** Histories tried; the full count by `OSM_FULL=1`. */
const RUNS = process.env["OSM_FULL"] === "1" ? 5_000 : 400;
const LEAF_MS = 60_000;
/** Steps of a history: long enough for several rotations one after the other. */
const STEPS = { minLength: 60, maxLength: 120 };
const PROXIES = 4;
const REPLICAS = 2;

const ROOTS: readonly TrustedRoot[] = ["a", "b", "c"].map(letter => ({
  fingerprint: letter.repeat(16),
  owner: letter,
  anchorsPem: `-----BEGIN CERTIFICATE-----\n${letter}\n-----END CERTIFICATE-----\n`,
  provider: undefined,
  // One of them is in another trust domain.
  ...(letter === "b" ? { trustDomain: "other" } : {}),
}));
const MESH_DOMAIN = "mesh";

/** Trust domain of the leaves of a root. */
function domainOf(issuer: string): string {
  return ROOTS.find(({ fingerprint }) => fingerprint === issuer)?.trustDomain ?? MESH_DOMAIN;
}

function rootAt(index: number): TrustedRoot {
  const root = ROOTS[index % ROOTS.length];
  if (root === undefined) throw new Error("no such root");
  return root;
}

type ProxyAct = "deliver" | "trustOnly" | "secretsOnly" | "configOnly" | "leave" | "restart" | "die";
type Act =
  /** What operators want: to issue from one root, and to trust another besides, perhaps. */
  | { readonly do: "want"; readonly issue: number; readonly beside: number }
  | { readonly do: "tick" }
  | { readonly do: "kill" }
  | { readonly do: "apply" | "replace"; readonly replica: number }
  | { readonly do: ProxyAct; readonly proxy: number }
  | { readonly do: "connect"; readonly proxy: number; readonly replica: number }
  | { readonly do: "pass"; readonly ms: number }
  /** All goes well but for one proxy and one replica (a number beyond the last: for none). */
  | { readonly do: "round"; readonly proxy: number; readonly replica: number };

const proxy = fc.nat(PROXIES - 1);
const replica = fc.nat(REPLICAS - 1);
const kinds = <K extends string>(...names: readonly K[]): fc.Arbitrary<K> => fc.constantFrom(...names);
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: kinds("want"), issue: fc.nat(2), beside: fc.nat(3) }) },
  { weight: 8, arbitrary: fc.record({ do: kinds("tick") }) },
  { weight: 1, arbitrary: fc.record({ do: kinds("kill") }) },
  { weight: 6, arbitrary: fc.record({ do: kinds("apply"), replica }) },
  { weight: 1, arbitrary: fc.record({ do: kinds("replace"), replica }) },
  {
    weight: 12,
    arbitrary: fc.record({ do: kinds("deliver", "trustOnly", "secretsOnly", "configOnly"), proxy }),
  },
  { weight: 2, arbitrary: fc.record({ do: kinds("leave", "restart", "die"), proxy }) },
  { weight: 6, arbitrary: fc.record({ do: kinds("connect"), proxy, replica }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: kinds("round"), proxy: fc.nat(PROXIES), replica: fc.nat(REPLICAS) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: kinds("pass"),
      ms: fc.constantFrom(100, ...Array<number>(20).fill(PROOF_STANDS_MS), LEAF_MS / 2, LEAF_MS),
    }),
  },
);

interface SimProxy {
  uid: number;
  /** undefined: it is away. */
  replica: number | undefined;
  trust: string | null;
  /** Trust domains that its configuration accepts; null: it has none yet. */
  domains: readonly string[] | null;
  leaf: { readonly issuer: string; readonly until: number } | null;
}

/** A mesh in which everything takes as long as chance wants, except that what is persisted stays so. */
class World {
  now = 1_000_000;
  private uids = 0;
  private persisted: string;
  private memory: RotationState;
  private wanted: WantedRoots = { issuing: rootAt(0).fingerprint, roots: [rootAt(0)] };
  private readonly replicas: RotationState[];
  private readonly proxies: SimProxy[];

  constructor() {
    this.memory = initialRotation(rootAt(0));
    this.persisted = printRotation(this.memory);
    this.replicas = Array.from({ length: REPLICAS }, () => this.memory);
    this.proxies = Array.from({ length: PROXIES }, () => this.newPod());
    for (let index = 0; index < PROXIES; index += 1) this.connect(index, index % REPLICAS);
  }

  private newPod(): SimProxy {
    return { uid: (this.uids += 1), replica: undefined, trust: null, domains: null, leaf: null };
  }

  private at(index: number): SimProxy {
    const found = this.proxies[index];
    if (found === undefined) throw new Error("no such proxy");
    return found;
  }

  private connect(index: number, to: number): void {
    this.at(index).replica = to;
  }

  /** Secrets and the rest come apart. A leaf may come later than the trust; it never comes without. */
  private deliver(index: number, what: "deliver" | "trustOnly" | "secretsOnly" | "configOnly"): void {
    const pod = this.at(index);
    const serving = pod.replica === undefined ? undefined : this.replicas[pod.replica];
    if (serving === undefined) return;
    if (what === "deliver" || what === "configOnly") pod.domains = trustDomainsOf(serving.roots, MESH_DOMAIN);
    if (what === "configOnly") return;
    pod.trust = bundleVersion(serving.roots);
    const due =
      pod.leaf === null || pod.leaf.issuer !== serving.issuing || pod.leaf.until - this.now < LEAF_MS / 2;
    if (what !== "trustOnly" && due) pod.leaf = { issuer: serving.issuing, until: this.now + LEAF_MS };
  }

  facts(): RotationFacts {
    const connected = this.proxies.filter(pod => pod.replica !== undefined);
    const fleet: FleetTrust = {
      complete: true,
      replicas: this.replicas.map(({ roots, issuing }) => ({
        trust: bundleVersion(roots),
        issuing,
        domains: trustDomainsOf(roots, MESH_DOMAIN),
      })),
      proxies: connected.map(pod => ({
        name: `ns/${pod.uid}`,
        trust: pod.trust,
        issuer: pod.leaf && pod.leaf.issuer,
        domains: pod.domains ?? [],
      })),
      absent: new Map(
        this.proxies.filter(pod => pod.replica === undefined).map(pod => [`${pod.uid}`, `ns/${pod.uid}`]),
      ),
    };
    const always = { gateway: undefined, leafLifeMs: LEAF_MS, ignored: new Set<string>() };
    return { now: this.now, fleet, ...always, trustDomain: MESH_DOMAIN };
  }

  tick(): boolean {
    const { state, made, next } = stepRotation(this.memory, this.wanted, this.facts());
    this.memory = state;
    // Every change is written before anything follows from it.
    this.persisted = printRotation(state);
    return made === undefined && next === undefined;
  }

  do(step: Act): void {
    if (step.do === "round") this.round(step.proxy, step.replica);
    else if ("replica" in step && step.do !== "connect") this.doToReplica(step.do, step.replica);
    else if ("proxy" in step) this.doToProxy(step);
    else this.doToWriter(step);
  }

  private doToWriter(step: Extract<Act, { do: "want" | "tick" | "kill" | "pass" }>): void {
    switch (step.do) {
      case "want": {
        const issuing = rootAt(step.issue);
        const beside = step.beside === ROOTS.length ? [] : [rootAt(step.beside)];
        this.wanted = { issuing: issuing.fingerprint, roots: [...new Set([issuing, ...beside])] };
        return;
      }
      case "tick":
        this.tick();
        return;
      case "kill":
        this.memory = parseRotation(this.persisted);
        return;
      case "pass":
        this.now += step.ms;
    }
  }

  /** A new replica reads what is persisted before it serves anybody; the proxies of the old one go elsewhere. */
  private doToReplica(what: "apply" | "replace", index: number): void {
    this.replicas[index] = parseRotation(this.persisted);
    if (what === "apply") return;
    for (const pod of this.proxies.filter(({ replica }) => replica === index)) pod.replica = undefined;
  }

  private round(exceptProxy: number, exceptReplica: number): void {
    for (let index = 0; index < REPLICAS; index += 1)
      if (index !== exceptReplica) this.do({ do: "apply", replica: index });
    for (let index = 0; index < PROXIES; index += 1) {
      if (index === exceptProxy) continue;
      const { replica: at } = this.at(index);
      if (at === undefined || at === exceptReplica) this.connect(index, exceptReplica === 0 ? 1 : 0);
      this.deliver(index, "deliver");
    }
    this.tick();
    this.now += NAMES_STAND_MS;
    this.tick();
  }

  private doToProxy(step: Extract<Act, { do: ProxyAct | "connect" }>): void {
    const pod = this.at(step.proxy);
    switch (step.do) {
      case "connect":
        this.connect(step.proxy, step.replica);
        return;
      case "deliver":
      case "trustOnly":
      case "secretsOnly":
      case "configOnly":
        this.deliver(step.proxy, step.do);
        return;
      case "leave":
        pod.replica = undefined;
        return;
      case "restart":
        Object.assign(pod, { replica: undefined, trust: null, domains: null, leaf: null });
        return;
      case "die":
        this.proxies[step.proxy] = this.newPod();
    }
  }

  /** Everybody with a valid leaf trusts everybody else with a valid leaf, and knows the name in it. */
  check(): void {
    const alive = this.proxies.filter(({ leaf }) => leaf !== null && leaf.until > this.now);
    for (const client of alive) {
      for (const server of alive) {
        if (client.leaf === null || server.trust === null) continue;
        const { issuer } = client.leaf;
        if (server.domains?.includes(domainOf(issuer)) === false)
          expect.fail(
            `${server.uid} accepts ${server.domains.join()}, and ${client.uid} has a leaf of ${issuer}`,
          );
        if (trusts(server.trust, issuer)) continue;
        expect.fail(`${server.uid} trusts ${server.trust}, and ${client.uid} has a leaf of ${issuer}`);
      }
    }
  }

  /** Everybody is well from now on. */
  comeToRest(): void {
    for (let round = 0; round < 60; round += 1) {
      this.proxies.forEach((pod, index) => {
        if (pod.replica === undefined) this.connect(index, 0);
      });
      for (let index = 0; index < REPLICAS; index += 1) this.do({ do: "apply", replica: index });
      for (let index = 0; index < PROXIES; index += 1) this.deliver(index, "deliver");
      this.check();
      this.now += NAMES_STAND_MS;
      if (this.tick()) return;
    }
    throw new Error("the rotation does not come to its end");
  }

  get bundles(): ReadonlySet<string> {
    return new Set(this.proxies.map(({ trust }) => trust ?? ""));
  }

  get wantedRoots(): readonly string[] {
    return this.wanted.roots.map(({ fingerprint }) => fingerprint);
  }

  get issuers(): ReadonlySet<string> {
    return new Set(this.proxies.map(({ leaf }) => leaf?.issuer ?? ""));
  }

  get wantedIssuer(): string {
    return this.wanted.issuing ?? "";
  }
}

describe("any rotation of roots", () => {
  it("never lets a live proxy meet a leaf that it does not trust, and comes to its end", () => {
    fc.assert(
      fc.property(fc.array(act, STEPS), steps => {
        const world = new World();
        for (let index = 0; index < PROXIES; index += 1) world.do({ do: "deliver", proxy: index });
        for (const step of steps) {
          world.do(step);
          world.check();
        }
        world.comeToRest();
        expect([...world.issuers]).to.deep.equal([world.wantedIssuer]);
        for (const bundle of world.bundles)
          expect(bundle.split("+").sort()).to.deep.equal([...world.wantedRoots].sort());
      }),
      { numRuns: RUNS },
    );
  });
});
