import { expect } from "chai";
import { certificateSecret, peersSecret, trustSecret } from "../../../src/xds/secret";
import { TYPE_URLS } from "../../../src/xds/resource";
import { messageJson, resourceJson } from "../../support/envoy-json";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

describe("a secret as a proxy reads it", () => {
  it("is a certificate with its key", () => {
    const secret = certificateSecret("service-cert", "7", { certificateChain: "CHAIN", privateKey: "KEY" });
    expect(secret).to.include({ typeUrl: TYPE_URLS.secret, name: "service-cert", version: "7" });
    expect(secret.origins).to.deep.equal([]);
    expect(resourceJson(secret)).to.deep.equal({
      name: "service-cert",
      tlsCertificate: {
        certificateChain: { inlineBytes: base64("CHAIN") },
        privateKey: { inlineBytes: base64("KEY") },
      },
    });
  });

  it("is roots with the beginnings of names that are accepted, each as a URI", () => {
    const accepted = { roots: "ROOTS", uriPrefixes: ["spiffe://a/ns/", "spiffe://b/ns/"] };
    const matched = (prefix: string): object => ({ sanType: "URI", matcher: { prefix } });
    expect(resourceJson(peersSecret("peers", "1", accepted))).to.deep.equal({
      name: "peers",
      validationContext: {
        trustedCa: { inlineBytes: base64("ROOTS") },
        matchTypedSubjectAltNames: accepted.uriPrefixes.map(matched),
      },
    });
  });

  it("is never one that accepts every name by mistake", () => {
    expect(() => peersSecret("peers", "1", { roots: "ROOTS", uriPrefixes: [] })).to.throw("no names");
  });

  it("is roots alone where names are matched elsewhere", () => {
    const secret = trustSecret("roots", "1", "ROOTS");
    expect(resourceJson(secret)).to.deep.equal({
      name: "roots",
      validationContext: { trustedCa: { inlineBytes: base64("ROOTS") } },
    });
    expect(messageJson("envoy.service.discovery.v3.Resource", secret.fragment)).to.deep.include({
      name: "roots",
      version: "1",
      resource: { "@type": TYPE_URLS.secret, ...resourceJson(secret) },
    });
  });
});
