import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import {
  readWebhookCaRotation,
  readWebhookSecret,
  webhookCaRotationData,
  webhookSecret,
  webhookSecretData,
} from "../../../src/install/webhook-secret";
import { caBundlesOf, injectionWebhook, validationWebhook } from "../../../src/install/webhooks";
import {
  afterStep,
  SERVING_VALIDITY_MS,
  served,
  WEBHOOK_CA_WAITS,
  webhookCaStep,
  type WebhookCaFacts,
  type WebhookCaState,
  type WebhookCaStep,
} from "../../../src/runtime/control-plane/webhook-ca";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { readCertificates } from "../../../src/runtime/issuers/chain";

const DAY = 86_400_000;
const NOW = Date.parse("2026-11-22T00:00:00Z");
const settings = { meshName: "osm", osmNamespace: "osm-system" };
const { configuredMs, servedMs } = WEBHOOK_CA_WAITS;
type Data = Readonly<Record<string, string>>;

const HALF_AN_HOUR = 1_800_000;

const certificate = (pem: string): X509Certificate => new X509Certificate(pem);
const count = (pem: string): number => readCertificates(pem).length;

/** The Secret's data as a merge patch leaves it. */
function written({ identity, rotation }: WebhookCaState, before: Data = {}): Data {
  const all = { ...before, ...webhookSecretData(identity), ...webhookCaRotationData(rotation) };
  return Object.fromEntries(
    Object.entries(all).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
  );
}

/** What the next writer reads, who knows nothing else. */
function read(data: Data): WebhookCaState {
  const identity = readWebhookSecret({ data });
  if (identity === undefined) throw new Error("the Secret is incomplete");
  return { identity, rotation: readWebhookCaRotation({ data }) };
}

function fresh(now = NOW, path = "secret"): WebhookCaState {
  const { certPem, keyPem } = createRoot(now);
  const ca = { caCertPem: certPem, caKeyPem: keyPem };
  return { identity: { ...ca, ...served(ca, now), path }, rotation: undefined };
}

/** The product's configurations of a Secret, as they are read back. */
function configured({ identity }: WebhookCaState): readonly string[] {
  const material = { caPem: identity.caCertPem, path: identity.path };
  return [injectionWebhook(settings, material), validationWebhook(settings, material)].flatMap(caBundlesOf);
}

function factsOf(state: WebhookCaState, more: Partial<WebhookCaFacts> = {}): WebhookCaFacts {
  return { now: NOW, asked: false, bundles: configured(state), waits: WEBHOOK_CA_WAITS, ...more };
}

/** The step, and the Secret after it, read by another writer. */
function take(
  state: WebhookCaState,
  more: Partial<WebhookCaFacts> = {},
): { readonly step: WebhookCaStep; readonly after: WebhookCaState } {
  const facts = factsOf(state, more);
  const step = webhookCaStep(state, facts);
  const isWritten = step.kind !== "rest" && step.kind !== "wait";
  return { step, after: isWritten ? read(written(afterStep(state, step.kind, facts))) : state };
}

/** A Secret at each point of a rotation. */
function points(): Readonly<Record<"rest" | "trust" | "seen" | "issue" | "drop", WebhookCaState>> {
  const rest = read(written(fresh()));
  const trust = take(rest, { asked: true }).after;
  const seen = take(trust).after;
  const issue = take(seen, { now: NOW + configuredMs }).after;
  const drop = take(issue, { now: NOW + configuredMs + servedMs }).after;
  return { rest, trust, seen, issue, drop };
}

describe("the steps by which the webhook's CA is replaced", () => {
  const at = points();
  const twice = (state: WebhookCaState, facts: Partial<WebhookCaFacts>): WebhookCaState =>
    take(take(state, facts).after, facts).after;
  /** What a writer leaves whose clock was ahead for a look or two. */
  const ahead = {
    trust: twice(at.rest, { asked: true, now: NOW + 9 * 365 * DAY }),
    renewed: take(at.rest, { now: NOW + 60 * DAY }).after,
    fresh: fresh(NOW + 9 * 365 * DAY),
  };
  /** Takes one step after the other, with the waits between them, until a step of that kind has been taken. */
  const follow = (state: WebhookCaState, from: number, last: string, asked = false) => {
    const kinds: string[] = [];
    let [now, after] = [from, state];
    while (kinds.at(-1) !== last && kinds.length < 9) {
      const facts = { now, asked: asked && !kinds.includes("trust") };
      const taken = take(after, facts);
      if (taken.step.kind === "wait") now += taken.step.forMs ?? 0;
      else kinds.push(taken.step.kind);
      after = taken.after;
    }
    return { kinds, after, tookMs: now - from };
  };
  /** What a writer leaves whose clock was ahead until the next CA had issued. */
  const issuedAhead = follow(at.rest, NOW + 400 * DAY, "issue", true).after;
  const kindOf = (state: WebhookCaState, more: Partial<WebhookCaFacts> = {}): string =>
    take(state, more).step.kind;

  it("are trust in both, the sight of it, the next one's certificate, and the end of the old one", () => {
    const [old, next] = readCertificates(at.trust.identity.caCertPem);
    expect(
      [at.rest, at.trust, at.seen, at.issue, at.drop].map(({ identity }) => count(identity.caCertPem)),
    ).to.deep.equal([1, 2, 2, 2, 1]);
    for (const state of [at.rest, at.trust, at.seen]) {
      expect(certificate(state.identity.certPem).verify(old?.publicKey ?? fail())).to.equal(true);
      expect(state.identity.caKeyPem).to.equal(at.rest.identity.caKeyPem);
    }
    for (const state of [at.issue, at.drop])
      expect(certificate(state.identity.certPem).verify(next?.publicKey ?? fail())).to.equal(true);
    expect(certificate(at.drop.identity.caCertPem).fingerprint256).to.equal(next?.fingerprint256);
    expect(written(at.drop)).to.have.all.keys("ca.crt", "ca.key", "tls.crt", "tls.key", "path");
    expect(at.drop.identity.path).to.equal(at.rest.identity.path);
    const names = certificate(at.drop.identity.certPem).subjectAltName;
    expect(names).to.include("osm-webhook.pepr-system.svc");
  });

  const fail = (): never => {
    throw new Error("no certificate");
  };
  const one = { bundles: configured(at.rest) };
  const rows: readonly (readonly [string, WebhookCaState, Partial<WebhookCaFacts>, string])[] = [
    ["nobody asks", at.rest, {}, "rest"],
    ["somebody asks", at.rest, { asked: true }, "trust"],
    ["8 years less a day are over", at.rest, { now: NOW + (8 * 365 - 1) * DAY }, "renew"],
    ["the configurations hold one", at.trust, one, "wait"],
    ["a configuration is not there", at.trust, { bundles: undefined }, "wait"],
    [
      "one webhook of four holds one",
      at.trust,
      { bundles: [...configured(at.trust).slice(1), ...one.bundles] },
      "wait",
    ],
    ["a bundle is no certificate", at.trust, { bundles: ["-----BEGIN CERTIFICATE-----"] }, "wait"],
    ["both hold both", at.trust, {}, "seen"],
    ["the wait is not over", at.seen, { now: NOW + configuredMs - 1 }, "wait"],
    ["the wait is over", at.seen, { now: NOW + configuredMs }, "issue"],
    ["somebody took one away meanwhile", at.seen, { ...one, now: NOW + configuredMs }, "unseen"],
    ["the clock was set back by half an hour", at.seen, { now: NOW - HALF_AN_HOUR }, "seen"],
    ["the old CA is still waited for", at.issue, { now: NOW + configuredMs + servedMs - 1 }, "wait"],
    ["it is no more", at.issue, { now: NOW + configuredMs + servedMs }, "drop"],
    ["the clock was set back afterwards", at.issue, { now: NOW - HALF_AN_HOUR }, "seen"],
    ["what the configurations hold is no matter then", at.issue, { ...one, now: NOW + DAY }, "drop"],
    ["it is over", at.drop, { now: NOW + DAY }, "rest"],
    ["asked again", at.drop, { now: NOW + DAY, asked: true }, "trust"],
    ["the next CA is of a clock that was years ahead", ahead.trust, {}, "trust"],
    ["the certificate is of a clock that was weeks ahead", ahead.renewed, {}, "renew"],
    ["the CA itself is of a clock that was years ahead", ahead.fresh, {}, "renew"],
    ["the same, with a certificate of now", take(ahead.fresh).after, {}, "trust"],
    ["the next CA has issued, by a clock that was ahead", issuedAhead, {}, "trust"],
    ["held up for 50 days: the old CA renews", at.seen, { ...one, now: NOW + 50 * DAY }, "renew"],
    ["held up for 50 days: the new CA renews", at.issue, { now: NOW + 50 * DAY }, "renew"],
  ];
  for (const [what, state, facts, wanted] of rows)
    it(`${wanted}: ${what}`, () => {
      expect(kindOf(state, facts)).to.equal(wanted);
    });

  it("waits for nothing that cannot come: a CA of a clock that was ahead is replaced in two minutes", () => {
    const { kinds, after, tookMs } = follow(issuedAhead, NOW, "issue");
    expect(kinds).to.deep.equal(["trust", "renew", "seen", "issue"]);
    expect(tookMs).to.equal(configuredMs);
    expect(Date.parse(certificate(after.identity.certPem).validFrom)).to.be.at.most(NOW);
    expect(follow(after, NOW + tookMs, "rest").kinds).to.deep.equal(["drop", "rest"]);
  });

  it("begins by itself when a fifth of the CA's life is left, or two of the certificate's", () => {
    const life = 3650 * DAY;
    const rest = (now: number): WebhookCaState => {
      const { identity } = at.rest;
      return { identity: { ...identity, ...served(identity, now) }, rotation: undefined };
    };
    for (const [days, wanted] of [
      [8 * 365 - 2, "rest"],
      [8 * 365 + 2, "trust"],
    ] as const)
      expect(kindOf(rest(NOW + days * DAY), { now: NOW + days * DAY }), String(days)).to.equal(wanted);
    const last = NOW + life - DAY;
    expect(kindOf(rest(last), { now: last }), "no renewal that brings nothing").to.equal("trust");
    expect(SERVING_VALIDITY_MS * 2).to.be.lessThan(life / 5);
  });

  it("renews at half of the certificate's life, and keeps CA and path", () => {
    expect(kindOf(at.rest, { now: NOW + 44 * DAY })).to.equal("rest");
    const { step, after } = take(at.rest, { now: NOW + 46 * DAY });
    expect(step.kind).to.equal("renew");
    const { certPem, keyPem, ...others } = at.rest.identity;
    expect(after.identity).to.include(others);
    expect([after.identity.certPem === certPem, after.identity.keyPem === keyPem]).to.deep.equal([
      false,
      false,
    ]);
    expect(after.rotation).to.equal(undefined);
  });

  it("begins its wait anew after a time that is none, and its trust anew after a CA that is none", () => {
    const data = written(at.seen);
    const broken = (key: string, text: string): WebhookCaState =>
      read({ ...data, [key]: Buffer.from(text).toString("base64") });
    const late = { now: NOW + DAY };
    expect(kindOf(broken("ca-rotation", "soon"), late)).to.equal("seen");
    for (const [key, text] of [
      ["next-ca.key", "none"],
      ["next-ca.crt", at.rest.identity.caCertPem],
      ["next-ca.crt", "none"],
    ] as const) {
      const { step, after } = take(broken(key, text), late);
      expect([step.kind, after.rotation?.since], `${key}=${text.slice(0, 30)}`).to.deep.equal([
        "trust",
        undefined,
      ]);
      expect(kindOf(after, { now: NOW + 2 * DAY })).to.equal("seen");
    }
    const forgotten = read(
      Object.fromEntries(Object.entries(data).filter(([key]) => !key.startsWith("next-"))),
    );
    const { after } = take(forgotten, late);
    expect(count(after.identity.caCertPem), "the CA that does not issue goes").to.equal(1);
    expect(
      certificate(after.identity.certPem).verify(certificate(after.identity.caCertPem).publicKey),
    ).to.equal(true);
  });

  it("puts the next CA back where a release before wrote what it had read earlier", () => {
    const overwritten = read({ ...written(at.seen), ...webhookSecretData(at.rest.identity) });
    const { step, after } = take(overwritten, { now: NOW + DAY });
    expect([step.kind, after.rotation?.next]).to.deep.equal(["trust", at.seen.rotation?.next]);
    expect(count(after.identity.caCertPem)).to.equal(2);
  });

  it("leaves a Secret at each point by which a release before serves and renews", () => {
    for (const [name, state] of Object.entries(at)) {
      // It reads these five keys, hands on ca.crt as it is and issues by ca.key.
      const { caCertPem, caKeyPem, certPem } = state.identity;
      const trusted = readCertificates(caCertPem);
      const verified = (pem: string): boolean =>
        trusted.some(({ publicKey }) => certificate(pem).verify(publicKey));
      expect([verified(certPem), verified(served({ caCertPem, caKeyPem }, NOW).certPem)], name).to.deep.equal(
        [true, true],
      );
      expect(loadAuthority(caCertPem, caKeyPem).notAfter, name).to.be.greaterThan(NOW);
      expect(webhookSecret(settings, state.identity))
        .to.have.property("data")
        .that.has.keys(Object.keys(written(at.rest)));
    }
  });
});

/** A day of a cluster, second by second: a writer that is killed, API servers and pods that are late. */
class Cluster {
  now = NOW;
  readonly steps: string[] = [];
  private readonly secrets: { readonly at: number; readonly data: Data }[];
  private readonly bundles: { readonly at: number; readonly pem: string }[];

  constructor(
    first: WebhookCaState,
    /** How late API servers see configurations, and pods the Secret, milliseconds. */
    private readonly late: { readonly apiServers: readonly number[]; readonly pods: readonly number[] },
  ) {
    this.secrets = [{ at: 0, data: written(first) }];
    this.bundles = [{ at: 0, pem: first.identity.caCertPem }];
  }

  get data(): Data {
    return this.secrets.at(-1)?.data ?? {};
  }

  /** The keeper of the configurations, which is a part of the writer too. */
  configure(): void {
    const { caCertPem } = read(this.data).identity;
    if (this.bundles.at(-1)?.pem !== caCertPem) this.bundles.push({ at: this.now, pem: caCertPem });
  }

  /** One look of the writer; `die` before it has written. */
  look(die = false): string {
    const state = read(this.data);
    const pem = this.bundles.at(-1)?.pem ?? "";
    const facts = {
      now: this.now,
      asked: this.steps.length === 0,
      bundles: [pem, pem],
      waits: WEBHOOK_CA_WAITS,
    };
    const { kind } = webhookCaStep(state, facts);
    if (die || kind === "rest" || kind === "wait") return kind;
    this.secrets.push({ at: this.now, data: written(afterStep(state, kind, facts), this.data) });
    this.steps.push(kind);
    return kind;
  }

  private seen<T extends { readonly at: number }>(all: readonly T[], lateMs: number): T | undefined {
    return all.findLast(({ at }) => at <= this.now - lateMs);
  }

  /** Pairs of an API server and a pod of which the one does not verify the other now. */
  refusals(): number {
    const trusts = this.late.apiServers.map(ms => this.seen(this.bundles, ms)?.pem ?? "");
    const shown = this.late.pods.map(ms => this.seen(this.secrets, ms)?.data["tls.crt"] ?? "");
    return trusts.flatMap(trust => shown.filter(pod => !verifies(trust, pod))).length;
  }
}

const known = new Map<string, boolean>();

/** Whether one of the CAs, PEM, has signed a certificate, as the Secret holds it. */
function verifies(bundle: string, held: string): boolean {
  const key = `${bundle} ${held}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const leaf = certificate(Buffer.from(held, "base64").toString("utf8"));
  const verified = readCertificates(bundle).some(({ publicKey }) => leaf.verify(publicKey));
  known.set(key, verified);
  return verified;
}

describe("the replacement of the webhook's CA with a writer that is killed", () => {
  const late = { apiServers: [0, configuredMs - 5_000], pods: [0, servedMs - 5_000] };
  const first = fresh();
  const whole = ["trust", "seen", "issue", "drop"];

  /** Runs to the end; the writer dies around one look, and is away for a while. Gives the refused calls. */
  function run(fault: {
    readonly look: number;
    readonly when: "before" | "after" | "unconfigured";
    readonly awayMs: number;
  }): {
    readonly cluster: Cluster;
    readonly refused: number;
  } {
    const cluster = new Cluster(first, late);
    let [refused, looks, awayUntil] = [0, 0, 0];
    /** A look that finds something to do is a chance to die. */
    const look = (): void => {
      const dies = looks === fault.look;
      if (cluster.look(dies && fault.when === "before") === "wait") {
        cluster.configure();
        return;
      }
      looks += 1;
      if (!dies || fault.when === "after") cluster.configure();
      if (dies) awayUntil = cluster.now + fault.awayMs;
    };
    for (let second = 0; second < 3_600 && cluster.steps.at(-1) !== "drop"; second += 5) {
      cluster.now = NOW + second * 1_000;
      if (cluster.now >= awayUntil) look();
      refused += cluster.refusals();
    }
    // All that is late sees the end.
    for (let second = 0; second < 600; second += 5) {
      cluster.now += 5_000;
      cluster.configure();
      refused += cluster.refusals();
    }
    return { cluster, refused };
  }

  for (const when of ["before", "after", "unconfigured"] as const)
    for (let look = 0; look < whole.length; look += 1)
      it(`refuses no call where it dies ${when === "unconfigured" ? "after, with the configurations untouched," : when} ${whole[look] ?? ""}`, () => {
        for (const awayMs of [5_000, 90_000, 900_000]) {
          const { cluster, refused } = run({ look, when, awayMs });
          expect(cluster.steps, String(awayMs)).to.deep.equal(whole);
          expect(refused, String(awayMs)).to.equal(0);
          expect(cluster.data).to.have.all.keys("ca.crt", "ca.key", "tls.crt", "tls.key", "path");
        }
      });

  it("would refuse calls without the waits, so that the test above can tell", () => {
    const slow = new Cluster(first, { apiServers: [configuredMs * 3], pods: [0] });
    let refused = 0;
    for (let second = 0; second < 1_200; second += 5) {
      slow.now = NOW + second * 1_000;
      slow.look();
      slow.configure();
      refused += slow.refusals();
    }
    expect(refused).to.be.greaterThan(0);
  });
});
