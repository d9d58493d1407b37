import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { proveEncryption } from "../../hack/demo/capture/proof";
import { MESH_ALPN, PORT_METRICS } from "../../src/model/mesh-words";
import { ClientPod, fetchText, type Answer } from "./support/client-pod";
import { deployment, HTTP_PORT, service, TCP_PORT } from "./support/manifests";
import { Mesh, report } from "./support/mesh";
import { hasSidecar, TestNamespace } from "./support/namespace";
import { SidecarAdmin } from "./support/sidecar-admin";

/** Sum over all series of one metric of a sidecar. */
async function metric(address: string, name: string): Promise<number> {
  const text = await fetchText(`http://${address}:${PORT_METRICS}/stats/prometheus`);
  const series = text.split("\n").filter(line => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return series.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

describe("traffic of meshed pods", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let outside: TestNamespace;
  let client: ClientPod;
  let stranger: ClientPod;

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "traffic", true);
    outside = await TestNamespace.create(mesh, "outside", false);
    const clientApp = deployment("client", { program: "client-app" });
    const serverApp = deployment("server", { program: "server-app" });
    await shop.apply(serverApp, service("server"), clientApp);
    await outside.apply(serverApp, service("server"), clientApp);
    await Promise.all([shop.rolledOut("server", "client"), outside.rolledOut("server", "client")]);
    client = new ClientPod((await shop.readyPod("client")).status.podIP);
    stranger = new ClientPod((await outside.readyPod("client")).status.podIP);
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  const url = (port: number, namespace = shop): string => `http://server.${namespace.name}:${port}/`;

  it("flows through Service names, as HTTP and as TCP", async () => {
    const server = await shop.readyPod("server");
    for (const port of [HTTP_PORT, TCP_PORT]) {
      // The sidecar is told of a Service after DNS is, its workers one after the other; what counts is that it works and stays.
      await until(`answers on port ${port}`, 30_000, async () => {
        const answers = await Promise.all(Array.from({ length: 10 }, () => client.get(url(port))));
        return answers.every(answer => answer.status === 200) ? true : undefined;
      });
      for (let n = 0; n < 10; n += 1) {
        expect(await client.get(url(port))).to.deep.equal({ status: 200, body: `${server.metadata.name} /` });
      }
    }
  });

  it("cannot be had by a pod without a sidecar, which is let alone otherwise", async () => {
    expect(hasSidecar(await outside.readyPod("client"))).to.equal(false);
    const server = await shop.readyPod("server");
    const targets = [url(HTTP_PORT), url(TCP_PORT)].concat(
      [HTTP_PORT, TCP_PORT].map(port => `http://${server.status.podIP}:${port}/`),
    );
    // A pod without a sidecar comes to a Service by rules of the node, which are written after its pods are ready.
    const reached = (target: string): Promise<Answer> =>
      until(`something behind ${target}`, 60_000, async () => {
        const answer = await stranger.get(target);
        return answer.error?.includes("ECONNREFUSED") === true ? undefined : answer;
      });
    const answers: Answer[] = [];
    for (const target of targets) answers.push(await reached(target));
    for (const answer of answers) {
      expect(answer.status, JSON.stringify(answer)).to.equal(undefined);
      expect(answer.error).to.match(/ECONNRESET|EPIPE|socket hang up/);
    }
    const own = await reached(url(HTTP_PORT, outside));
    expect(own.status, "its own Service").to.equal(200);
  });

  it("is counted as TLS by both sidecars", async () => {
    const [from, to] = await Promise.all([shop.readyPod("client"), shop.readyPod("server")]);
    const count = async (): Promise<readonly [number, number]> => [
      await metric(from.status.podIP, "envoy_cluster_ssl_handshake"),
      await metric(to.status.podIP, "envoy_listener_ssl_handshake"),
    ];
    const [clientBefore, serverBefore] = await count();
    for (let n = 0; n < 5; n += 1) expect((await client.get(url(TCP_PORT))).status).to.equal(200);
    // Counters are summed up by Envoy's threads now and then.
    await until("five more handshakes on both sides", 30_000, async () => {
      const [clientAfter, serverAfter] = await count();
      return clientAfter >= clientBefore + 5 && serverAfter >= serverBefore + 5 ? true : undefined;
    });
    expect(await metric(to.status.podIP, "envoy_listener_ssl_fail_verify_error")).to.equal(0);
  });

  it("is TLS 1.3 on the wire, with nothing to read", async () => {
    const [from, to] = await Promise.all([shop.readyPod("client"), shop.readyPod("server")]);
    const url = `http://server.${shop.name}:${HTTP_PORT}/`;
    // An idle upstream connection would show no handshake, so a fresh server takes the place of the known one.
    await shop.kubectl(["delete", "pod", to.metadata.name, "--wait=true"]);
    const server = await shop.readyPod("server");
    const sidecar = new SidecarAdmin(mesh, from);
    await until("the server at the client's sidecar", 60_000, async () =>
      (await sidecar.get("/clusters")).includes(`::${server.status.podIP}:${HTTP_PORT}::`) ? true : undefined,
    );
    const place = { kubectl: mesh.kubectl, settings: mesh.cluster.settings, client: from, server };
    const seen = await proveEncryption({ ...place, container: "app", url });
    report(
      `${seen.server?.version ?? "no TLS"}, ${seen.bytes} bytes between the pods, marker not among them`,
    );
    expect(seen.client?.version).to.equal("TLS 1.3");
    expect(seen.client?.alpn).to.deep.equal([MESH_ALPN]);
    expect(seen.server?.version).to.equal("TLS 1.3");
    expect(seen.markerOnLoopback, "marker behind the sidecar").to.equal(true);
    expect(seen.markerOnTheWire, "marker between the pods").to.equal(false);
  });
});
