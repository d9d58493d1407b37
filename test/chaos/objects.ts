/** What stands in the API server of a chaos run, and how it is changed while that server may be away. */
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { objectPath, type InstallObject } from "../../src/install/object";
import type { ServiceIdentity } from "../../src/model/identity";
import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import type { KubeObject } from "../../src/runtime/kube";
import { isNotFound } from "../../src/runtime/kube/errors";
import { createRoot } from "../../src/runtime/secrets/authority";
import { namespace, pod, service, slice, type TestObject } from "../support/objects";
import type { PodTokens } from "../support/pod-tokens";
import { type ApiPod } from "../support/pod-tokens";
import { routeGroup, trafficSplit, trafficTarget } from "../support/traffic-objects";
import { waitFor } from "../support/wait";

/** Namespace of the control plane. */
export const OSM = "osm-system";
const MANAGER = "chaos";
/** A write is tried for so long, milliseconds: the API server may be away, and then has to be there again. */
const WRITE_MS = 180_000;
/** Life of workload certificates: they are renewed at half of it, so again and again within a run. */
const LEAF_LIFE = "2m";
/** How old tokens are, seconds: the kubelet gets others after 48 minutes, so most are not new. */
const TOKEN_AGE_S = 1_200;
const MESH_CONFIG = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${OSM}/meshconfigs/${MESH_CONFIG_NAME}`;
const CA = "chaos-ca";
const ROOT_PATH = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${OSM}/meshrootcertificates/${CA}`;

/** A pod of the run. */
export interface MeshPod {
  readonly name: string;
  readonly identity: ServiceIdentity;
  readonly ip: string;
  /** Default: the name of the pod. */
  readonly app?: string;
}

/** Addresses of the Services. */
export const SERVICE_IPS = { store: "10.99.200.1", first: "10.99.200.2", second: "10.99.200.3" } as const;
/** Where the workloads of the Services listen. */
export const SERVED_PORT = 8080;

const http = { name: "http", port: SERVED_PORT };
const STORE: ServiceIdentity = { namespace: "shop", serviceAccount: "store" };
const storeAccount = `${STORE.namespace}/${STORE.serviceAccount}`;

/** TrafficTarget to the store. */
function letIn(name: string, from: string): TestObject {
  return trafficTarget({ name, to: storeAccount, from: [from], rules: ["HTTPRouteGroup/all"] });
}

const GUEST = letIn("guest", "web/guest");
/** A pattern that RE2 does not know, and one that asks for more than is allowed. */
const BAD_PATTERNS = routeGroup("shop", "bad", [
  { name: "ahead", pathRegex: "/(?=x).*", methods: ["GET"] },
  { name: "much", pathRegex: "/(a{1000}){1000}", methods: ["GET"] },
]);
const BAD_TARGET = trafficTarget({
  name: "bad",
  to: storeAccount,
  from: ["web/thief"],
  rules: ["HTTPRouteGroup/bad"],
});
/** Two splits of one Service, which both want all of it: the older one counts, and its backend is the Service itself. */
const SPLITS = ["one", "two"].map(name =>
  trafficSplit({ namespace: "shop", name, root: "first", shares: { first: 1 } }),
);

/** The objects of a run, and the state of those that go to and fro. */
export class ChaosObjects {
  private granted = false;
  private permissive = false;
  private bad = false;
  private conflict = false;
  private rotated = false;
  private limit = 0;

  private constructor(
    readonly api: PodTokens,
    private readonly pods: readonly MeshPod[],
    private readonly uids: ReadonlyMap<string, ApiPod>,
  ) {}

  /** Fills an API server with the definitions, the MeshConfig and everything that is there from the beginning. */
  static async fill(api: PodTokens, pods: readonly MeshPod[], leafLife = LEAF_LIFE): Promise<ChaosObjects> {
    for (const crd of EMBEDDED_CRDS)
      await api.kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
    const spaces = [...new Set(pods.map(({ identity }) => identity.namespace))];
    for (const object of [namespace(OSM, { meshed: false }), ...spaces.map(name => namespace(name))])
      await api.kube.create("/api/v1/namespaces", object);
    const uids = new Map<string, ApiPod>();
    for (const one of pods) uids.set(one.name, await createPod(api, one));
    const objects = new ChaosObjects(api, pods, uids);
    await objects.apply({
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "MeshConfig",
      metadata: { name: MESH_CONFIG_NAME, namespace: OSM },
      spec: {
        traffic: { enablePermissiveTrafficPolicyMode: false },
        certificate: { serviceCertValidityDuration: leafLife },
        featureFlags: { enableMeshRootCertificate: true },
      },
    });
    for (const object of objects.fixed()) await objects.apply(object);
    return objects;
  }

  private fixed(): readonly TestObject[] {
    const ports = [{ name: "http", port: 80, targetPort: SERVED_PORT, appProtocol: "http" }];
    const services = Object.entries(SERVICE_IPS).map(([name, ip]) =>
      service({ namespace: "shop", name, clusterIPs: [ip], ports, selector: { app: "store" } }),
    );
    return [
      ...services,
      this.endpoints("store", ["store-0", "store-1"]),
      this.endpoints("first", ["store-0"]),
      this.endpoints("second", ["store-1"]),
      routeGroup("shop", "all", [{ name: "all", pathRegex: "/.*", methods: ["GET"] }]),
      letIn("buyer", "web/buyer"),
    ];
  }

  private endpoints(name: string, pods: readonly string[], ready = true): TestObject {
    const endpoints = pods.map((each, index) => ({
      address: this.pods.find(one => one.name === each)?.ip ?? "",
      pod: each,
      uid: this.pod(each).uid,
      ready: ready || index === 0,
    }));
    return slice({ namespace: "shop", service: name, ports: [http], endpoints });
  }

  /** The pod in the API. */
  pod(name: string): ApiPod {
    const found = this.uids.get(name);
    if (found === undefined) throw new Error(`no pod ${name}`);
    return found;
  }

  /** A token of a pod, as the kubelet would have got it some time ago. */
  token(name: string): string {
    const claims = this.api.claims(this.pod(name));
    const since = Number(claims["nbf"]) - TOKEN_AGE_S;
    return this.api.forge({ ...claims, iat: since, nbf: since });
  }

  /** Takes the grant of the guest away or gives it; resolves with what it is now, once that is written. */
  async turnGrant(): Promise<boolean> {
    this.granted = !this.granted;
    await (this.granted ? this.apply(GUEST) : this.remove(GUEST));
    return this.granted;
  }

  /** Everything to everybody of the mesh, or by rules; resolves with what it is now, once that is written. */
  async turnMode(): Promise<boolean> {
    this.permissive = !this.permissive;
    await this.patch(MESH_CONFIG, {
      spec: { traffic: { enablePermissiveTrafficPolicyMode: this.permissive } },
    });
    return this.permissive;
  }

  /** Objects that hold what cannot be, for who has no other grant. */
  async turnBadPatterns(): Promise<void> {
    this.bad = !this.bad;
    for (const object of [BAD_PATTERNS, BAD_TARGET])
      await (this.bad ? this.apply(object) : this.remove(object));
  }

  /** Two objects that contradict each other. */
  async turnConflict(): Promise<void> {
    this.conflict = !this.conflict;
    for (const object of SPLITS) await (this.conflict ? this.apply(object) : this.remove(object));
  }

  /** A limit that nobody reaches, another one each time: it changes the listeners of the servers. */
  async turnLimit(): Promise<void> {
    this.limit += 1;
    await this.apply({
      apiVersion: "policy.openservicemesh.io/v1alpha1",
      kind: "UpstreamTrafficSetting",
      metadata: { name: "second", namespace: "shop" },
      spec: {
        host: "second.shop.svc.cluster.local",
        rateLimit: { local: { http: { requests: 100_000 + this.limit, unit: "second" } } },
      },
    } as TestObject);
  }

  /** Leads the store past its second pod, or to both. */
  async setEndpoint(ready: boolean): Promise<void> {
    await this.apply(this.endpoints("store", ["store-0", "store-1"], ready));
  }

  /** Rotates to a root of the owner's, or back to the one that the mesh began with. */
  async turnRoot(): Promise<void> {
    this.rotated = !this.rotated;
    if (!this.rotated) {
      await this.patch(ROOT_PATH, { spec: { role: "passive" } });
      return;
    }
    const { certPem, keyPem } = createRoot(Date.now());
    const secret = { name: CA, namespace: OSM };
    const data = { "ca.crt": certPem, "private.key": keyPem };
    const path = `/api/v1/namespaces/${OSM}/secrets/${CA}`;
    const known = await this.retry("the CA", () =>
      this.api.kube.get(path).catch((error: unknown) => {
        if (isNotFound(error)) return null;
        throw error;
      }),
    );
    if (known === null)
      await this.apply({
        apiVersion: "v1",
        kind: "Secret",
        metadata: secret,
        stringData: data,
      } as TestObject);
    await this.apply({
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "MeshRootCertificate",
      metadata: secret,
      spec: { role: "active", provider: { tresor: { ca: { secretRef: secret } } } },
    } as TestObject);
  }

  private async apply(object: TestObject): Promise<void> {
    const kubeObject = object as unknown as InstallObject;
    await this.retry(`${object.kind} ${object.metadata.name}`, () =>
      this.api.kube.apply(objectPath(kubeObject), object, MANAGER),
    );
  }

  private async patch(path: string, patch: object): Promise<void> {
    await this.retry(path, () => this.api.kube.mergePatch(path, patch));
  }

  private async remove(object: TestObject): Promise<void> {
    await this.retry(`${object.kind} ${object.metadata.name}`, async () => {
      try {
        await this.api.kube.delete(objectPath(object as unknown as InstallObject));
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    });
  }

  private async retry<T>(what: string, write: () => Promise<T>): Promise<T> {
    let last: unknown;
    const done = await waitFor(
      what,
      () =>
        write().then(
          value => ({ value }),
          (error: unknown) => void (last = error),
        ),
      WRITE_MS,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${String(last)}`);
    });
    return done.value;
  }
}

/** Makes a pod with a sidecar in the API server; nothing runs it. */
export async function createPod(api: PodTokens, { name, identity, ip, app }: MeshPod): Promise<ApiPod> {
  const { namespace: space, serviceAccount } = identity;
  const object = pod({ namespace: space, name, ips: [ip], labels: { app: app ?? name }, serviceAccount });
  const { metadata, status, spec } = object as unknown as {
    metadata: Record<string, unknown>;
    status: unknown;
    spec: { containers: { name: string }[] };
  };
  const containers = spec.containers.map(container => ({ image: "app", ...container }));
  const { uid, ...rest } = metadata;
  void uid;
  const path = `/api/v1/namespaces/${space}/pods`;
  const created = await api.kube.create<KubeObject>(path, {
    ...object,
    metadata: rest,
    spec: { ...spec, containers },
    status: undefined,
  } as never);
  await api.kube.mergePatch(`${path}/${name}/status`, { status });
  return { identity, name, uid: created.metadata.uid ?? "" };
}
