import { expect } from "chai";
import type { ExtensionService } from "../../../src/model/traffic";
import {
  authorizationFindings,
  meshAuthorization,
  workloadAuthorization,
} from "../../../src/policy/authorization";
import type { AuthorizationMode } from "../../../src/policy/settings";

const ref = { group: "config.openservicemesh.io", kind: "ExtensionService", namespace: "shop", name: "opa" };
const pod = { group: "", kind: "Pod", namespace: "shop", name: "cart-1" };
const opa: ExtensionService = {
  ref,
  createdAt: 0,
  host: "opa.shop",
  port: 9292,
  http2: true,
  connectTimeoutMs: undefined,
};
const services: Readonly<Record<string, ExtensionService>> = {
  "shop/opa": opa,
  "shop/old": { ...opa, http2: false },
};
const service = (key: string): ExtensionService | undefined => services[key];
const server = {
  cluster: "external-authorization",
  address: "authz.mesh",
  port: 9191,
  statPrefix: "mesh",
  timeoutMs: 2000,
  failureModeAllow: true,
};
const modes: readonly AuthorizationMode[] = [{ kind: "off" }, { kind: "ask", server }, { kind: "deny" }];

describe("how a workload's requests are authorized", () => {
  for (const mesh of modes) {
    const read = (annotation: string | undefined) => workloadAuthorization(annotation, mesh, service);

    it(`is as the mesh says (${mesh.kind}) without an annotation`, () => {
      expect(read(undefined)).to.deep.equal({ mode: mesh, cluster: undefined, origins: [] });
      expect(meshAuthorization(mesh)).to.deep.equal(read(undefined));
    });

    it(`is not at all where a pod says so, whatever the mesh says (${mesh.kind})`, () => {
      for (const written of ["disabled", " Disabled\n", "DISABLED"])
        expect(read(written)).to.deep.equal({ mode: { kind: "off" }, cluster: undefined, origins: [] });
    });

    it(`lets nothing through where the service cannot be asked, whatever the mesh says (${mesh.kind})`, () => {
      for (const written of ["shop/gone", "shop/old", "", "  ", "enabled"])
        expect(read(written), written).to.deep.equal({
          mode: { kind: "deny" },
          cluster: undefined,
          origins: [],
        });
    });
  }

  it("is asked of the service it names, on the mesh's terms, or on those that are written nowhere", () => {
    const own = { cluster: "extension|shop/opa", address: "opa.shop", port: 9292 };
    const asked = (mesh: AuthorizationMode) => workloadAuthorization(" shop/opa ", mesh, service);
    const found = asked({ kind: "ask", server });
    expect(found.mode).to.deep.equal({ kind: "ask", server: { ...server, ...own } });
    expect(found.cluster).to.include({ name: own.cluster, address: "opa.shop", port: 9292, http2: true });
    expect(found.origins).to.deep.equal([ref]);
    const terms = { statPrefix: "inboundExtAuthz", timeoutMs: 1000, failureModeAllow: false };
    for (const kind of ["off", "deny"] as const)
      expect(asked({ kind }).mode).to.deep.equal({ kind: "ask", server: { ...terms, ...own } });
  });
});

describe("what the owner of a pod is told of its annotation", () => {
  const told = (annotation: string | undefined) => authorizationFindings(pod, annotation, service);

  it("is nothing where it says nothing, switches it off, or names a service that can be asked", () => {
    for (const annotation of [undefined, "disabled", " DISABLED ", "shop/opa", " shop/opa "])
      expect(told(annotation), annotation).to.deep.equal([]);
  });

  it("is that the service is not there, or does not speak what is spoken", () => {
    const field = 'metadata.annotations["openservicemesh.io/external-authorization"]';
    const rows = [
      [
        "shop/gone",
        "UnresolvedReference",
        "there is no ExtensionService shop/gone; all inbound HTTP requests are refused",
      ],
      ["", "UnresolvedReference", 'there is no ExtensionService ""; all inbound HTTP requests are refused'],
      [
        "shop/old",
        "InvalidField",
        "ExtensionService shop/old speaks http1, and authorization is asked for by gRPC; all inbound HTTP requests are refused",
      ],
    ] as const;
    for (const [annotation, code, message] of rows)
      expect(told(annotation)).to.deep.equal([{ severity: "error", code, subject: pod, field, message }]);
  });
});
