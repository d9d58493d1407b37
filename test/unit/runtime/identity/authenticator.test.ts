import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { planServing, planWorkload, type CertificatePlan } from "../../../../src/certificate/plan";
import { certificateIdentity, createAuthenticator } from "../../../../src/runtime/identity/authenticator";
import { AuthenticationError } from "../../../../src/runtime/identity/errors";
import type { AuthenticatedProxy, StreamEvidence } from "../../../../src/runtime/ports";
import { createRoot, loadAuthority } from "../../../../src/runtime/secrets/authority";
import { TestWorld } from "../../../support/ads-rig";
import { PublishedDocuments, podWords, TokenSigner } from "../../../support/signed-tokens";
import { watchedLog } from "../../../support/told-errors";
import { TURNED_START, TurnedClock } from "../../../support/turned-clock";

const BUYER = { namespace: "shop", serviceAccount: "buyer" };
const HOUR = 3_600_000;
const signer = new TokenSigner("one");
const root = createRoot(TURNED_START);
const authority = loadAuthority(root.certPem, root.keyPem);
const lifetime = { now: TURNED_START, validityMs: 24 * HOUR };

const derOf = (plan: CertificatePlan): Uint8Array => new X509Certificate(authority.issue(plan).certPem).raw;
const own = planWorkload(BUYER, "cluster.local", lifetime);

function start(options: { readonly audience?: string } = {}) {
  const clock = new TurnedClock();
  const world = new TestWorld();
  const documents = new PublishedDocuments(signer);
  const reviews: unknown[] = [];
  const review = { good: true };
  const kube = {
    get: <T>(path: string) => documents.get<T>(path),
    create: <T>(_path: string, body: T): Promise<T> => {
      reviews.push(body);
      const audiences = [options.audience ?? "osm-mesh"];
      return Promise.resolve({ ...body, status: { authenticated: review.good, audiences } });
    },
  };
  const log = { ...watchedLog, warn: () => undefined };
  const common = { kube, pods: world, trustDomain: "cluster.local", clock, log };
  const authenticator = createAuthenticator({ ...common, ...options });
  const authenticate = (evidence: Partial<StreamEvidence>): Promise<AuthenticatedProxy> =>
    authenticator.authenticate({
      bearerToken: undefined,
      clientCertificate: undefined,
      remoteAddress: "test",
      ...evidence,
    });
  /** How it ends: the pod that is let in, or why none is. */
  const attempt = (evidence: Partial<StreamEvidence>): Promise<string> =>
    authenticate(evidence).then(
      ({ podName }) => podName,
      (error: unknown) =>
        error instanceof AuthenticationError ? `${error.failure}: ${error.message}` : String(error),
    );
  world.addPod(BUYER, "buyer-1", "uid-1");
  return { clock, world, documents, reviews, review, authenticate, attempt };
}

const good = signer.sign(podWords());

describe("the proof of a pod's token", () => {
  it("is the identity, the pod and its end", async () => {
    expect(await start().authenticate({ bearerToken: good })).to.deep.equal({
      identity: BUYER,
      podUid: "uid-1",
      podName: "buyer-1",
      expiresAt: TURNED_START + HOUR,
    });
  });

  it("ends with a certificate that ends before, and with the token before that", async () => {
    const { authenticate } = start();
    const until = async (validityMs: number): Promise<number> => {
      const clientCertificate = derOf(planWorkload(BUYER, "cluster.local", { ...lifetime, validityMs }));
      const { expiresAt } = await authenticate({ bearerToken: good, clientCertificate });
      return expiresAt - TURNED_START;
    };
    expect(await until(HOUR / 2)).to.equal(HOUR / 2);
    expect(await until(2 * HOUR)).to.equal(HOUR);
  });

  it("is nobody's without a token", async () => {
    const { attempt } = start();
    for (const evidence of [{}, { bearerToken: "" }, { clientCertificate: derOf(own) }])
      expect(await attempt(evidence)).to.equal("unauthenticated: no token was presented");
  });

  it("bears clocks that are ten seconds apart", async () => {
    const { attempt, clock } = start();
    const seconds = TURNED_START / 1000;
    const within = (words: object): Promise<string> =>
      attempt({ bearerToken: signer.sign(podWords({ ...words })) });
    expect(await within({ nbf: seconds + 10 })).to.equal("buyer-1");
    expect(await within({ nbf: seconds + 11 })).to.equal("unauthenticated: the token is not valid yet");
    expect(await within({ exp: seconds - 9 })).to.equal("buyer-1");
    expect(await within({ exp: seconds - 10 })).to.equal("unauthenticated: the token has expired");
    clock.pass(HOUR + 9_999);
    expect(await attempt({ bearerToken: good })).to.equal("buyer-1");
    clock.pass(1);
    expect(await attempt({ bearerToken: good })).to.equal("unauthenticated: the token has expired");
  });

  it("is for the mesh's audience, or the one that is asked for", async () => {
    const other = signer.sign(podWords({ aud: ["osm-mesh-2", "x"] }));
    const refused = "denied: the token is for another audience";
    expect(await start().attempt({ bearerToken: other })).to.equal(refused);
    expect(await start({ audience: "x" }).attempt({ bearerToken: other })).to.equal("buyer-1");
    expect(await start({ audience: "x" }).attempt({ bearerToken: good })).to.equal(refused);
  });

  it("is by a published key of the issuer", async () => {
    const { attempt, reviews } = start();
    const stranger = new TokenSigner("one");
    const rows = [
      [stranger.sign(podWords()), "unauthenticated: the token's signature is wrong"],
      [new TokenSigner("two").sign(podWords()), "unauthenticated: the token is signed with an unknown key"],
      [signer.sign(podWords({ iss: "https://elsewhere" })), "denied: the token is of another issuer"],
    ] as const;
    for (const [bearerToken, why] of rows) expect(await attempt({ bearerToken })).to.equal(why);
    expect(reviews).to.deep.equal([]);
  });

  it("is the API server's word where it publishes no keys, about this token and audience", async () => {
    const { attempt, documents, reviews, review, clock } = start({ audience: "x" });
    documents.failsWith = 403;
    const bearerToken = signer.sign(podWords({ aud: "x" }));
    expect(await attempt({ bearerToken })).to.equal("buyer-1");
    expect(reviews).to.deep.include({
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      spec: { token: bearerToken, audiences: ["x"] },
    });
    review.good = false;
    clock.pass(10_000);
    expect(await attempt({ bearerToken })).to.equal(
      "unauthenticated: the API server does not accept the token",
    );
  });

  it("is told when it holds, before the pod is looked for, and not before", async () => {
    const { attempt, world, clock } = start();
    const told: string[] = [];
    const onProven = (uid: string): void => void told.push(`proven ${uid}`);
    await attempt({ bearerToken: new TokenSigner("one").sign(podWords()), onProven });
    await attempt({ bearerToken: signer.sign(podWords({ aud: "x" })), onProven });
    expect(told).to.deep.equal([]);
    world.onLook("uid-2", () => told.push("looked"));
    const unknown = signer.sign(podWords({}, { pod: { name: "buyer-2", uid: "uid-2" } }));
    const ended = attempt({ bearerToken: unknown, onProven });
    await clock.passSlowly(5_000);
    await ended;
    expect(told.slice(0, 2)).to.deep.equal(["proven uid-2", "looked"]);
    expect(told.filter(each => each !== "looked")).to.have.length(1);
  });
});

describe("a client certificate beside a token", () => {
  const attempt = (clientCertificate: Uint8Array): Promise<string> =>
    start().attempt({ bearerToken: good, clientCertificate });
  const refused = "denied: the client certificate is of another identity than the token";

  it("is of the same identity", async () => {
    expect(await attempt(derOf(own))).to.equal("buyer-1");
    expect(certificateIdentity(derOf(own), "cluster.local")).to.deep.equal(BUYER);
  });

  const wrong: readonly (readonly [string, () => Uint8Array])[] = [
    [
      "another account's",
      () => derOf(planWorkload({ ...BUYER, serviceAccount: "thief" }, "cluster.local", lifetime)),
    ],
    [
      "another namespace's",
      () => derOf(planWorkload({ ...BUYER, namespace: "web" }, "cluster.local", lifetime)),
    ],
    ["of another trust domain", () => derOf(planWorkload(BUYER, "other.local", lifetime))],
    ["of two names", () => derOf({ ...own, uris: [...own.uris, "spiffe://cluster.local/ns/web/sa/thief"] })],
    ["of a name that is no workload's", () => derOf({ ...own, uris: ["spiffe://cluster.local/gateway"] })],
    ["a server's", () => derOf(planServing(["buyer.shop.cluster.local"], lifetime))],
    ["without any name", () => derOf({ ...own, uris: [], dnsNames: [] })],
    ["a CA's", () => new X509Certificate(root.certPem).raw],
  ];
  for (const [what, make] of wrong) {
    it(`is not ${what}`, async () => {
      expect(await attempt(make())).to.equal(refused);
    });
  }
});

describe("the pod of a token", () => {
  it("is the one that lives under its UID, in every respect", async () => {
    const { attempt, world } = start();
    const pod = world.addPod(BUYER, "buyer-1", "uid-1");
    const others = [
      { ...pod, name: "buyer-2" },
      { ...pod, namespace: "web" },
      { ...pod, serviceAccount: "thief" },
    ];
    for (const other of others) {
      world.put(other);
      expect(await attempt({ bearerToken: good })).to.equal(
        "denied: the token is not of the live pod it names",
      );
    }
    world.put(pod);
    expect(await attempt({ bearerToken: good })).to.equal("buyer-1");
  });

  it("is one that the directory shows under another UID for none", async () => {
    const { attempt, world } = start();
    const pod = world.addPod(BUYER, "buyer-1", "uid-1");
    world.byUid = () => ({ ...pod, uid: "uid-9" });
    expect(await attempt({ bearerToken: good })).to.equal(
      "denied: the token is not of the live pod it names",
    );
  });

  it("has a sidecar: without one it is refused at once, whatever its namespace is", async () => {
    const { attempt, world } = start();
    const pod = world.addPod(BUYER, "buyer-1", "uid-1");
    world.put({ ...pod, sidecar: false, meshed: false });
    expect(await attempt({ bearerToken: good })).to.equal("denied: the pod has no sidecar of this mesh");
    world.put({ ...pod, sidecar: false });
    expect(await attempt({ bearerToken: good })).to.equal("denied: the pod has no sidecar of this mesh");
  });

  it("is waited for, five seconds: for as long it is unknown, and then it cannot be told", async () => {
    const { attempt, world, clock } = start();
    const bearerToken = signer.sign(podWords({}, { pod: { name: "late", uid: "uid-2" } }));
    const ended = attempt({ bearerToken });
    await clock.passSlowly(4_990);
    world.addPod(BUYER, "late", "uid-2");
    await clock.passSlowly(10);
    expect(await ended).to.equal("late");
    world.removePod("uid-2");
    const never = signer.sign(podWords({}, { pod: { name: "never", uid: "uid-3" } }));
    let looks = 0;
    world.onLook("uid-3", () => (looks += 1));
    const refused = attempt({ bearerToken: never });
    await clock.passSlowly(4_999);
    expect(clock.pending).to.equal(1);
    await clock.passSlowly(1);
    expect(await refused).to.equal("unavailable: the pod of the token is not known");
    expect(looks, "every 50 ms").to.equal(101);
    expect(clock.pending).to.equal(0);
  });

  it("is waited for while its namespace is not known to be of the mesh, and then refused", async () => {
    const { attempt, world, clock } = start();
    const pod = world.addPod(BUYER, "buyer-1", "uid-1");
    world.put({ ...pod, meshed: false });
    const joins = attempt({ bearerToken: good });
    await clock.passSlowly(1_000);
    world.put(pod);
    await clock.passSlowly(50);
    expect(await joins).to.equal("buyer-1");
    world.put({ ...pod, meshed: false });
    const stays = attempt({ bearerToken: good });
    await clock.passSlowly(4_999);
    expect(clock.pending).to.equal(1);
    await clock.passSlowly(1);
    expect(await stays).to.equal("denied: the namespace of the pod does not belong to this mesh");
  });

  it("is not waited for when it is gone, be it before or meanwhile", async () => {
    const { attempt, world, clock } = start();
    world.removePod("uid-1");
    expect(await attempt({ bearerToken: good })).to.equal("denied: the pod of the token is gone");
    const bearerToken = signer.sign(podWords({}, { pod: { name: "late", uid: "uid-2" } }));
    const ended = attempt({ bearerToken });
    await clock.passSlowly(100);
    world.removePod("uid-2");
    await clock.passSlowly(50);
    expect(await ended).to.equal("denied: the pod of the token is gone");
  });

  it("is known to be gone among the last 20,000 that are; one before them is waited for again", async () => {
    const { attempt, world, clock } = start();
    world.removePod("uid-1");
    for (let i = 1; i < 20_000; i += 1) world.removePod(`gone-${i}`);
    expect(await attempt({ bearerToken: good })).to.equal("denied: the pod of the token is gone");
    world.removePod("one-more");
    const ended = attempt({ bearerToken: good });
    await clock.passSlowly(5_000);
    expect(await ended).to.equal("unavailable: the pod of the token is not known");
    const next = signer.sign(podWords({}, { pod: { name: "buyer-1", uid: "gone-1" } }));
    expect(await attempt({ bearerToken: next })).to.equal("denied: the pod of the token is gone");
  });
});
