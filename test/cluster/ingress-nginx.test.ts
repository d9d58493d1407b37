import { expect } from "chai";
import { ensureImages } from "../../hack/cluster";
import { toStderr, until } from "../../hack/cluster/progress";
import { IMAGES } from "../../hack/images/names";
import { verdict } from "../support/verdict";
import { fetchText } from "./support/client-pod";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { serviceAccount } from "./support/manifests";
import { Mesh } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { SMI_PORT, smiApplication, smiDeployment, smiService } from "./support/smi-pods";

const POLICY = "policy.openservicemesh.io/v1alpha1";
const SECRET = "osm-ingress-client-cert";
/** Ports of the gateway: with the mesh's certificate for gateways, and without one. */
const KNOWN = 8080;
const UNKNOWN = 8081;

/** nginx's own words for a backend of the mesh: it checks the server's certificate, and may show one of its own. */
function gatewayConfig(namespace: string): string {
  const server = (port: number, own: readonly string[]): string =>
    [
      "server {",
      `  listen ${port};`,
      "  location / {",
      `    proxy_pass https://server.${namespace}.svc.cluster.local:${SMI_PORT};`,
      "    proxy_http_version 1.1;",
      "    proxy_ssl_protocols TLSv1.3;",
      "    proxy_ssl_verify on;",
      "    proxy_ssl_trusted_certificate /certificates/ca.crt;",
      `    proxy_ssl_name server.${namespace}.cluster.local;`,
      "    proxy_ssl_server_name on;",
      ...own.map(line => `    ${line}`),
      "  }",
      "}",
    ].join("\n");
  const own = [
    "proxy_ssl_certificate /certificates/tls.crt;",
    "proxy_ssl_certificate_key /certificates/tls.key;",
  ];
  return `${server(KNOWN, own)}\n${server(UNKNOWN, [])}\n`;
}

/** nginx of Debian, as an ingress controller would run it: outside of the mesh, with the mesh's Secret mounted. */
function gateway(namespace: string): readonly object[] {
  const labels = { app: "gateway" };
  const container = {
    name: "nginx",
    image: IMAGES.nginx,
    imagePullPolicy: "IfNotPresent",
    readinessProbe: { tcpSocket: { port: KNOWN }, periodSeconds: 1, timeoutSeconds: 5 },
    volumeMounts: [
      { name: "config", mountPath: "/etc/gateway" },
      { name: "certificates", mountPath: "/certificates" },
    ],
    resources: { requests: { cpu: "5m", memory: "32Mi" } },
  };
  const volumes = [
    { name: "config", configMap: { name: "gateway" } },
    { name: "certificates", secret: { secretName: SECRET } },
  ];
  const spec = { terminationGracePeriodSeconds: 1, containers: [container], volumes };
  return [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "gateway" },
      data: { "mesh.conf": gatewayConfig(namespace) },
    },
    { apiVersion: "v1", kind: "Pod", metadata: { name: "gateway", labels }, spec },
  ];
}

/** Status of a page through the gateway; the reader of pages throws on everything but 200. */
async function through(address: string, port: number, path: string): Promise<number> {
  const page = `http://${address}:${port}${path}`;
  return fetchText(page).then(
    () => 200,
    (error: unknown) => Number(/: (\d{3}) /.exec(String(error))?.[1] ?? 0),
  );
}

if (process.env["OSM_FULL"] === "1")
  describe("nginx as a gateway into the mesh", function () {
    this.timeout(900_000);
    let mesh: Mesh;
    let inside: TestNamespace;
    let outside: TestNamespace;
    let config: LiveMeshConfig;
    let address: string;
    const name = (): string => `gateway.${outside.name}.cluster.local`;
    const wait = (status: number, port: number, path: string): Promise<number> =>
      until(`${status} through port ${port}`, 60_000, async () => {
        const got = await through(address, port, path);
        return got === status ? got : undefined;
      });

    before(async () => {
      mesh = await Mesh.open();
      await ensureImages(toStderr, ["nginx"]);
      config = await LiveMeshConfig.of(mesh);
      inside = await TestNamespace.create(mesh, "behind", true);
      outside = await TestNamespace.create(mesh, "gateway", false);
      const secret = { name: SECRET, namespace: outside.name };
      await config.patch({
        certificate: { ingressGateway: { subjectAltNames: [name()], validityDuration: "1h", secret } },
      });
      await inside.apply(
        smiApplication(),
        serviceAccount("server"),
        smiDeployment("server", { account: "server" }),
        smiService("server"),
      );
      await outside.apply(...gateway(inside.name));
      address = (await outside.readyPod("gateway")).status.podIP;
      await inside.rolledOut("server");
    });
    after(async () => {
      await config.restore();
      await TestNamespace.removeAll();
    });

    it("is let in with the certificate of the mesh's Secret, by the paths of the IngressBackend, and by no other way", async () => {
      const outcome: Record<string, number> = {};
      outcome["without an IngressBackend"] = await wait(502, KNOWN, "/echo");
      const matches = [{ apiGroup: "specs.smi-spec.io/v1alpha4", kind: "HTTPRouteGroup", name: "echo" }];
      await inside.apply(
        {
          apiVersion: "specs.smi-spec.io/v1alpha4",
          kind: "HTTPRouteGroup",
          metadata: { name: "echo" },
          spec: { matches: [{ name: "echo", pathRegex: "/echo", methods: ["GET"] }] },
        },
        {
          apiVersion: POLICY,
          kind: "IngressBackend",
          metadata: { name: "server" },
          spec: {
            backends: [{ name: "server", port: { number: SMI_PORT, protocol: "https" } }],
            sources: [{ kind: "AuthenticatedPrincipal", name: name() }],
            matches,
          },
        },
      );
      outcome["with its certificate"] = await wait(200, KNOWN, "/echo");
      outcome["another path"] = await through(address, KNOWN, "/status/204");
      const stranger = await through(address, UNKNOWN, "/echo");
      outcome["without a certificate"] = stranger;
      await inside.kubectl(["delete", "ingressbackend", "server"]);
      outcome["once deleted"] = await wait(502, KNOWN, "/echo");
      const pass = outcome["another path"] !== 200 && stranger !== 200;
      verdict("row 22: nginx of Debian as gateway", pass, {
        count: Object.keys(outcome).length,
        bound: `let in with its certificate, on its paths: ${JSON.stringify(outcome)}`,
      });
      expect(outcome["another path"]).to.be.oneOf([403, 404]);
      // TLS 1.3 tells a client without certificate after the handshake: nginx has no answer, or one that says so.
      expect(stranger).to.be.oneOf([400, 502]);
    });
  });
