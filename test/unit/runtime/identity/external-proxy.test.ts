import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { planExternal, planWorkload, type CertificatePlan } from "../../../../src/certificate/plan";
import { createAuthenticator } from "../../../../src/runtime/identity/authenticator";
import { AuthenticationError } from "../../../../src/runtime/identity/errors";
import { externalOf } from "../../../../src/runtime/identity/external-proxy";
import { createRoot, loadAuthority } from "../../../../src/runtime/secrets/authority";
import { TestWorld } from "../../../support/ads-rig";
import { newPublicKey } from "../../../support/external-workload";
import { watchedLog } from "../../../support/told-errors";
import { TURNED_START, TurnedClock } from "../../../support/turned-clock";

const VM = { namespace: "shop", name: "vm", uid: "uid-vm" };
const ACCOUNT = { namespace: "shop", serviceAccount: "store" };
const HOUR = 3_600_000;
const root = createRoot(TURNED_START);
const authority = loadAuthority(root.certPem, root.keyPem);
const plan = planExternal(VM, { now: TURNED_START, validityMs: HOUR });

/** A certificate with the key that is in it, as an ExternalWorkload names it. */
function issued(change: Partial<CertificatePlan> = {}) {
  const certificate = new X509Certificate(authority.issue({ ...plan, ...change }).certPem);
  const publicKey = certificate.publicKey.export({ type: "spki", format: "der" }).toString("base64");
  return { der: certificate.raw, publicKey };
}

function start() {
  const clock = new TurnedClock();
  const world = new TestWorld();
  const no = () => Promise.reject(new Error("no API server"));
  const kube = { get: no, create: no };
  const common = { pods: world, trustDomain: "cluster.local", clock, log: watchedLog };
  const authenticator = createAuthenticator({ kube, ...common });
  const authenticate = (
    clientCertificate: Uint8Array,
    onProven?: (uid: string) => void,
    bearerToken?: string,
  ) =>
    authenticator.authenticate({
      bearerToken,
      clientCertificate,
      remoteAddress: "test",
      ...(onProven === undefined ? {} : { onProven }),
    });
  const attempt = (...args: Parameters<typeof authenticate>): Promise<string> =>
    authenticate(...args).then(
      ({ podName }) => podName,
      (error: unknown) =>
        error instanceof AuthenticationError ? `${error.failure}: ${error.message}` : String(error),
    );
  return { clock, world, authenticate, attempt };
}

describe("the proof of an external proxy's certificate", () => {
  const { der, publicKey } = issued();
  const workload = { ...ACCOUNT, name: "vm", uid: "uid-vm", sidecar: true, meshed: true, publicKey };

  it("is the identity that the object declares, and its end", async () => {
    const { world, authenticate } = start();
    world.put(workload);
    expect(await authenticate(der)).to.deep.equal({
      identity: ACCOUNT,
      podUid: "uid-vm",
      podName: "vm",
      expiresAt: TURNED_START + HOUR,
    });
  });

  it("ends when the certificate does", async () => {
    const { world, clock, attempt } = start();
    world.put(workload);
    clock.pass(HOUR - 1);
    expect(await attempt(der)).to.equal("vm");
    clock.pass(1);
    expect(await attempt(der)).to.equal("unauthenticated: the client certificate has expired");
  });

  it("is told when it holds, before the object is looked for", async () => {
    const { world, attempt } = start();
    const told: string[] = [];
    world.put(workload);
    world.onLook("uid-vm", () => told.push("looked"));
    await attempt(der, uid => told.push(`proven ${uid}`));
    expect(told).to.deep.equal(["proven uid-vm", "looked"]);
  });

  it("is not looked at beside a token, be that empty", async () => {
    const { world, attempt } = start();
    world.put(workload);
    expect(await attempt(der, undefined, "")).to.equal("unauthenticated: no token was presented");
  });

  const otherOne = "denied: the client certificate is not of the ExternalWorkload it names";
  const outside = "denied: the namespace of the ExternalWorkload does not belong to this mesh";
  const refusals: readonly (readonly [string, object, string])[] = [
    ["an object of another name", { name: "vm2" }, otherOne],
    ["an object of another namespace", { namespace: "web" }, otherOne],
    ["a pod, which names no key", { publicKey: undefined }, otherOne],
    [
      "an object that names no key yet",
      { publicKey: "" },
      "denied: the ExternalWorkload names another public key",
    ],
    [
      "an object that names another key",
      { publicKey: newPublicKey() },
      "denied: the ExternalWorkload names another public key",
    ],
    ["an object that has not joined", { sidecar: false }, "denied: the ExternalWorkload has no certificate"],
  ];
  for (const [what, change, why] of refusals) {
    it(`is none for ${what}`, async () => {
      const { world, attempt } = start();
      world.put({ ...workload, ...change });
      expect(await attempt(der)).to.equal(why);
    });
  }

  it("is none for an object that is shown under another UID", async () => {
    const { world, attempt } = start();
    world.byUid = () => ({ ...workload, uid: "uid-9" });
    expect(await attempt(der)).to.equal(otherOne);
  });

  it("waits for an object that is not known, or whose namespace is not of the mesh yet; not for one that is gone", async () => {
    const { world, clock, attempt } = start();
    const unknown = attempt(der);
    await clock.passSlowly(5_000);
    expect(await unknown).to.equal("unavailable: the ExternalWorkload of the certificate is not known");
    world.put({ ...workload, meshed: false });
    const apart = attempt(der);
    await clock.passSlowly(5_000);
    expect(await apart).to.equal(outside);
    world.removePod("uid-vm");
    expect(await attempt(der)).to.equal("denied: the ExternalWorkload of the certificate is gone");
  });
});

describe("a certificate that is no external proxy's", () => {
  const others: readonly (readonly [string, () => Uint8Array | undefined])[] = [
    ["none", () => undefined],
    [
      "a workload's",
      () => issued(planWorkload(ACCOUNT, "cluster.local", { now: TURNED_START, validityMs: HOUR })).der,
    ],
    ["one of two names", () => issued({ uris: [...plan.uris, "urn:x:y"] }).der],
    ["one whose second name is the right one", () => issued({ uris: ["urn:x:y", ...plan.uris] }).der],
    ["one with a part more", () => issued({ uris: [`${plan.uris.join()}:more`] }).der],
    ["one without a name", () => issued({ uris: [], dnsNames: [] }).der],
    [
      "one with the name for a DNS name",
      () => issued({ uris: [], dnsNames: ["urn:openservicemesh:external-proxy:shop:vm:u"] }).der,
    ],
    ["a CA's", () => new X509Certificate(root.certPem).raw],
  ];
  for (const [what, make] of others) {
    it(`proves nothing: ${what}`, () => {
      expect(externalOf(make())).to.equal(undefined);
    });
  }

  it("is read with a DNS name beside its own", () => {
    const { der } = issued({ dnsNames: ["vm.shop"] });
    expect(externalOf(der)?.name).to.deep.equal(VM);
  });
});
