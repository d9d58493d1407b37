import { expect } from "chai";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { serviceAccount } from "./support/manifests";
import { Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { routeGroup } from "./support/smi-objects";
import { LINES_PORT, SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./support/smi-pods";

const POLICY = "policy.openservicemesh.io/v1alpha1";

/** Rows of Open Service Mesh's own list about the ways into the mesh and out of it; see docs/reference/acceptance.md. */
describe("acceptance of Open Service Mesh's list: ways in and out", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let inside: TestNamespace;
  let outside: TestNamespace;
  let client: SmiPod;
  let gateway: SmiPod;
  let stranger: SmiPod;

  before(async () => {
    mesh = await Mesh.open();
    inside = await TestNamespace.create(mesh, "edges", true);
    outside = await TestNamespace.create(mesh, "world", false);
    await inside.apply(
      smiApplication(),
      ...["client", "server"].map(serviceAccount),
      smiDeployment("client", { account: "client" }),
      smiDeployment("server", { account: "server" }),
      smiService("server"),
    );
    await outside.apply(
      smiApplication(),
      ...["gateway", "stranger"].flatMap(name => [smiDeployment(name), smiService(name)]),
    );
    [client, gateway, stranger] = await Promise.all([
      SmiPod.one(inside, "client"),
      SmiPod.one(outside, "gateway"),
      SmiPod.one(outside, "stranger"),
    ]);
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  describe("row 8: Egress, with enableEgress off", () => {
    let config: LiveMeshConfig;
    let host: string;
    let page: string;

    before(async () => {
      host = `stranger.${outside.name}.svc.cluster.local`;
      page = `http://${host}:${SMI_PORT}`;
      config = await LiveMeshConfig.of(mesh);
      await config.patch({ traffic: { enableEgress: false } });
      await client.until("fails", `${page}/echo`);
    });
    after(async () => {
      await config.restore();
    });

    const egress = (spec: object): object => ({
      apiVersion: POLICY,
      kind: "Egress",
      metadata: { name: "out" },
      spec: { sources: [{ kind: "ServiceAccount", name: "client", namespace: inside.name }], ...spec },
    });
    const withdraw = (): Promise<string> => inside.kubectl(["delete", "egress", "out"]);
    const http = [{ number: SMI_PORT, protocol: "http" }];

    it("http: opens the host, and closes it when it is deleted", async () => {
      await inside.apply(egress({ hosts: [host], ports: http }));
      expect(await client.until("succeeds", `${page}/echo`)).to.equal(200);
      await withdraw();
      await client.until("fails", `${page}/echo`);
    });

    it("http with an HTTPRouteGroup: its paths, and 404 for others", async () => {
      const matches = [{ apiGroup: "specs.smi-spec.io/v1alpha4", kind: "HTTPRouteGroup", name: "echo" }];
      await inside.apply(
        routeGroup("echo", [{ name: "echo", pathRegex: "/echo", methods: ["GET"] }]),
        egress({ hosts: [host], ports: http, matches }),
      );
      expect(await client.until("succeeds", `${page}/echo`)).to.equal(200);
      expect(await client.call(`${page}/status/200`)).to.deep.equal([404]);
      await withdraw();
      await client.until("fails", `${page}/echo`);
    });

    it("tcp: opens the address and port, and closes them when it is deleted (row 46 by policy)", async () => {
      const address = await outside.kubectl([
        "get",
        "service",
        "stranger",
        "-o",
        "jsonpath={.spec.clusterIP}",
      ]);
      await client.untilLine("fails", host);
      await inside.apply(
        egress({ ipAddresses: [`${address}/32`], ports: [{ number: LINES_PORT, protocol: "tcp" }] }),
      );
      expect(await client.untilLine("succeeds", host)).to.equal("stranger hello\n");
      await withdraw();
      await client.untilLine("fails", host);
    });

    it("row 46: tcp is open to all with enableEgress, and closed without", async () => {
      await client.untilLine("fails", host);
      await config.patch({ traffic: { enableEgress: true } });
      expect(await client.untilLine("succeeds", host)).to.equal("stranger hello\n");
      await config.patch({ traffic: { enableEgress: false } });
      await client.untilLine("fails", host);
    });
  });

  describe("row 22: IngressBackend", () => {
    const page = (): string => `http://server.${inside.name}:${SMI_PORT}/echo`;

    it("http: lets in the Service that it names, nobody else, and nobody once it is deleted", async () => {
      await gateway.until("fails", page());
      await inside.apply({
        apiVersion: POLICY,
        kind: "IngressBackend",
        metadata: { name: "server" },
        spec: {
          backends: [{ name: "server", port: { number: SMI_PORT, protocol: "http" } }],
          sources: [{ kind: "Service", name: "gateway", namespace: outside.name }],
        },
      });
      expect(await gateway.until("succeeds", page())).to.equal(200);
      expect(await stranger.call(page())).to.deep.equal([0]);
      expect(await client.call(page()), "the mesh's own way").to.deep.equal([200]);
      await inside.kubectl(["delete", "ingressbackend", "server"]);
      await gateway.until("fails", page());
    });
  });
});
