import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { CLOSED_MESH_CONFIG, DEFAULT_MESH_CONFIG, type MeshConfigSpec } from "../../src/api/mesh-config";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import { defaultMeshConfig, meshConfigOf } from "../../src/install/mesh-config";
import { meshConfigPolicy } from "../../src/install/mesh-config-policy";
import { bindingOf } from "../../src/install/policy-binding";
import { MANAGER_MESH } from "../../src/install/names";
import { controlPlaneNamespace } from "../../src/install/namespaces";
import { objectPath, type InstallObject } from "../../src/install/object";
import { ensureDefinitions, makeMeshConfig } from "../../src/runtime/control-plane/bootstrap";
import { GatewaySecretKeeper } from "../../src/runtime/control-plane/gateway-secret";
import { startReporting } from "../../src/runtime/control-plane/reporting";
import { startWorld } from "../../src/runtime/control-plane/world";
import { systemClock } from "../../src/runtime/clock";
import { KubeError, type KubeClient, type KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isConflict, isNotFound } from "../../src/runtime/kube/errors";
import { expectErrors, watchedLog } from "../support/told-errors";
import { applyObject, createIfAbsent } from "../../src/runtime/ownership";
import { createRoot, loadAuthority, type Authority } from "../../src/runtime/secrets/authority";
import { rootsOf } from "../../src/runtime/secrets/workload-secrets";
import { readSettings } from "../../src/runtime/settings";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";

const settings = readSettings({}, "unused");
const COLLECTION = "/apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshconfigs";
const CONFIG = `${COLLECTION}/osm-mesh-config`;

interface Secret extends KubeObject {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

describe("the MeshConfig and what it asks for on a real API server", function () {
  expectErrors(/^a Secret of somebody else stands where the ingress gateway's should be/);
  this.timeout(300_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  const around = () => ({ kube, clock: systemClock, log: watchedLog, random: Math.random, settings });
  const traffic = async (): Promise<MeshConfigSpec["traffic"]> =>
    (await kube.get<{ spec: MeshConfigSpec }>(CONFIG)).spec.traffic;
  const there = (path: string): Promise<boolean> =>
    kube.get(path).then(
      () => true,
      (error: unknown) => {
        if (isNotFound(error)) return false;
        throw error;
      },
    );

  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    await createIfAbsent(kube, controlPlaneNamespace(settings));
    await ensureDefinitions({ ...around(), mayChange: true }, EMBEDDED_CRDS);
  });
  after(async () => {
    kube.close();
    await server.stop();
  });

  it("is the installer's in a fresh installation, and closed where it was lost while nobody looked", async () => {
    await makeMeshConfig(around());
    expect(await traffic()).to.include({ enableEgress: true, enablePermissiveTrafficPolicyMode: true });
    await kube.delete(CONFIG);
    const metadata = { name: "osm-ca-bundle", namespace: "osm-system" };
    await kube.create("/api/v1/namespaces/osm-system/secrets", { metadata } as KubeObject);
    await makeMeshConfig(around());
    expect(await traffic()).to.include({ enableEgress: false, enablePermissiveTrafficPolicyMode: false });
  });

  it("comes back as it was in force when it is deleted under a running mesh", async () => {
    await kube.delete(CONFIG);
    const inForce = {
      ...DEFAULT_MESH_CONFIG,
      traffic: { ...DEFAULT_MESH_CONFIG.traffic, enableEgress: false },
    };
    await makeMeshConfig({ ...around(), engine: { meshConfig: () => inForce } });
    expect(await traffic()).to.include({ enableEgress: false, enablePermissiveTrafficPolicyMode: true });
  });

  it("means a closed mesh until it is seen, and what it said after it is gone; a resync lists all anew", async () => {
    await kube.delete(CONFIG);
    const world = startWorld(settings, around());
    try {
      await world.synced;
      expect(world.engine.meshConfig()).to.deep.equal(CLOSED_MESH_CONFIG);
      await createIfAbsent(kube, defaultMeshConfig(settings, { egress: false }));
      const permissive = (): boolean => world.engine.meshConfig().traffic.enablePermissiveTrafficPolicyMode;
      await until("the MeshConfig", 60_000, () => (permissive() ? true : undefined));
      await kube.delete(CONFIG);
      const informer = world.informers.byKind.get("MeshConfig");
      await until("its deletion to be seen", 60_000, () =>
        informer?.values().size === 0 ? true : undefined,
      );
      expect(world.engine.meshConfig().traffic).to.include({
        enableEgress: false,
        enablePermissiveTrafficPolicyMode: true,
      });
      const kinds = ["Namespace", "Pod", "Service", "EndpointSlice", "MeshConfig"];
      const stats = (): readonly { readonly lists: number; readonly failures: number }[] =>
        kinds.flatMap(kind => world.informers.byKind.get(kind)?.stats() ?? []);
      const before = stats();
      expect(before).to.have.length(kinds.length);
      world.informers.relist();
      await until("every kind to be listed again", 60_000, () =>
        stats().every(({ lists }, i) => lists === (before[i]?.lists ?? 0) + 1) ? true : undefined,
      );
      // Cut watches are no failures: nothing waits, nothing is logged.
      expect(stats().map(({ failures }) => failures)).to.deep.equal(before.map(({ failures }) => failures));
    } finally {
      world.stop();
      await createIfAbsent(kube, defaultMeshConfig(settings, {}));
    }
  });

  it("is made again after an error of the API server as well", async () => {
    await kube.delete(CONFIG);
    const world = startWorld(settings, around());
    let refusals = 0;
    const failing: KubeClient = {
      ...kube,
      create: <T>(path: string, body: T): Promise<T> =>
        path.includes("/meshconfigs") && refusals++ === 0
          ? Promise.reject(new KubeError(500, "InternalError", "not now"))
          : kube.create(path, body),
    };
    await world.synced;
    const reporting = startReporting({ ...around(), kube: failing, engine: world.engine, fleet: undefined });
    try {
      reporting.reconcile({ kind: "MeshConfig", namespace: settings.osmNamespace, name: MESH_CONFIG_NAME });
      await until("the MeshConfig", 60_000, async () => ((await there(CONFIG)) ? true : undefined));
      expect(refusals).to.be.at.least(2);
    } finally {
      reporting.stop();
      world.stop();
      await createIfAbsent(kube, defaultMeshConfig(settings, {}));
    }
  });

  /** Roots that never change. */
  const rootsFor = (authority: Authority) => ({
    roots: () => rootsOf(authority),
    onRoots: () => ({ close: () => undefined }),
  });

  /** A MeshConfig that the test writes, as the gateway's keeper follows it. */
  const gatewayOf = (client: KubeClient) => {
    const root = createRoot(Date.now());
    let spec: MeshConfigSpec = DEFAULT_MESH_CONFIG;
    let changed: (spec: MeshConfigSpec) => void = () => undefined;
    const engine = {
      meshConfig: () => spec,
      onMeshConfig: (listener: typeof changed) => {
        changed = listener;
        return { close: () => undefined };
      },
    };
    const authority = loadAuthority(root.certPem, root.keyPem);
    const keeper = new GatewaySecretKeeper({ ...around(), kube: client, roots: rootsFor(authority), engine });
    const put = (name: string | undefined, altName = "gw"): void => {
      const secret = { name: name ?? "", namespace: "default" };
      const gateway = { subjectAltNames: [altName], validityDuration: "1h", secret };
      const ingressGateway = name === undefined ? undefined : gateway;
      spec = { ...spec, certificate: { ...spec.certificate, ingressGateway } };
      changed(spec);
    };
    return { keeper, put };
  };
  const secretAt = (name: string): string => `/api/v1/namespaces/default/secrets/${name}`;
  const made = (name: string) =>
    until(`Secret ${name}`, 60_000, async () => ((await there(secretAt(name))) ? true : undefined));

  it("does not delete a Secret that somebody else put in the place of the ingress gateway's", async () => {
    const { keeper, put } = gatewayOf(kube);
    try {
      put("taken");
      await made("taken");
      await kube.delete(secretAt("taken"));
      const foreign = { metadata: { name: "taken", namespace: "default" }, data: { mine: "eA==" } };
      await kube.create("/api/v1/namespaces/default/secrets", foreign as KubeObject);
      put("next");
      await made("next");
      put(undefined);
      await until("its end", 60_000, async () => ((await there(secretAt("next"))) ? undefined : true));
      expect((await kube.get<Secret>(secretAt("taken"))).data).to.deep.equal({ mine: "eA==" });
    } finally {
      keeper.stop();
    }
  });

  it("issues the ingress gateway's certificate also where an earlier one may not be deleted", async () => {
    let refusals = 0;
    const client: KubeClient = {
      ...kube,
      delete: (path, uid) => {
        if (path !== secretAt("kept")) return kube.delete(path, uid);
        refusals++;
        return Promise.reject(new KubeError(403, "Forbidden", "not yours any more"));
      },
    };
    const { keeper, put } = gatewayOf(client);
    try {
      put("kept");
      await made("kept");
      put("moved");
      await made("moved");
      await until("the refusal", 60_000, () => (refusals > 0 ? true : undefined));
      put(undefined);
      await until("the end of the other", 60_000, async () =>
        (await there(secretAt("moved"))) ? undefined : true,
      );
      expect(refusals, "forgotten after one refusal").to.equal(1);
    } finally {
      keeper.stop();
    }
  });

  it("deletes only the very object it is told to", async () => {
    const metadata = { name: "reborn", namespace: "default" };
    await kube.create("/api/v1/namespaces/default/secrets", { metadata } as KubeObject);
    const refusal = await kube.delete(secretAt("reborn"), "00000000-0000-4000-8000-000000000000").then(
      () => "deleted",
      (error: unknown) => error,
    );
    expect(isConflict(refusal)).to.equal(true);
    await kube.delete(secretAt("reborn"), (await kube.get<KubeObject>(secretAt("reborn"))).metadata.uid);
    expect(await there(secretAt("reborn"))).to.equal(false);
  });

  it("keeps the ingress gateway's certificate: made, moved, renewed and deleted with its field", async () => {
    const root = createRoot(Date.now());
    const authority = loadAuthority(root.certPem, root.keyPem);
    const secret = { name: "osm-nginx-client-cert", namespace: "default" };
    const gateway = { subjectAltNames: ["gw.ingress.cluster.local", "gw"], validityDuration: "1h", secret };
    let spec: MeshConfigSpec = DEFAULT_MESH_CONFIG;
    let changed: (spec: MeshConfigSpec) => void = () => undefined;
    let now = Date.now();
    const set = (ingressGateway: MeshConfigSpec["certificate"]["ingressGateway"]): void => {
      spec = { ...spec, certificate: { ...spec.certificate, ingressGateway } };
      changed(spec);
    };
    const engine = {
      meshConfig: () => spec,
      onMeshConfig: (listener: typeof changed) => {
        changed = listener;
        return { close: () => undefined };
      },
    };
    const keeper = new GatewaySecretKeeper({
      ...around(),
      roots: rootsFor(authority),
      engine,
      clock: { ...systemClock, now: () => now },
    });
    const pathOf = (name: string, namespace: string): string =>
      `/api/v1/namespaces/${namespace}/secrets/${name}`;
    const here = pathOf(secret.name, secret.namespace);
    const certificate = async (path: string): Promise<X509Certificate> => {
      const found = await kube.get<Secret>(path);
      return new X509Certificate(Buffer.from(found.data["tls.crt"] ?? "", "base64"));
    };
    try {
      set(gateway);
      await until("the Secret", 60_000, async () => ((await there(here)) ? true : undefined));
      const made = await kube.get<Secret>(here);
      const key = createPrivateKey(Buffer.from(made.data["tls.key"] ?? "", "base64"));
      const first = await certificate(here);
      expect(made.type).to.equal("kubernetes.io/tls");
      expect(Buffer.from(made.data["ca.crt"] ?? "", "base64").toString()).to.equal(root.certPem);
      expect(first.subjectAltName).to.equal("DNS:gw.ingress.cluster.local, DNS:gw");
      expect(
        first.checkPrivateKey(key) && first.verify(new X509Certificate(root.certPem).publicKey),
      ).to.equal(true);
      // For calling only: no server of the mesh, and no workload (it has no SPIFFE name).
      expect(first.keyUsage).to.deep.equal(["1.3.6.1.5.5.7.3.2"]);

      // Past half of its life it is another one; at another place the first is gone.
      now += 40 * 60_000;
      changed(spec);
      await until("its renewal", 60_000, async () =>
        (await certificate(here)).serialNumber === first.serialNumber ? undefined : true,
      );
      set({ ...gateway, secret: { ...secret, namespace: "osm-system" } });
      const moved = pathOf(secret.name, "osm-system");
      await until("the move", 60_000, async () =>
        (await there(moved)) && !(await there(here)) ? true : undefined,
      );
      set({ ...gateway, subjectAltNames: ["other"], secret: { ...secret, namespace: "osm-system" } });
      await until("the new name", 60_000, async () =>
        (await certificate(moved)).subjectAltName === "DNS:other" ? true : undefined,
      );
      set(undefined);
      await until("its end", 60_000, async () => ((await there(moved)) ? undefined : true));

      // A Secret of somebody else under that name stays as it is, also when the field is taken away.
      const foreign = { metadata: secret, data: { mine: "eA==" } };
      await kube.create("/api/v1/namespaces/default/secrets", foreign as KubeObject);
      set(gateway);
      set({ ...gateway, secret: { name: "after", namespace: "default" } });
      const after = pathOf("after", "default");
      await until("the Secret beside it", 60_000, async () => ((await there(after)) ? true : undefined));
      set(undefined);
      await until("its end", 60_000, async () => ((await there(after)) ? undefined : true));
      expect((await kube.get<Secret>(here)).data).to.deep.equal({ mine: "eA==" });
    } finally {
      keeper.stop();
    }
  });

  it("cannot be deleted but with its namespace", async () => {
    for (const object of [meshConfigPolicy(settings), bindingOf(meshConfigPolicy(settings))])
      await applyObject(kube, { object, manager: MANAGER_MESH });
    const refusal = (path: string): Promise<string> =>
      kube.delete(path).then(
        () => "deleted",
        (error: unknown) => (error instanceof KubeError ? `${error.status} ${error.message}` : String(error)),
      );
    // The API server takes new policies up within seconds; until then nothing is lost by trying.
    const answer = await until("the policy to be in force", 60_000, async () => {
      const said = await refusal(`${CONFIG}?dryRun=All`);
      return said === "deleted" ? undefined : said;
    });
    expect(answer).to.match(
      /^(403|422) .*osm-mesh-config steers the running mesh and cannot be deleted: edit it/,
    );
    expect(await refusal(COLLECTION)).to.contain("cannot be deleted");
    expect(await there(CONFIG)).to.equal(true);
    const other: InstallObject = meshConfigOf(settings, DEFAULT_MESH_CONFIG);
    await createIfAbsent(kube, { ...other, metadata: { name: "other", namespace: "osm-system" } });
    expect(await refusal(`${COLLECTION}/other`)).to.equal("deleted");

    await kube.delete(objectPath(controlPlaneNamespace(settings)));
    const gone = await until("deletion with the namespace", 60_000, async () => {
      const said = await refusal(CONFIG);
      return said === "deleted" ? said : undefined;
    });
    expect(gone).to.equal("deleted");
  });
});
