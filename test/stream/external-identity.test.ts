import { createPublicKey, X509Certificate } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import {
  planControlPlane,
  planExternal,
  planGateway,
  planServing,
  planWorkload,
  type CertificatePlan,
} from "../../src/certificate/plan";
import { systemClock } from "../../src/runtime/clock";
import { createAuthenticator } from "../../src/runtime/identity/authenticator";
import { silentLog } from "../../src/runtime/log";
import { createRoot, loadAuthority, newKey, type Authority } from "../../src/runtime/secrets/authority";
import type { IssuedPair } from "../../src/runtime/issuers/issuer";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsRig, snapshotOf, testResource, TestWorld } from "../support/ads-rig";
import { waitFor } from "../support/wait";

const { cluster, secret } = TYPE_URLS;
const ACCOUNT = { namespace: "shop", serviceAccount: "store" };
const VM = { namespace: "shop", name: "vm", uid: "uid-vm" };
const U = status.UNAUTHENTICATED;
const D = status.PERMISSION_DENIED;

function spkiOf({ certPem }: Pick<IssuedPair, "certPem">): string {
  return new X509Certificate(certPem).publicKey.export({ type: "spki", format: "der" }).toString("base64");
}

function freshAuthority(): Authority {
  const root = createRoot(Date.now());
  return loadAuthority(root.certPem, root.keyPem);
}

describe("the client certificate of a proxy outside of the cluster", () => {
  let rig: AdsRig;
  let world: TestWorld;
  const lifetime = (validityMs = 3_600_000) => ({ now: Date.now(), validityMs });
  const good = () => planExternal(VM, lifetime());
  const issue = (plan: CertificatePlan, issuer = rig.authority): IssuedPair => issuer.issue(plan);

  /** The object names the key of that certificate. */
  const declare = (pair: Pick<IssuedPair, "certPem">, more: object = {}): void => {
    world.put({ ...world.addPod(ACCOUNT, VM.name, VM.uid), publicKey: spkiOf(pair), ...more });
  };
  const open = (certificate: IssuedPair | undefined) => {
    const client = rig.open(certificate === undefined ? {} : { certificate });
    client.send({ typeUrl: secret, subscribe: ["service-cert", "root-cert-for-mtls"] });
    client.send({ typeUrl: cluster });
    return client;
  };
  const attempt = async (certificate: IssuedPair | undefined) => {
    const client = open(certificate);
    await waitFor(
      "an answer",
      () => client.ended !== undefined || (client.held.get(cluster)?.has("shop") && client.held.get(secret)),
    );
    const received = client.responses.reduce((sum, { size }) => sum + size, 0);
    const leaf = client.held.get(secret)?.get("service-cert");
    client.close();
    const { code = status.OK, details = "" } = client.ended ?? {};
    return { code, details, received, leaf: Buffer.from(leaf?.body ?? []).toString("latin1") };
  };

  before(async () => {
    world = new TestWorld();
    const kube = {
      get: () => Promise.reject(new Error("no API server")),
      create: () => Promise.reject(new Error("no API server")),
    };
    const common = { pods: world, trustDomain: "cluster.local", clock: systemClock, log: silentLog };
    rig = await AdsRig.start({ world, authenticator: createAuthenticator({ kube, ...common }) });
    world.set(snapshotOf([testResource(cluster, "shop", "1")]));
  });
  after(() => rig.stop());

  it("opens a stream of the workload that the object declares, and of nobody else", async () => {
    const own = issue(good());
    declare(own);
    const { code, leaf } = await attempt(own);
    expect(code).to.equal(status.OK);
    const [pem = ""] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(leaf) ?? [];
    expect(new X509Certificate(pem).subjectAltName).to.contain("URI:spiffe://cluster.local/ns/shop/sa/store");
  });

  it("is for calls only, and is nobody's name in the mesh", () => {
    const parsed = new X509Certificate(issue(good()).certPem);
    expect(parsed.subjectAltName).to.equal("URI:urn:openservicemesh:external-proxy:shop:vm:uid-vm");
    expect(parsed.keyUsage, "extended usages").to.deep.equal(["1.3.6.1.5.5.7.3.2"]);
    expect(parsed.ca).to.equal(false);
  });

  it("is issued to a key that stays elsewhere", () => {
    const { publicKey } = newKey();
    const certificate = rig.authority.certify(good(), publicKey);
    expect(spkiOf({ certPem: certificate })).to.equal(Buffer.from(publicKey).toString("base64"));
    const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
    expect(new X509Certificate(certificate).publicKey.equals(key)).to.equal(true);
  });

  const refusals: readonly (readonly [string, () => IssuedPair | undefined, status])[] = [
    ["nothing at all", () => undefined, U],
    ["one that has expired", () => issue(planExternal(VM, lifetime(-1_000))), U],
    ["one of a foreign root", () => issue(good(), freshAuthority()), U],
    ["a CA's own", () => ({ ...createRoot(Date.now()) }), U],
    ["one without a name", () => issue({ ...good(), uris: [] }), U],
    ["one of two names", () => issue({ ...good(), uris: [...good().uris, "urn:x:y"] }), U],
    ["one with a name more", () => issue({ ...good(), uris: [`${good().uris.join()}:more`] }), U],
    ["that of a workload", () => issue(planWorkload(ACCOUNT, "cluster.local", lifetime())), U],
    ["that of a server", () => issue(planServing(["vm.shop"], lifetime())), U],
    ["that of the control plane", () => issue(planControlPlane("vm.shop", lifetime())), U],
    ["that of an ingress gateway", () => issue(planGateway(["vm.shop"], lifetime())), U],
    ["one for servers with the right name", () => issue({ ...good(), purpose: "serving" }), U],
    ["that of another name", () => issue(planExternal({ ...VM, name: "vm2" }, lifetime())), D],
    ["that of another namespace", () => issue(planExternal({ ...VM, namespace: "web" }, lifetime())), D],
  ];
  for (const [what, make, code] of refusals) {
    it(`is refused: ${what}`, async () => {
      const pair = make();
      // Whatever else is wrong, its key is the one that is named.
      if (pair !== undefined) declare(pair);
      expect(await attempt(pair)).to.include({ code, received: 0 });
    }).timeout(60_000);
  }

  it("is refused: that of a key which the object does not name any more", async () => {
    declare(issue(good()));
    expect(await attempt(issue(good()))).to.include({
      code: D,
      received: 0,
      details: "the ExternalWorkload names another public key",
    });
  }).timeout(60_000);

  it("is refused for a pod, for a workload that has not joined, and outside of the mesh", async () => {
    const own = issue(good());
    world.addPod(ACCOUNT, VM.name, VM.uid);
    expect(await attempt(own)).to.include({ code: D, received: 0 });
    declare(own, { sidecar: false, meshed: false });
    expect(await attempt(own)).to.include({ code: D, received: 0 });
    declare(own, { meshed: false });
    expect(await attempt(own)).to.include({ code: D, received: 0 });
    declare(own);
    expect(await attempt(own)).to.include({ code: status.OK });
  }).timeout(60_000);

  it("ends with its life, and its connection with it", async () => {
    const own = issue(planExternal(VM, lifetime(15_000)));
    declare(own);
    const client = open(own);
    await waitFor("a stream", () => client.held.get(cluster)?.has("shop"));
    await waitFor("its end", () => client.ended);
    expect(client.ended?.code).to.equal(U);
    await waitFor("the end of the connection", () => rig.server.stats().connections === 0);
    client.close();
  }).timeout(120_000);

  it("ends when the object is deleted, is refused then, and its connection is closed", async () => {
    const own = issue(good());
    declare(own);
    const client = open(own);
    await waitFor("a stream", () => client.held.get(cluster)?.has("shop"));
    world.removePod(VM.uid);
    await waitFor("its end", () => client.ended);
    expect(client.ended?.code).to.equal(D);
    client.close();
    expect(await attempt(own)).to.include({
      code: D,
      received: 0,
      details: "the ExternalWorkload of the certificate is gone",
    });
    await waitFor("the end of the connections", () => rig.server.stats().connections === 0);
  }).timeout(120_000);
});
