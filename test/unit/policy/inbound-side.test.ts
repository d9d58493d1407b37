import { expect } from "chai";
import type { NodeGroup, ServedPort } from "../../../src/catalog/node-groups";
import { RESERVED_PORTS } from "../../../src/model/mesh-words";
import type { UpstreamTrafficSetting } from "../../../src/model/traffic";
import type { MeshService } from "../../../src/model/workload";
import type { TargetGrants } from "../../../src/policy/access";
import { meshAuthorization } from "../../../src/policy/authorization";
import { groupLeaves, portConflicts, servedAs, type GroupContext } from "../../../src/policy/inbound";
import type { ExternalClusterLeaf, InboundPort, Leaf } from "../../../src/policy/types";
import { ASKED_OF_REQUESTS, ONE_A_SECOND, routeTerms, settingTerms } from "../../support/setting-terms";

const ref = (kind: string, name: string) => ({ group: "g", kind, namespace: "shop", name });
const identity = { namespace: "shop", serviceAccount: "cart" };
const buyer = { namespace: "web", serviceAccount: "buyer" };
const thief = { namespace: "web", serviceAccount: "thief" };
type ServicePort = MeshService["ports"][number];

function service(name: string, ...ports: readonly Partial<ServicePort>[]): MeshService {
  const blank = { name: "", port: 80, targetPort: 8080, transport: "TCP", appProtocol: undefined } as const;
  return {
    namespace: "shop",
    name,
    kind: "clusterIP",
    addresses: [],
    selector: {},
    ports: ports.map(port => ({ ...blank, ...port })),
  };
}
const services: Readonly<Record<string, MeshService>> = {
  "shop/web": service("web", { name: "http", port: 80 }, { name: "grpc", port: 90 }),
  "shop/raw": service("raw", { name: "tcp", port: 80 }, { name: "tcp-more", port: 81 }),
};
const lookUp = (key: string): MeshService | undefined => services[key];
const front = (name: string, port: number) => ({ service: `shop/${name}`, port });
const served = (port: number, ...frontends: ServedPort["frontends"]): ServedPort => ({ port, frontends });
const group = (more: Partial<NodeGroup> = {}): NodeGroup => ({
  identity,
  served: [],
  ipv6: false,
  view: { kind: "mesh" },
  permissive: false,
  plaintext: false,
  targets: [],
  ...more,
});
const context = (more: Partial<GroupContext> = {}): GroupContext => ({
  meshConfig: ref("MeshConfig", "osm"),
  transport: {
    trustDomain: "cluster.local",
    tls: { minVersion: "TLSv1_2", maxVersion: "TLSv1_3", cipherSuites: [], ecdhCurves: [] },
  },
  callerDomain: "cluster.local",
  egress: { kind: "some", ports: [], leaves: [] },
  tracing: undefined,
  authorization: meshAuthorization({ kind: "off" }),
  logging: undefined,
  setting: () => undefined,
  reading: "Prefix",
  ingress: () => ({ chains: [], tables: [], diagnostics: [] }),
  targets: [],
  service: lookUp,
  ...more,
});
const WEB = served(8080, front("web", 80));
const RAW = served(9090, front("raw", 80));

function listenerOf(leaves: readonly Leaf[]): Extract<Leaf, { kind: "inbound-listener" }> {
  const found = leaves.find(leaf => leaf.kind === "inbound-listener");
  if (found === undefined) throw new Error("no listener");
  return found;
}
const portOf = (leaves: readonly Leaf[], number: number): InboundPort | undefined =>
  listenerOf(leaves).ports.find(({ port }) => port === number);
const namesOf = (leaves: readonly Leaf[], kind: Leaf["kind"]): readonly string[] =>
  leaves.flatMap(leaf => (leaf.kind === kind ? [leaf.name] : []));

describe("how a served port is carried", () => {
  const rows: readonly (readonly [string, ServedPort, string, boolean])[] = [
    ["as its Service says", WEB, "http", false],
    ["as bytes", RAW, "tcp", false],
    ["as bytes where some Service says so", served(1, front("web", 80), front("raw", 80)), "tcp", true],
    ["as bytes where all say so", served(1, front("raw", 80), front("raw", 81)), "tcp", false],
    ["as HTTP where it is both HTTP and gRPC", served(1, front("web", 80), front("web", 90)), "http", false],
    ["as gRPC", served(1, front("web", 90)), "grpc", false],
    ["as HTTP where its Service is gone", served(1, front("none", 80)), "http", false],
    ["by those Services that are there", served(1, front("none", 80), front("raw", 80)), "tcp", false],
    ["by those ports that are there", served(1, front("web", 99), front("raw", 80)), "tcp", false],
  ];
  for (const [what, port, protocol, conflict] of rows) {
    it(what, () => {
      expect(servedAs(port, lookUp)).to.deep.equal({ protocol, conflict });
    });
  }

  it("as it was, where the Service is another or gone by now", () => {
    const was = {
      name: "tcp",
      port: 80,
      targetPort: 8080,
      transport: "TCP",
      appProtocol: undefined,
    } as const;
    const lingering = served(8080, { ...front("web", 80), was }, { ...front("gone", 70), was });
    expect(servedAs(lingering, lookUp)).to.deep.equal({ protocol: "tcp", conflict: false });
    const leaves = groupLeaves(group({ lingering: [lingering], served: [RAW] }), context());
    expect(listenerOf(leaves).ports.map(({ port }) => port)).to.deep.equal([8080, 9090]);
    const [local] = leaves.filter(leaf => leaf.kind === "local-cluster");
    expect(local?.origins.map(({ namespace, name }) => `${namespace}/${name}`)).to.deep.equal([
      "shop/web",
      "shop/gone",
    ]);
  });

  it("is told to the owner of each Service that says HTTP where another says bytes", () => {
    const both = served(8080, front("web", 80), front("raw", 81), front("web", 90));
    const found = portConflicts(group({ served: [both, WEB, RAW] }), lookUp);
    expect(
      found.map(({ subject, severity, code, field, message }) => [
        subject.name,
        severity,
        code,
        field,
        message,
      ]),
    ).to.deep.equal(
      [80, 90].map(number => [
        "web",
        "warning",
        "ProtocolConflict",
        "spec.ports",
        `port ${number} (${number === 80 ? "http" : "grpc"}) leads to container port 8080, which another Service port declares as tcp; it is carried as tcp into those pods`,
      ]),
    );
  });
});

describe("the inbound side of a group", () => {
  it("has no port of the sidecar's own", () => {
    const own = RESERVED_PORTS.map(port => served(port, front("web", 80)));
    const leaves = groupLeaves(group({ served: [WEB, ...own] }), context());
    expect(listenerOf(leaves).ports.map(({ port }) => port)).to.deep.equal([8080]);
    expect(namesOf(leaves, "local-cluster")).to.deep.equal(["local|8080"]);
  });

  it("asks for the ingress of ports of HTTP, with their Services, each once", () => {
    const asked: unknown[] = [];
    const ingress: GroupContext["ingress"] = (port, keys) => {
      asked.push([port, keys]);
      return { chains: [], tables: [], diagnostics: [] };
    };
    const twice = served(8080, front("web", 80), front("web", 90));
    groupLeaves(group({ served: [twice, RAW] }), context({ ingress }));
    expect(asked).to.deep.equal([[8080, ["shop/web"]]]);
  });

  it("keeps escaped slashes as the mesh says, on ports of HTTP", () => {
    const slashes = (more: Partial<GroupContext>) =>
      listenerOf(groupLeaves(group({ served: [WEB, RAW] }), context(more))).ports.map(({ handling }) =>
        handling.kind === "http" ? handling.escapedSlashes : handling.kind,
      );
    expect(slashes({ escapedSlashes: "keep" })).to.deep.equal(["keep", "tcp"]);
    expect(slashes({})).to.deep.equal([undefined, "tcp"]);
    const [port] = listenerOf(groupLeaves(group({ served: [WEB] }), context())).ports;
    expect(port?.handling).to.not.have.property("escapedSlashes");
  });

  it("comes from the settings that limit it, and from no others", () => {
    const of = (port: ServedPort, more: Partial<UpstreamTrafficSetting>): readonly string[] => {
      const own = settingTerms("own", more);
      const leaves = groupLeaves(group({ served: [port] }), context({ setting: () => own }));
      return listenerOf(leaves).origins.flatMap(({ kind, name }) =>
        kind === "UpstreamTrafficSetting" ? [name] : [],
      );
    };
    const limits = { localTcp: ONE_A_SECOND };
    const ofRequests = { globalHttp: ASKED_OF_REQUESTS };
    expect(of(WEB, limits)).to.deep.equal(["own"]);
    expect(of(RAW, limits)).to.deep.equal(["own"]);
    expect(of(WEB, ofRequests)).to.deep.equal(["own"]);
    expect(of(RAW, ofRequests), "bytes are held to no limit of requests").to.deep.equal([]);
    expect(of(WEB, { timeoutMs: 1 })).to.deep.equal([]);
    // Requests that are counted by path are of the route table.
    const routes = [routeTerms("/a", { localLimit: { ...ONE_A_SECOND, status: 429, headers: [] } })];
    expect(of(WEB, { routes })).to.deep.equal([]);
  });

  it("comes from the targets of its ports of bytes; those of HTTP are of the route tables", () => {
    const granted = (name: string): TargetGrants => ({
      ref: ref("TrafficTarget", name),
      port: undefined,
      grants: [
        {
          kind: "tcp",
          ports: [],
          field: "spec.rules[0]",
          grant: { name, identities: [thief, buyer], matches: [], origins: [ref("TrafficTarget", name)] },
        },
      ],
    });
    const origins = (port: ServedPort): readonly string[] =>
      listenerOf(groupLeaves(group({ served: [port] }), context({ targets: [granted("t")] }))).origins.map(
        ({ kind, name }) => `${kind} ${name}`,
      );
    expect(origins(RAW)).to.deep.equal(["Service raw", "TrafficTarget t"]);
    expect(origins(WEB)).to.deep.equal(["Service web"]);
    const leaves = groupLeaves(group({ served: [RAW] }), context({ targets: [granted("t")] }));
    expect(namesOf(leaves, "caller-gate")).to.deep.equal([
      "inbound|9090|spiffe://cluster.local/ns/web/sa/buyer",
      "inbound|9090|spiffe://cluster.local/ns/web/sa/thief",
    ]);
  });

  it("lets nobody in where nobody can be asked, and says that MeshConfig is why", () => {
    const denied = groupLeaves(
      group({ served: [WEB], permissive: true, plaintext: true }),
      context({ authorization: meshAuthorization({ kind: "deny" }) }),
    );
    const rules = denied.flatMap(leaf => (leaf.kind === "route-table" ? leaf.rules : []));
    expect(rules).to.have.length(2);
    for (const { permission, origins } of rules) {
      expect(permission).to.deep.equal({ kind: "allow", identities: [] });
      expect(origins.map(({ kind }) => kind)).to.deep.equal(["Service", "MeshConfig"]);
    }
  });

  it("asks for authorization on ports of HTTP, where somebody is to be asked", () => {
    const server = {
      cluster: "external-authorization",
      address: "authz",
      port: 1,
      statPrefix: "",
      timeoutMs: 1,
      failureModeAllow: false,
    };
    const leaves = groupLeaves(
      group({ served: [WEB, RAW] }),
      context({ authorization: meshAuthorization({ kind: "ask", server }) }),
    );
    expect(
      [portOf(leaves, 8080), portOf(leaves, 9090)].map(port => port?.externalAuthorization),
    ).to.deep.equal([server, undefined]);
    expect(namesOf(leaves, "external-cluster")).to.deep.equal(["external-authorization"]);
  });

  it("has each server that its proxy calls once, and that of the mesh only where it is asked", () => {
    const cluster: ExternalClusterLeaf = {
      kind: "external-cluster",
      name: "extension|shop/opa",
      origins: [],
      address: "opa",
      port: 2,
      http2: true,
    };
    const server = {
      cluster: cluster.name,
      address: "opa",
      port: 2,
      statPrefix: "",
      timeoutMs: 1,
      failureModeAllow: false,
    };
    const authorization = { mode: { kind: "ask", server }, cluster, origins: [] } as const;
    const logging = { cluster: { ...cluster, origins: [ref("Telemetry", "t")] }, origins: [] };
    const leaves = groupLeaves(group({ served: [WEB] }), context({ authorization, logging }));
    expect(leaves.filter(({ kind }) => kind === "external-cluster")).to.deep.equal([cluster]);
  });
});
