import { execFileSync } from "node:child_process";
import { createHash, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { BACKDATE_MS, planGateway, planServing, planWorkload } from "../../../src/certificate/plan";
import { parseSpiffeId } from "../../../src/model/identity";
import { createRoot, issueServing, loadAuthority } from "../../../src/runtime/secrets/authority";

const NOW = Date.now();
const HOUR = 3_600_000;
const root = createRoot(NOW);
const authority = loadAuthority(root.certPem, root.keyPem);
const workload = (namespace: string, serviceAccount: string) =>
  authority.issue(
    planWorkload({ namespace, serviceAccount }, "cluster.local", { now: NOW, validityMs: HOUR }),
  );

describe("certificates of the built-in CA", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-pki-"));
    writeFileSync(path.join(folder, "ca.pem"), root.certPem);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const openssl = (pem: string, ...args: string[]): string => {
    writeFileSync(path.join(folder, "leaf.pem"), pem);
    return execFileSync("openssl", [...args, path.join(folder, "leaf.pem")], {
      encoding: "utf8",
      stdio: "pipe",
    });
  };
  const verify = (pem: string, purpose: string): string =>
    openssl(pem, "verify", "-x509_strict", "-purpose", purpose, "-CAfile", path.join(folder, "ca.pem"));

  it("are accepted by OpenSSL's strict verification for what they are meant", () => {
    const leaf = workload("bookstore", "bookstore-v1").certPem;
    expect(verify(leaf, "sslserver")).to.contain(": OK");
    expect(verify(leaf, "sslclient")).to.contain(": OK");
    const serving = issueServing(authority, ["osm-controller.pepr-system.svc"], {
      now: NOW,
      validityMs: HOUR,
    }).certPem;
    expect(verify(serving, "sslserver")).to.contain(": OK");
    expect(() => verify(serving, "sslclient")).to.throw();
    // An ingress gateway calls and is no workload: it has no URI name.
    const gateway = authority.issue(planGateway(["gateway"], { now: NOW, validityMs: HOUR })).certPem;
    expect(verify(gateway, "sslclient")).to.contain(": OK");
    expect(() => verify(gateway, "sslserver")).to.throw();
    expect(new X509Certificate(gateway).subjectAltName).to.equal("DNS:gateway");
  });

  it("say what X.509-SVID asks for: one URI, no CA, critical digitalSignature, both usages", () => {
    const text = openssl(workload("bookstore", "bookstore-v1").certPem, "x509", "-noout", "-text", "-in");
    expect(text).to.match(/Basic Constraints: critical\s+CA:FALSE/);
    expect(text).to.match(/Key Usage: critical\s+Digital Signature\n/);
    expect(text).to.match(
      /Extended Key Usage:\s+TLS Web Server Authentication, TLS Web Client Authentication/,
    );
    expect(text.match(/URI:/g)).to.have.length(1);
    expect(text).to.contain(
      "URI:spiffe://cluster.local/ns/bookstore/sa/bookstore-v1, DNS:bookstore-v1.bookstore.cluster.local",
    );
    expect(text).to.contain("NIST CURVE: P-256");
  });

  it("give control-plane servers no workload name", () => {
    const plan = planServing(["a.svc"], { now: NOW, validityMs: HOUR });
    expect(plan.uris).to.deep.equal([]);
    expect(new X509Certificate(authority.issue(plan).certPem).subjectAltName).to.equal("DNS:a.svc");
  });

  it("are backdated, end when planned and never outlive the issuer", () => {
    const leaf = new X509Certificate(workload("a", "b").certPem);
    expect(Date.parse(leaf.validFrom)).to.be.within(NOW - BACKDATE_MS - 1_000, NOW - BACKDATE_MS);
    expect(Date.parse(leaf.validTo)).to.be.within(NOW + HOUR - 1_000, NOW + HOUR);
    const long = authority.issue(planServing(["a"], { now: NOW, validityMs: 40 * 365 * 24 * HOUR }));
    expect(Date.parse(new X509Certificate(long.certPem).validTo)).to.equal(authority.notAfter);
    expect(authority.notAfter - NOW).to.be.within(3649 * 24 * HOUR, 3651 * 24 * HOUR);
  });

  it("never repeat a serial number or a key", () => {
    const issued = Array.from({ length: 200 }, () => workload("a", "b"));
    const serials = issued.map(({ certPem }) => new X509Certificate(certPem).serialNumber);
    expect(new Set(serials).size).to.equal(200);
    for (const serial of serials) expect(serial).to.match(/^[4-7][0-9A-F]{31}$/);
    expect(
      new Set(issued.map(({ keyPem }) => createHash("sha256").update(keyPem).digest("hex"))).size,
    ).to.equal(200);
  });

  it("carry any legal identity, and only that identity can be read back", () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
    const account = fc.array(label, { minLength: 1, maxLength: 11 }).map(labels => labels.join("."));
    fc.assert(
      fc.property(label, account, (namespace, serviceAccount) => {
        const leaf = new X509Certificate(workload(namespace, serviceAccount).certPem);
        const uris = (leaf.subjectAltName ?? "").split(", ").filter(name => name.startsWith("URI:"));
        expect(uris).to.have.length(1);
        const read = parseSpiffeId("cluster.local", uris[0]?.slice(4) ?? "");
        expect(read).to.deep.equal({ namespace, serviceAccount });
        expect(leaf.verify(new X509Certificate(root.certPem).publicKey)).to.equal(true);
      }),
      { numRuns: 100 },
    );
  });

  it("can be issued by an RSA root as OSM made them", () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const keyPem = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
    const [key, cert] = [path.join(folder, "rsa.key"), path.join(folder, "rsa.pem")];
    writeFileSync(key, keyPem);
    const subject = "/C=US/L=CA/O=Open Service Mesh/CN=osm-ca.openservicemesh.io";
    execFileSync(
      "openssl",
      ["req", "-x509", "-new", "-key", key, "-days", "30", "-subj", subject, "-out", cert],
      { stdio: "pipe" },
    );
    const certPem = execFileSync("cat", [cert], { encoding: "utf8" });
    const rsa = loadAuthority(certPem, keyPem);
    const leaf = rsa.issue(
      planWorkload({ namespace: "a", serviceAccount: "b" }, "cluster.local", { now: NOW, validityMs: HOUR }),
    );
    expect(openssl(leaf.certPem, "verify", "-purpose", "sslserver", "-CAfile", cert)).to.contain(": OK");
  });

  it("are not issued by a key that does not belong to the certificate, nor by a leaf", () => {
    const other = createRoot(NOW);
    expect(() => loadAuthority(root.certPem, other.keyPem)).to.throw("does not belong");
    const leaf = workload("a", "b");
    expect(() => loadAuthority(leaf.certPem, leaf.keyPem)).to.throw("not a CA");
  });
});
