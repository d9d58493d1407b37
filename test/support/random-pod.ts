import fc from "fast-check";
import { DEFAULT_MESH_CONFIG, type MeshConfigSpec } from "../../src/api/mesh-config";
import type { InjectionRequest } from "../../src/injector/inject";
import type { Container, Handler, PodJson, Probe } from "../../src/injector/pod";
import { ANNOTATION_METRICS } from "../../src/model/mesh-words";
import { NAMESPACE, SETTINGS } from "./injection";

/**
 * Random pods that the API server accepts, with much of what meets the injector: several containers, native sidecars,
 * every kind of probe and hook, declared ports near ours, odd paths, annotations, security settings.
 */

const port = fc.oneof(
  fc.integer({ min: 1, max: 14_999 }),
  fc.integer({ min: 15_911, max: 15_920 }),
  fc.integer({ min: 16_000, max: 65_535 }),
);
const path = fc.oneof(
  fc.constantFrom(
    "/",
    "/healthz",
    "/a/../b",
    "/ü/ß",
    "/x?y=$(POD_UID)&z=$$",
    "relative",
    "/a b#c",
    "/%2e%2e/",
  ),
  fc.webPath(),
);
const header = fc.record({
  name: fc.constantFrom("Host", "X-Probe", "Accept"),
  value: fc.constantFrom("a", "shop.example"),
});

interface Names {
  readonly name: string;
  readonly number: number;
}

const portNames: fc.Arbitrary<Names[]> = fc.uniqueArray(
  fc.record({ name: fc.constantFrom("web", "admin", "db", "grpc"), number: port }),
  { selector: entry => entry.name, maxLength: 3 },
);

const reference = (names: readonly Names[]): fc.Arbitrary<number | string> =>
  names.length === 0 ? port : fc.oneof(port, fc.constantFrom(...names.map(entry => entry.name)));

const httpGet = (names: readonly Names[]): fc.Arbitrary<Handler> =>
  fc.record({
    httpGet: fc.record(
      {
        path,
        port: reference(names),
        scheme: fc.constantFrom("HTTP", "HTTPS"),
        httpHeaders: fc.array(header, { maxLength: 2 }),
        host: fc.constantFrom("10.9.8.7", "example.org"),
      },
      { requiredKeys: ["port"] },
    ),
  }) as fc.Arbitrary<Handler>;

const probeHandler = (names: readonly Names[]): fc.Arbitrary<Handler> =>
  fc.oneof(
    httpGet(names),
    fc.record({ tcpSocket: fc.record({ port: reference(names) }) }),
    fc.record({ grpc: fc.record({ port, service: fc.constantFrom("", "shop") }) }),
    fc.constant({ exec: { command: ["true"] } }),
  );

const probe = (names: readonly Names[], successThreshold: fc.Arbitrary<number>): fc.Arbitrary<Probe> =>
  fc
    .tuple(
      probeHandler(names),
      fc.record(
        {
          timeoutSeconds: fc.integer({ min: 1, max: 30 }),
          periodSeconds: fc.integer({ min: 1, max: 60 }),
          failureThreshold: fc.integer({ min: 1, max: 9 }),
          initialDelaySeconds: fc.integer({ min: 0, max: 9 }),
          successThreshold,
        },
        { requiredKeys: [] },
      ),
    )
    .map(([handler, timing]) => ({ ...handler, ...timing }) as Probe);

const lifecycle = (names: readonly Names[]): fc.Arbitrary<object> =>
  fc.record(
    {
      postStart: fc.oneof(httpGet(names), fc.constant({ exec: { command: ["true"] } })),
      preStop: fc.oneof(httpGet(names), fc.constant({ sleep: { seconds: 1 } })),
    },
    { requiredKeys: [] },
  );

const securityContext = fc.record(
  {
    runAsUser: fc.constantFrom(0, 1000, 1501),
    runAsGroup: fc.constantFrom(0, 1500),
    runAsNonRoot: fc.constant(false),
    privileged: fc.constant(false),
  },
  { requiredKeys: [] },
);

const resources = fc.constantFrom({}, { limits: { cpu: "100m" } }, { requests: { memory: "16Mi" } });

function container(name: string): fc.Arbitrary<Container> {
  const one = fc.constant(1);
  return portNames.chain(names =>
    fc
      .record(
        {
          livenessProbe: probe(names, one),
          readinessProbe: probe(names, fc.integer({ min: 1, max: 3 })),
          startupProbe: probe(names, one),
          lifecycle: lifecycle(names),
          securityContext,
          resources,
          env: fc.constant([{ name: "POD_UID", value: "mine" }]),
        },
        { requiredKeys: [] },
      )
      .map(fields => ({
        name,
        image: "app:1",
        ports: declaredPorts(names),
        ...(fields as Partial<Container>),
      })),
  );
}

function declaredPorts(names: readonly Names[]): NonNullable<Container["ports"]> {
  return names.map(({ name, number }) => ({ name, containerPort: number, protocol: "TCP" }));
}

const CONTAINER_NAMES = ["app", "app2", "log", "db", "envoy-proxy"];

const containers: fc.Arbitrary<Container[]> = fc
  .integer({ min: 1, max: 4 })
  .chain(count => fc.tuple(...CONTAINER_NAMES.slice(0, count).map(container)));

const initContainers: fc.Arbitrary<Container[]> = fc.array(fc.boolean(), { maxLength: 2 }).chain(kinds =>
  fc.tuple(
    ...kinds.map((native, index) => {
      const name = `init-${index}`;
      if (!native) return fc.constant<Container>({ name, image: "init:1" });
      return container(name).map(made => ({ ...made, restartPolicy: "Always" }));
    }),
  ),
);

const annotations = fc.record(
  {
    "openservicemesh.io/outbound-port-exclusion-list": fc.constantFrom("", "80", "6379, 7070,7070"),
    "openservicemesh.io/inbound-port-exclusion-list": fc.constantFrom(
      "9999",
      "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
    ),
    "openservicemesh.io/outbound-ip-range-exclusion-list": fc.constantFrom(
      "10.0.0.0/8",
      "fd00::/8, 10.1.0.0/16",
    ),
    "openservicemesh.io/outbound-ip-range-inclusion-list": fc.constantFrom("0.0.0.0/0", "::/0"),
    "example.org/quote": fc.string({ maxLength: 20 }),
  },
  { requiredKeys: [] },
);

const volumes = fc.subarray(["data", "cache"]).map(names => names.map(name => ({ name, emptyDir: {} })));

/** A pod of namespace `shop`. */
export const randomPod: fc.Arbitrary<PodJson> = fc
  .record({
    containers,
    initContainers,
    annotations,
    volumes,
    spec: fc.record(
      {
        terminationGracePeriodSeconds: fc.integer({ min: 2, max: 60 }),
        restartPolicy: fc.constantFrom("Never", "OnFailure", "Always"),
        shareProcessNamespace: fc.boolean(),
        automountServiceAccountToken: fc.boolean(),
        securityContext: fc.constantFrom({}, { fsGroup: 2000 }, { runAsUser: 1001, runAsGroup: 1500 }),
        dnsPolicy: fc.constantFrom("ClusterFirst", "Default"),
      },
      { requiredKeys: [] },
    ),
  })
  .map(parts => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "random",
      namespace: "shop",
      labels: { app: "random" },
      annotations: parts.annotations as Record<string, string>,
    },
    spec: {
      ...parts.spec,
      serviceAccountName: "default",
      containers: parts.containers,
      ...(parts.initContainers.length === 0 ? {} : { initContainers: parts.initContainers }),
      ...(parts.volumes.length === 0 ? {} : { volumes: parts.volumes }),
    },
  }));

const meshConfig: fc.Arbitrary<MeshConfigSpec> = fc
  .record({
    localProxyMode: fc.constantFrom("Localhost" as const, "PodIP" as const),
    enablePrivilegedInitContainer: fc.boolean(),
    resources: fc.constantFrom(
      {},
      { limits: { cpu: "1500m", memory: "256Mi" } },
      { requests: { cpu: "10m" } },
    ),
    excluded: fc.uniqueArray(port, { maxLength: 40 }),
    interfaces: fc.subarray(["net1", "eth1"]),
  })
  .map(({ excluded, interfaces, ...sidecar }) => ({
    ...DEFAULT_MESH_CONFIG,
    sidecar: { ...DEFAULT_MESH_CONFIG.sidecar, ...sidecar },
    traffic: {
      ...DEFAULT_MESH_CONFIG.traffic,
      outboundPortExclusionList: excluded,
      networkInterfaceExclusionList: interfaces,
    },
  }));

/** A request that asks for injection of a {@link randomPod}. */
export const randomRequest: fc.Arbitrary<InjectionRequest> = fc
  .record({
    pod: randomPod,
    meshConfig,
    native: fc.boolean(),
    ipv6: fc.boolean(),
    metrics: fc.boolean(),
    uid: fc.uuid(),
  })
  .map(({ pod, meshConfig: config, native, ipv6, metrics, uid }) => ({
    pod,
    uid,
    meshConfig: config,
    namespace: {
      ...NAMESPACE,
      annotations: { ...NAMESPACE.annotations, ...(metrics ? { [ANNOTATION_METRICS]: "yes" } : {}) },
    },
    settings: { ...SETTINGS, nativeSidecar: native, ipv6 },
  }));
