import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { MODULE, WEBHOOK_SECRET } from "../../src/install/names";
import {
  ADS_PORT,
  ADS_SAN,
  CA_ROOT_CONFIGMAP,
  CA_ROOT_KEY,
  CA_SECRET_NAME,
  DEFAULT_OSM_NAMESPACE,
  MESH_CONFIG_NAME,
  PEPR_NAMESPACE,
  SDS_SERVICE_CERT,
  SIDECAR_CONTAINER,
} from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsClient } from "../support/ads-client";
import { ClientPod } from "./support/client-pod";
import { deployment, HTTP_PORT, service } from "./support/manifests";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { findSecrets, fingerprints, type Evidence } from "./support/secret-scan";
import { forgedToken, tokenFor } from "./support/tokens";

describe("what can be read without the right to read Secrets", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let levels: Config["spec"] = {};
  /** Secrets that were in use, as strings to look for. */
  const known = new Map<string, readonly string[]>();

  const meshConfig = ["-n", DEFAULT_OSM_NAMESPACE, "meshconfig", MESH_CONFIG_NAME];

  interface Config {
    readonly spec: {
      readonly observability?: { readonly osmLogLevel?: string };
      readonly sidecar?: { readonly logLevel?: string };
    };
  }

  async function setLogLevels(osmLogLevel: string | null, sidecar: string | null): Promise<void> {
    const spec = { observability: { osmLogLevel }, sidecar: { logLevel: sidecar } };
    await mesh.kubectl.must(["patch", ...meshConfig, "--type=merge", "-p", JSON.stringify({ spec })]);
  }

  before(async () => {
    mesh = await Mesh.open();
    levels = (await mesh.kubectl.json<Config>(["get", ...meshConfig])).spec;
    await setLogLevels("trace", "trace");
    shop = await TestNamespace.create(mesh, "secrets", true);
    const server = deployment("server", { program: "server-app" });
    await shop.apply(server, service("server"), deployment("client", { program: "client-app" }));
    await tracing("server", "client");
    await useSecrets();
    await rememberSecrets();
  });

  after(async () => {
    await setLogLevels(levels.observability?.osmLogLevel ?? null, levels.sidecar?.logLevel ?? null);
    await TestNamespace.removeAll();
  });

  /** Each replica of the webhook hears of the level by itself, so the first pods may still be of the one before. */
  async function tracing(...names: readonly string[]): Promise<void> {
    await until("sidecars at the level of traces", 240_000, async () => {
      await shop.rolledOut(...names);
      const pods = (await shop.pods()).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      if (pods.every(pod => JSON.stringify(pod.spec).includes('"trace"'))) return true;
      await shop.kubectl(["rollout", "restart", ...names.map(name => `deployment/${name}`)]);
      return undefined;
    });
  }

  /** Has each secret used in good and in bad ways, so that whoever is careless with one says it now. */
  async function useSecrets(): Promise<void> {
    const pod = await shop.readyPod("client");
    const client = new ClientPod(pod.status.podIP);
    await until("an answer", 30_000, async () => {
      const { status } = await client.get(`http://server.${shop.name}:${HTTP_PORT}/`);
      return status === 200 ? true : undefined;
    });
    const order = { namespace: shop.name, serviceAccount: "default", pod };
    const good = await tokenFor(mesh, order);
    const wrong = await tokenFor(mesh, { ...order, audience: "somebody-else" });
    const forged = forgedToken(good, "own key");
    for (const [what, token] of Object.entries({ good, wrong, forged })) {
      known.set(`${what} token`, [token, token.split(".")[2] ?? token]);
      await show(token);
    }
    const bad = {
      apiVersion: "access.smi-spec.io/v1alpha3",
      kind: "TrafficTarget",
      metadata: { name: "odd" },
    };
    const spec = { destination: { kind: "ServiceAccount", name: "default" }, sources: [], rules: [] };
    await mesh.kubectl.attempt(["-n", shop.name, "apply", "-f", "-"], JSON.stringify({ ...bad, spec }));
  }

  /** Presents a token to ADS and waits for an answer of either kind. */
  async function show(token: string): Promise<void> {
    const where = ["get", "configmap", CA_ROOT_CONFIGMAP, "-o", "json"];
    const { data } = JSON.parse(await shop.kubectl(where)) as { data: Record<string, string> };
    const [pod] = await mesh.controlPlane(MODULE);
    const address = `${pod?.status.podIP ?? ""}:${ADS_PORT}`;
    const client = new AdsClient({ address, root: data[CA_ROOT_KEY] ?? "", serverName: ADS_SAN, token });
    client.send({ typeUrl: TYPE_URLS.secret, subscribe: [SDS_SERVICE_CERT] });
    await until("an answer of ADS", 30_000, () => client.ended ?? client.responses[0]);
    client.close();
  }

  /** Private keys of the mesh's Secrets and the path that only the API server may know. */
  async function rememberSecrets(): Promise<void> {
    for (const name of [CA_SECRET_NAME, WEBHOOK_SECRET]) {
      const where = ["-n", DEFAULT_OSM_NAMESPACE, "get", "secret", name];
      const { data } = await mesh.kubectl.json<{ data: Record<string, string> }>(where);
      for (const [key, value] of Object.entries(data)) {
        const text = Buffer.from(value, "base64").toString();
        const secret = text.includes("PRIVATE KEY") || key === "path";
        if (secret) known.set(`${name}/${key}`, fingerprints(text));
      }
    }
    expect([...known.keys()].filter(name => name.includes("/")).length, "known keys").to.be.at.least(3);
  }

  async function logs(
    namespace: string,
    pods: readonly { metadata: { name: string } }[],
  ): Promise<Evidence[]> {
    const found: Evidence[] = [];
    for (const { metadata } of pods) {
      for (const previous of [false, true]) {
        const from = ["-n", namespace, "logs", metadata.name, "--all-containers", "--tail=-1"];
        const { stdout } = await mesh.kubectl.attempt([...from, ...(previous ? ["--previous"] : [])]);
        found.push({ place: `log of ${namespace}/${metadata.name}`, text: stdout });
      }
    }
    return found;
  }

  async function objects(kind: string): Promise<Evidence> {
    const text = await mesh.kubectl.must(["get", kind, "-A", "-o", "json", "--show-managed-fields"]);
    return { place: `all ${kind}`, text };
  }

  async function everything(): Promise<Evidence[]> {
    const { items } = await mesh.kubectl.json<{
      items: { metadata: { name: string }; spec: { group: string } }[];
    }>(["get", "crd"]);
    const ours = items.filter(({ spec }) => /openservicemesh\.io|smi-spec\.io|pepr\.dev/.test(spec.group));
    const kinds = ours.map(({ metadata }) => metadata.name);
    expect(kinds.length).to.be.greaterThan(5);
    const plain = ["pods", "events", "events.events.k8s.io", "configmaps", "deployments.apps", "namespaces"];
    const listed: Evidence[] = [];
    for (const kind of [...plain, ...kinds]) listed.push(await objects(kind));
    return [
      ...(await logs(PEPR_NAMESPACE, await mesh.controlPlane())),
      ...(await logs(shop.name, await shop.pods())),
      ...listed,
    ];
  }

  it("holds no private key, no token and no path of the webhook, even at the level of traces", async () => {
    const evidence = await everything();
    const controlPlane = evidence.filter(({ place }) => place.startsWith(`log of ${PEPR_NAMESPACE}`));
    const said = controlPlane.map(({ text }) => text).join("\n");
    expect(said, "control plane at debug level").to.contain(`"level":"debug"`);
    const sidecar = await shop.kubectl(["logs", "deployment/client", "-c", SIDECAR_CONTAINER]);
    expect(sidecar, "sidecar at debug level and below").to.contain("[debug]").and.to.contain("[trace]");
    const bytes = evidence.reduce((sum, { text }) => sum + text.length, 0);
    report(`${bytes} bytes in ${evidence.length} logs and lists, ${known.size} known secrets`);
    expect(findSecrets(evidence, known)).to.deep.equal([]);
  });

  it("would be found out: the same search finds each of them when it is put there", async () => {
    const planted = [...known].map(([what, [first = ""]]) => ({ what, text: `said in passing: ${first}.` }));
    for (const { what, text } of planted) {
      const hits = findSecrets([{ place: "planted", text }], known);
      expect(
        hits.map(hit => hit.what),
        what,
      ).to.include(what);
    }
    const named = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "careless" } };
    const [token = ""] = known.get("good token") ?? [];
    const key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END";
    await shop.apply({ ...named, data: { token, key, encoded: Buffer.from(key).toString("base64") } });
    const hits = findSecrets([await objects("configmaps")], known).map(({ what }) => what);
    await shop.kubectl(["delete", "configmap", "careless"]);
    expect(hits).to.include.members([
      "good token",
      "JSON web token",
      "private key (PEM)",
      "private key (PEM in base64)",
    ]);
  });
});
