import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { callAsGateway, type GatewayFiles } from "./support/gateway-call";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { serviceAccount } from "./support/manifests";
import { Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { routeGroup } from "./support/smi-objects";
import { LINES_PORT, SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./support/smi-pods";

const POLICY = "policy.openservicemesh.io/v1alpha1";

/** Out of the Secret as kubectl prints it. */
function gatewayFiles(printed: string): GatewayFiles {
  const { data } = JSON.parse(printed) as { readonly data: Readonly<Record<string, string>> };
  const text = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString();
  return { ca: text("ca.crt"), cert: text("tls.crt"), key: text("tls.key") };
}

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

    it("https: lets in whoever has the certificate that the mesh keeps for the ingress gateway", async () => {
      const config = await LiveMeshConfig.of(mesh);
      const place = { name: "osm-ingress-client-cert", namespace: outside.name };
      const name = `gateway.${outside.name}.cluster.local`;
      const { status } = await inside.readyPod("server");
      const url = `https://${status.podIP}:${SMI_PORT}/echo`;
      try {
        await config.patch({
          certificate: { ingressGateway: { subjectAltNames: [name], validityDuration: "1h", secret: place } },
        });
        await inside.apply({
          apiVersion: POLICY,
          kind: "IngressBackend",
          metadata: { name: "server" },
          spec: {
            backends: [{ name: "server", port: { number: SMI_PORT, protocol: "https" } }],
            sources: [{ kind: "AuthenticatedPrincipal", name }],
          },
        });
        const files = await until("the gateway's Secret", 60_000, async () => {
          const found = await outside.mesh.kubectl.attempt([
            "-n",
            outside.name,
            "get",
            "secret",
            place.name,
            "-o",
            "json",
          ]);
          return found.code === 0 ? gatewayFiles(found.stdout) : undefined;
        });
        const answer = await until("an answer", 60_000, async () => {
          const got = await callAsGateway(url, files);
          return got?.status === 200 ? got : undefined;
        });
        expect(answer.names).to.contain(`/ns/${inside.name}/sa/server`);
        expect(await callAsGateway(url, { ca: files.ca }), "without a certificate").to.equal(undefined);
        await inside.kubectl(["delete", "ingressbackend", "server"]);
        await until("a refusal", 60_000, async () =>
          (await callAsGateway(url, files)) === undefined ? true : undefined,
        );
      } finally {
        await config.restore();
      }
    });
  });
});
