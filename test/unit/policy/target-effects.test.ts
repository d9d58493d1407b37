import { expect } from "chai";
import { targetEffects, type Destination, type DestinationPort } from "../../../src/policy/access-findings";
import type { PortGrant, TargetGrants } from "../../../src/policy/access";
import type { AppProtocol } from "../../../src/policy/types";

const ref = { group: "access.smi-spec.io", kind: "TrafficTarget", namespace: "shop", name: "cart" };
const grant = (kind: PortGrant["kind"], field: string, ...ports: readonly number[]): PortGrant => ({
  kind,
  ports,
  field,
  grant: { name: field, identities: [], matches: [], origins: [ref] },
});
const target = (port: number | undefined, ...grants: readonly PortGrant[]): TargetGrants => ({
  ref,
  port,
  grants,
});
const at = (port: number, protocol: AppProtocol, conflict = false): DestinationPort => ({
  served: { port, frontends: [{ service: "shop/cart", port: port - 8000 }] },
  protocol,
  conflict,
});
const told = (of: TargetGrants, ...ports: readonly DestinationPort[]): readonly string[] =>
  findings(of, { pods: 1, ports });
function findings(of: TargetGrants, destination: Destination): readonly string[] {
  return targetEffects(of, destination).map(({ severity, code, subject, field, message }) => {
    expect([severity, subject]).to.deep.equal(["warning", ref]);
    return `${code} ${field ?? ""}: ${message}`;
  });
}

describe("what the owner of a TrafficTarget is told of its destination", () => {
  const http = grant("http", "spec.rules[0]");
  const noHttp =
    "NoEffect spec.rules[0]: the destination serves no HTTP port, and rules of HTTP grant nothing on others";

  it("is nothing where its rules have an effect", () => {
    expect(told(target(undefined, http), at(8081, "tcp"), at(8080, "http"))).to.deep.equal([]);
    expect(told(target(undefined, grant("tcp", "spec.rules[0]")), at(8081, "tcp"))).to.deep.equal([]);
    expect(told(target(80, http), at(8080, "grpc"))).to.deep.equal([]);
    expect(told(target(undefined), at(8080, "http"))).to.deep.equal([]);
  });

  it("is that there is none, or that nothing leads there", () => {
    expect(findings(target(undefined, http), { pods: 0, ports: [at(8080, "http")] })).to.deep.equal([
      "NoEffect spec.destination: no pod of the mesh is this destination",
    ]);
    expect(told(target(undefined, http))).to.deep.equal([
      "NoEffect spec.destination: no port of a Service leads to pods of this destination",
    ]);
    expect(told(target(99, http), at(8080, "http"))).to.deep.equal([
      "NoEffect spec.destination: port 99 does not lead to pods of this destination",
    ]);
  });

  it("is which rule grants nothing at the ports that it speaks of, once for each", () => {
    expect(told(target(undefined, http, grant("http", "spec.rules[0]")), at(8081, "tcp"))).to.deep.equal([
      noHttp,
    ]);
    expect(told(target(81, http), at(8080, "http"), at(8081, "tcp"))).to.deep.equal([noHttp]);
    const bulk = grant("tcp", "spec.rules[1]", 1, 2);
    expect(told(target(undefined, http, bulk), at(8080, "http"))).to.deep.equal([
      "NoEffect spec.rules[1]: the destination does not serve port 1, 2",
    ]);
    const first = grant("tcp", "spec.rules[0]", 8080);
    expect(told(target(undefined, first, grant("tcp", "spec.rules[0]", 9)), at(8080, "http"))).to.deep.equal(
      [],
    );
  });

  it("is where one Service says bytes and another HTTP, of rules of HTTP", () => {
    const torn = [at(8080, "tcp", true), at(8080, "tcp", true), at(8090, "tcp", true)];
    expect(told(target(undefined, http, grant("tcp", "spec.rules[1]")), ...torn)).to.deep.equal([
      "ProtocolConflict spec.rules[0]: container port 8080, 8090 is carried as tcp, because another Service port declares it so; rules of HTTP grant nothing there",
    ]);
  });
});
