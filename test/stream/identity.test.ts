import { generateKeyPairSync } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { planServing, planWorkload, type CertificatePlan } from "../../src/certificate/plan";
import { systemClock } from "../../src/runtime/clock";
import { createAuthenticator } from "../../src/runtime/identity/authenticator";
import { createLog } from "../../src/runtime/log";
import { watchedLog } from "../support/told-errors";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { KubeError } from "../../src/runtime/kube";
import { TYPE_URLS } from "../../src/xds/resource";
import type { AdsClientOptions } from "../support/ads-client";
import { AdsRig, snapshotOf, testResource, TestWorld } from "../support/ads-rig";
import { otherPurposes, testAuthority, wrongCertificates } from "../support/odd-certificates";
import { PodTokens, type ApiPod, type Claims } from "../support/pod-tokens";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";
import { PassThrough } from "node:stream";

const BUYER = { namespace: "shop", serviceAccount: "buyer" };
const VICTIM = { namespace: "bank", serviceAccount: "vault" };
const { cluster, secret } = TYPE_URLS;

describe("the identity of an ADS stream", () => {
  let tokens: PodTokens;
  let rig: AdsRig;
  let world: TestWorld;
  let buyer: ApiPod;
  let victim: ApiPod;
  const printed: string[] = [];
  const authority = testAuthority();

  before(async function () {
    this.timeout(120_000);
    tokens = await PodTokens.start();
    world = new TestWorld();
    buyer = await tokens.pod(BUYER, "buyer-1");
    victim = await tokens.pod(VICTIM, "vault-1");
    const stream = new PassThrough().on("data", chunk => printed.push(String(chunk)));
    const log = createLog({ level: "trace", clock: systemClock, stream });
    const common = { pods: world, trustDomain: "cluster.local", clock: systemClock, log };
    rig = await AdsRig.start({
      // One pod's proofs, forged in every way: more of them than a pod may come with.
      limits: { openRate: 1e6, openBurst: 1e6 },
      world,
      log,
      authority,
      authenticator: createAuthenticator({ kube: tokens.kube, ...common }),
    });
    world.addPod(BUYER, buyer.name, buyer.uid);
    world.addPod(VICTIM, victim.name, victim.uid);
    world.set(snapshotOf([testResource(cluster, "shop", "1")]));
  });
  after(async () => {
    await (rig as AdsRig | undefined)?.stop();
    await (tokens as PodTokens | undefined)?.stop();
  });

  /** Opens a stream, asks for everything and gives what came of it. */
  const attempt = async (options: Partial<AdsClientOptions>) => {
    const client = rig.open(options);
    client.send({ typeUrl: secret, subscribe: ["service-cert", "root-cert-for-mtls"] });
    client.send({ typeUrl: cluster });
    await waitFor(
      "an answer",
      () => client.ended !== undefined || client.held.get(cluster)?.has("shop"),
      // Some are kept waiting for 5 s before they are refused.
      60_000,
    );
    const received = client.responses.reduce((sum, r) => sum + r.size, 0);
    client.close();
    return { code: client.ended?.code ?? status.OK, received, details: client.ended?.details ?? "" };
  };
  const clientCertificate = (plan: CertificatePlan, authority = rig.authority) => authority.issue(plan);
  const lifetime = () => ({ now: Date.now(), validityMs: 60_000 });

  it("lets in the tokens of the API server, under any node id and with a matching client certificate", async () => {
    const token = await tokens.token(buyer);
    expect(await attempt({ token })).to.include({ code: status.OK });
    expect(await attempt({ token, nodeId: `sidecar~${victim.uid}~bank` })).to.include({ code: status.OK });
    const certificate = clientCertificate(planWorkload(BUYER, "cluster.local", lifetime()));
    expect(await attempt({ token, certificate })).to.include({ code: status.OK });
    const standing = rig.server.ledger.proxies().map(p => p.identity);
    expect(new Set(standing)).to.not.include("bank/vault");
  });

  const D = status.PERMISSION_DENIED;
  const U = status.UNAUTHENTICATED;
  const bound = (claims: Claims, change: Claims): Claims => ({
    ...claims,
    "kubernetes.io": { ...(claims["kubernetes.io"] as Claims), ...change },
  });
  const seconds = (offset: number): number => Math.floor(Date.now() / 1000) + offset;
  const forgeries: [string, (good: Claims) => Claims, status][] = [
    ["another issuer", c => ({ ...c, iss: "https://elsewhere" }), D],
    ["no issuer", c => ({ ...c, iss: undefined }), D],
    ["the API server's audience", c => ({ ...c, aud: ["https://kubernetes.default.svc"] }), D],
    ["an audience that contains ours", c => ({ ...c, aud: ["osm-mesh-2", "my-osm-mesh"] }), D],
    ["no audience", c => ({ ...c, aud: undefined }), D],
    ["an expired token", c => ({ ...c, exp: seconds(-60) }), U],
    ["a token without expiry", c => ({ ...c, exp: undefined }), U],
    ["a token of the future", c => ({ ...c, nbf: seconds(600) }), U],
    ["no pod", c => bound(c, { pod: undefined }), D],
    ["another namespace", c => bound(c, { namespace: "bank" }), D],
    ["another account", c => bound(c, { serviceaccount: { name: "vault" } }), D],
    ["another pod's name", c => bound(c, { pod: { name: "vault-1", uid: buyer.uid } }), D],
    ["another pod's uid", c => bound(c, { pod: { name: "buyer-1", uid: victim.uid } }), D],
    [
      "the account by its subject only",
      c => ({ ...bound(c, { serviceaccount: {} }), sub: "system:serviceaccount:shop:buyer" }),
      D,
    ],
  ];
  for (const [what, change, code] of forgeries) {
    it(`refuses ${what}`, async () => {
      const result = await attempt({ token: tokens.forge(change(tokens.claims(buyer))) });
      expect(result).to.include({ code, received: 0 });
    });
  }

  it("refuses every combination of a token, a node id and a certificate that do not belong together, at once and without a byte (I-01)", async function () {
    this.timeout(120_000);
    const certificate = clientCertificate(planWorkload(VICTIM, "cluster.local", lifetime()));
    const wrongs: readonly Claims[] = [
      { namespace: "bank" },
      { serviceaccount: { name: "vault" } },
      { pod: { name: "vault-1", uid: buyer.uid } },
      { pod: { name: "buyer-1", uid: victim.uid } },
    ];
    const nodeIds = ["sidecar", `sidecar~${victim.uid}~bank`, `vault-1.bank/${victim.uid}`];
    const combinations = wrongs.flatMap(wrong =>
      nodeIds.flatMap(nodeId => [
        { wrong, nodeId },
        { wrong, nodeId, certificate },
      ]),
    );
    const before = rig.server.ledger.proxies().length;
    const tookMs: number[] = [];
    let accepted = 0;
    for (const { wrong, ...how } of combinations) {
      const began = performance.now();
      const token = tokens.forge(bound(tokens.claims(buyer), wrong));
      const { code, received } = await attempt({ token, ...how });
      tookMs.push(Math.round(performance.now() - began));
      if (code !== D || received > 0) accepted += 1;
    }
    const longestMs = Math.max(...tookMs);
    verdict("I-01: what does not belong together", accepted === 0 && longestMs <= 1_000, {
      count: combinations.length,
      failed: accepted,
      longestMs,
      bound: "PERMISSION_DENIED within 1000 ms, 0 bytes",
    });
    expect(combinations).to.have.length(24);
    expect(accepted).to.equal(0);
    expect(rig.server.ledger.proxies().length).to.be.at.most(before);
  });

  it("serves its own certificate and no other's, by whatever name it is asked for (I-01)", async () => {
    const client = rig.open({ token: tokens.forge(tokens.claims(buyer)) });
    const foreign = ["bank/vault", "service-cert|bank/vault", "spiffe://cluster.local/ns/bank/sa/vault"];
    client.send({ typeUrl: secret, subscribe: [...foreign, "service-cert"] });
    await waitFor("its own", () => client.held.get(secret)?.has("service-cert"));
    client.send({ typeUrl: cluster });
    await waitFor("an answer to what was asked later", () => client.held.get(cluster)?.has("shop"));
    expect([...(client.held.get(secret)?.keys() ?? [])]).to.deep.equal(["service-cert"]);
    client.close();
  });

  it("lets in what those forgeries were made from", async () => {
    expect(await attempt({ token: tokens.forge(tokens.claims(buyer)) })).to.include({ code: status.OK });
  });

  it("refuses signatures of other keys, without algorithm, and of keys that are not published", async () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const stranger = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
    const claims = tokens.claims(buyer);
    const [head = "", body = ""] = tokens.forge(claims, { alg: "none" }).split(".");
    const bad = [
      tokens.forge(claims, {}, stranger),
      tokens.forge(claims, { kid: "unknown" }, stranger),
      tokens.forge(claims, { kid: undefined }),
      tokens.forge(claims, { alg: "none" }),
      tokens.forge(claims, { alg: "HS256" }),
      tokens.forge(claims, { alg: "ES256" }),
      `${head}.${body}.`,
      "not.a.token",
      "x".repeat(20_000).slice(0, 7_000),
    ];
    for (const token of bad) expect(await attempt({ token })).to.include({ code: U, received: 0 });
    expect(await attempt({})).to.include({ code: U, received: 0 });
  });

  it("refuses real tokens that are unbound or for another audience", async () => {
    expect(await attempt({ token: await tokens.unboundToken(BUYER) })).to.include({ code: D, received: 0 });
    expect(await attempt({ token: await tokens.token(buyer, "vault") })).to.include({ code: D, received: 0 });
  });

  it("refuses a client certificate of another workload or of a look-alike beside a good token", async () => {
    const token = await tokens.token(buyer);
    const twoNames = { ...planWorkload(BUYER, "cluster.local", lifetime()) };
    const others: CertificatePlan[] = [
      planWorkload(VICTIM, "cluster.local", lifetime()),
      planWorkload(BUYER, "cluster.local.evil", lifetime()),
      { ...twoNames, uris: [...twoNames.uris, "spiffe://cluster.local/ns/bank/sa/vault"] },
      { ...twoNames, uris: ["spiffe://cluster.local/ns/shop/sa/buyer/x"] },
    ];
    for (const plan of others) {
      const certificate = clientCertificate(plan);
      expect(await attempt({ token, certificate }), plan.uris.join()).to.include({ code: D, received: 0 });
    }
  });

  it("takes a certificate of a foreign root or for servers for none, and none alone is not enough", async () => {
    const root = createRoot(Date.now());
    const foreign = loadAuthority(root.certPem, root.keyPem);
    const certificate = clientCertificate(planWorkload(BUYER, "cluster.local", lifetime()), foreign);
    expect(await attempt({ certificate })).to.include({ code: U, received: 0 });
    const server = clientCertificate(planServing(["buyer.shop.cluster.local"], lifetime()));
    expect(await attempt({ certificate: server })).to.include({ code: U, received: 0 });
  });

  const certificates = { ...wrongCertificates(authority, BUYER), ...otherPurposes(authority) };
  for (const [what, certificate] of Object.entries(certificates)) {
    it(`tells nothing to a client whose certificate is the wrong one: ${what}; a token beside it proves no more than itself`, async () => {
      const alone = await attempt({ certificate });
      expect(alone.code, alone.details).to.be.oneOf([U, D]);
      expect(alone.received).to.equal(0);
      const before = rig.server.ledger.proxies().length;
      const token = tokens.forge(bound(tokens.claims(buyer), { serviceaccount: { name: "vault" } }));
      expect(await attempt({ token, certificate })).to.include({ code: D, received: 0 });
      expect(rig.server.ledger.proxies().length).to.be.at.most(before);
    });
  }

  it("refuses the token of a deleted pod, also when a pod of the same name has taken its place", async function () {
    this.timeout(120_000);
    const pod = await tokens.pod(BUYER, "short-lived");
    const token = await tokens.token(pod);
    world.addPod(BUYER, pod.name, pod.uid);
    expect(await attempt({ token })).to.include({ code: status.OK });
    await tokens.remove(pod);
    world.removePod(pod.uid);
    const next = await tokens.pod(BUYER, "short-lived");
    world.addPod(BUYER, next.name, next.uid);
    // At once, and for good: a proxy is not kept waiting for a pod that will not come back.
    expect(await attempt({ token })).to.include({
      code: D,
      received: 0,
      details: "the pod of the token is gone",
    });
  });

  it("waits for a pod that the informer shows a little later", async () => {
    const pod = await tokens.pod(BUYER, "new");
    let asked = 0;
    const later = world.onLook(pod.uid, () => {
      asked++;
      if (asked === 3) world.addPod(BUYER, pod.name, pod.uid);
    });
    expect(await attempt({ token: await tokens.token(pod) })).to.include({ code: status.OK });
    later.close();
    expect(asked).to.be.at.least(3);
  });

  it("refuses a pod without our sidecar", async () => {
    const pod = await tokens.pod(BUYER, "plain");
    const { name, uid } = pod;
    world.put({ namespace: "shop", serviceAccount: "buyer", name, uid, sidecar: false, meshed: false });
    expect(await attempt({ token: await tokens.token(pod) })).to.include({ code: D, received: 0 });
  });

  it("refuses a pod with everything but a namespace of the mesh, once that could have been shown", async function () {
    this.timeout(120_000);
    const pod = await tokens.pod(BUYER, "home-made");
    world.put({ ...world.addPod(BUYER, pod.name, pod.uid), meshed: false });
    expect(await attempt({ token: await tokens.token(pod) })).to.include({
      code: D,
      received: 0,
      details: "the namespace of the pod does not belong to this mesh",
    });
  });

  it("waits for a namespace that the informer shows as a part of the mesh a little later", async () => {
    const pod = await tokens.pod(BUYER, "early");
    const known = world.addPod(BUYER, pod.name, pod.uid);
    let asked = 0;
    const later = world.onLook(pod.uid, () => {
      asked++;
      if (asked === 3) world.put(known);
    });
    world.put({ ...known, meshed: false });
    const got = await attempt({ token: await tokens.token(pod) });
    later.close();
    expect(got).to.include({ code: status.OK });
    expect(asked).to.be.at.least(3);
  });

  for (const [why, code] of [
    ["publishes no keys", 403],
    ["fails to give its keys", 503],
    ["does not answer about its keys", 0],
  ] as const) {
    it(`reviews tokens where the cluster ${why}`, () => reviewsInstead(code));
  }

  const reviewsInstead = async (code: number): Promise<void> => {
    const kube = {
      get: () => Promise.reject(new KubeError(code, "Forbidden", "no access")),
      create: <T>(path: string, body: T) => tokens.kube.create(path, body),
    };
    const common = { pods: world, trustDomain: "cluster.local", clock: systemClock, log: watchedLog };
    const authenticator = createAuthenticator({ kube, ...common });
    const evidence = { clientCertificate: undefined, remoteAddress: "test" };
    const good = await authenticator.authenticate({ ...evidence, bearerToken: await tokens.token(buyer) });
    expect(good).to.deep.include({ identity: BUYER, podUid: buyer.uid, podName: "buyer-1" });
    const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const key = stranger.export({ type: "pkcs1", format: "pem" }).toString();
    const bearerToken = tokens.forge(tokens.claims(buyer), {}, key);
    const refusal = await authenticator.authenticate({ ...evidence, bearerToken }).then(String, String);
    expect(refusal).to.contain("does not accept the token");
  };

  it("never prints a token, a key or a certificate", () => {
    expect(printed.join("")).to.contain("refused an ADS stream");
    expect(printed.join("")).to.not.match(/eyJ[A-Za-z0-9_-]{10}|BEGIN|PRIVATE/);
  });
});
