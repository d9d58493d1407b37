import { expect } from "chai";
import type { Issuer } from "../../../src/runtime/issuers/issuer";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { gatewayDue, gatewayTrust, issueGateway } from "../../../src/runtime/secrets/gateway-certificate";
import { rootsOf } from "../../../src/runtime/secrets/workload-secrets";

const NOW = Date.parse("2026-06-01T00:00:00Z");
const MINUTE = 60_000;
const { certPem, keyPem } = createRoot(NOW);
const authority = loadAuthority(certPem, keyPem);

/** As Vault does: its certificates begin half a minute early, and nobody knows when it ends. */
const elsewhere: Issuer = {
  anchorsPem: authority.anchorsPem,
  fingerprint: authority.fingerprint,
  issue: plan => authority.issue({ ...plan, notBefore: NOW - MINUTE / 2 }),
};

describe("the certificate of an ingress gateway", () => {
  for (const [who, issuer] of Object.entries({ "this mesh": authority, "an issuer elsewhere": elsewhere }))
    for (const minutes of [10, 30, 60, 120, 1_440])
      it(`of ${who} is due within its life of ${minutes} minutes, and proves its issuer from the start`, async () => {
        const gateway = {
          secret: { name: "gateway", namespace: "osm-system" },
          subjectAltNames: ["gateway.example"],
          validityDuration: `${minutes}m`,
        };
        const asked = { gateway, roots: rootsOf(issuer), now: NOW };
        const material = await issueGateway(asked);
        expect((gatewayDue(material, asked) - NOW) / MINUTE).to.be.within(minutes * 0.3, minutes * 0.76);
        expect(gatewayTrust(material, asked).since).to.be.within(NOW - MINUTE, NOW + 1_000);
      });
});
