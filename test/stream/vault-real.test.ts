import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { planWorkload } from "../../src/certificate/plan";
import { systemClock } from "../../src/runtime/clock";
import type { Issuer } from "../../src/runtime/issuers/issuer";
import { createOpenIssuer } from "../../src/runtime/issuers/open";
import type { KubeClient } from "../../src/runtime/kube";
import { watchedLog } from "../support/told-errors";
import { failureOf, holdsTheContract, TRUST_DOMAIN } from "../support/issuer-contract";
import { createOpensslCa, type OpensslCa } from "../support/openssl-ca";
import { startVault, type Vault } from "../support/vault";

const OSM = "osm-system";
/** What the mesh's role has to allow. */
const ROLE = {
  allow_any_name: true,
  enforce_hostnames: false,
  allowed_uri_sans: `spiffe://${TRUST_DOMAIN}/*`,
  key_type: "ec",
  key_bits: 256,
  require_cn: false,
  max_ttl: "24h",
};

// Vault takes minutes to build where it is not in the cache: `npm run test:long` asks it.
if (process.env["OSM_FULL"] === "1")
  describe("the real Vault, with its PKI engine", function () {
    this.timeout(1_200_000);
    let vault: Vault | undefined;
    let openssl: OpensslCa | undefined;
    let token = "";
    const real = (): Vault => vault as Vault;
    const kube = {
      get: () => Promise.resolve({ data: { token: Buffer.from(token).toString("base64") } }),
    } as unknown as KubeClient;
    const open = (role = "openservicemesh"): Promise<Issuer> => {
      const secretKeyRef = { name: "vault", key: "token", namespace: OSM };
      const place = { host: "127.0.0.1", port: real().port, role, protocol: "http" as const };
      const options = {
        kube,
        osmNamespace: OSM,
        trustDomain: TRUST_DOMAIN,
        clock: systemClock,
        log: watchedLog,
        deadlineMs: 60_000,
      };
      return createOpenIssuer(options)({ vault: { ...place, token: { secretKeyRef } } }, TRUST_DOMAIN);
    };
    const workload = (validityMs: number) =>
      planWorkload({ namespace: "shop", serviceAccount: "buyer" }, TRUST_DOMAIN, {
        now: Date.now(),
        validityMs,
      });

    before(async () => {
      [vault, openssl] = await Promise.all([startVault(), createOpensslCa("verifier")]);
      await vault.write("pki/roles/openservicemesh", ROLE);
      token = await vault.tokenFor("openservicemesh");
    });
    after(async () => {
      await vault?.stop();
      openssl?.remove();
    });

    holdsTheContract(() => ({ open: () => open(), openssl: openssl as OpensslCa }));

    it("refuses roles that are not there, and identities that a role does not allow", async () => {
      await real().write("pki/roles/elsewhere", { ...ROLE, allowed_uri_sans: "spiffe://elsewhere/*" });
      for (const role of ["nobody", "elsewhere"]) {
        token = await real().tokenFor(role);
        expect(await failureOf(() => open(role)), role).to.have.property("trouble", "refused");
      }
      token = await real().tokenFor("openservicemesh");
    });

    it("gives less life where its role allows less, and says so", async () => {
      await real().write("pki/roles/short", { ...ROLE, max_ttl: "120s" });
      token = await real().tokenFor("short");
      const { certPem, notAfter } = await (await open("short")).issue(workload(3_600_000));
      expect(notAfter).to.equal(Date.parse(new X509Certificate(certPem).validTo));
      expect(notAfter).to.be.at.most(Date.now() + 121_000);
      token = await real().tokenFor("openservicemesh");
    });

    it("is asked with a new token after the old one has been revoked, and errors quote neither", async () => {
      const issuer = await open();
      const old = token;
      await real().write("auth/token/revoke", { token: old });
      const error = await failureOf(() => issuer.issue(workload(60_000)));
      expect(error).to.have.property("trouble", "refused");
      expect(String(error)).to.not.contain(old);
      token = await real().tokenFor("openservicemesh");
      expect(await issuer.issue(workload(60_000))).to.have.property("certPem");
    });

    it("is named as unavailable when it is gone", async () => {
      const issuer = await open();
      await real().stop();
      expect(await failureOf(() => issuer.issue(workload(60_000)))).to.have.property(
        "trouble",
        "unavailable",
      );
    });
  });
