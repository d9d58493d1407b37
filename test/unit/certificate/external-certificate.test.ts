import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { proveExternal } from "../../../src/runtime/identity/external-proxy";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import {
  externalDue,
  issueExternal,
  type ExternalProxyRequest,
} from "../../../src/runtime/secrets/external-certificate";
import { newPublicKey } from "../../support/external-workload";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const { certPem, keyPem } = createRoot(NOW);
const authority = loadAuthority(certPem, keyPem);
const NAME = { namespace: "shop", name: "vm", uid: "uid-vm" };

/** As the CA would be when it has so much left. */
const ending = (leftMs: number): typeof authority => ({
  ...authority,
  certify: (plan, publicKey) => authority.certify({ ...plan, notAfter: NOW + leftMs }, publicKey),
});

function held(issuer = authority): ExternalProxyRequest {
  const request = { ...NAME, publicKey: newPublicKey(), held: undefined };
  return { ...request, held: issueExternal(request, { authority: issuer, trust: certPem, now: NOW }) };
}
const dueAfter = (request: ExternalProxyRequest): number => externalDue(request, authority, certPem) - NOW;

describe("the certificate of an external proxy", () => {
  it("is due before half of its own life, however short a CA that ends makes it", () => {
    for (const hours of [24, 10, 3, 1]) {
      const due = dueAfter(held(ending(hours * HOUR)));
      expect(due, `${hours} h`).to.be.within(hours * 0.4 * HOUR - 1_000, hours * 0.5 * HOUR);
    }
  });

  it("is not due within a minute of its issue, when nothing is left of the CA either", () => {
    for (const left of [MINUTE, 1_000, 0, -MINUTE, -24 * HOUR]) {
      expect(dueAfter(held(ending(left))), `${left} ms`).to.equal(MINUTE);
    }
  });

  it("is due at once when it is of another key, object or authority, or none", () => {
    const good = held();
    const other = createRoot(NOW);
    const wrong: readonly ExternalProxyRequest[] = [
      { ...good, publicKey: newPublicKey() },
      { ...good, uid: "another" },
      { ...good, held: undefined },
      { ...good, held: { ...good.held, certificate: "none" } },
      { ...good, held: { ...good.held, trust: other.certPem } },
      held(loadAuthority(other.certPem, other.keyPem)),
    ];
    for (const request of wrong) expect(externalDue(request, authority, certPem)).to.equal(0);
  });

  it("is that of its key however that is written: for renewal, and for who proves by it", () => {
    const good = held();
    const last = good.publicKey.charCodeAt(121);
    const publicKey = `${good.publicKey.slice(0, 121)}${String.fromCharCode(last + 1)}==`;
    expect(dueAfter({ ...good, publicKey })).to.be.above(9 * HOUR);
    const certificate = new X509Certificate(good.held?.certificate ?? "");
    const workload = { ...NAME, serviceAccount: "store", sidecar: true, meshed: true };
    const prove = (key: string): unknown =>
      proveExternal({ name: NAME, certificate }, { ...workload, publicKey: key }, NOW);
    expect(prove(publicKey)).to.include({ podUid: "uid-vm" });
    expect(() => prove(newPublicKey())).to.throw("another public key");
  });
});
