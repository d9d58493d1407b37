import { expect } from "chai";
import { ingestEgress } from "../../../src/ingest/egress";
import { ingestIngressBackend } from "../../../src/ingest/ingress-backend";
import { account, egress, ingressBackend } from "../../support/terms-objects";

describe("address ranges and host names of policies", () => {
  const ranges = ["10.0.9.7/24", "FD00::/8", "10.0.9.0/24", "1.2.3.4/0", "::ffff:10.0.9.7/120", "fdff::/8"];
  const once = ["10.0.9.0/24", "fd00::/8", "0.0.0.0/0", "::ffff:10.0.9.0/120"];

  it("are read in one spelling, each once, of an Egress", () => {
    const { value, diagnostics } = ingestEgress(
      egress("web/out", {
        sources: [account("web/buyer")],
        hosts: ["A.com.", "a.com"],
        ipAddresses: ranges,
        ports: [{ number: 443, protocol: "https" }],
      }),
    );
    expect(diagnostics).to.deep.equal([]);
    expect(value).to.deep.include({ ipAddresses: once, hosts: ["a.com"] });
  });

  it("are read in one spelling, each once, of an IngressBackend", () => {
    const tls = { skipClientCertValidation: true, sniHosts: ["a.com", "A.com", "a.com.", "*.B.com"] };
    const { value, diagnostics } = ingestIngressBackend(
      ingressBackend("shop/cart", {
        backends: [{ name: "cart", port: { number: 8080, protocol: "https" }, tls }],
        sources: ranges.map(name => ({ kind: "IPRange", name })),
      }),
    );
    expect(diagnostics).to.deep.equal([]);
    expect(value?.ipRanges).to.deep.equal(once);
    expect(value?.backends[0]?.tls).to.deep.equal({ verifyClient: false, sniHosts: ["a.com", "*.b.com"] });
  });
});
