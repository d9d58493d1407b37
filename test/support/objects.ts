/** Kubernetes objects as the API server would deliver them, short to write. */

/** A Kubernetes object of any kind. */
export type TestObject = Readonly<Record<string, unknown>> & {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
};

type Labels = Readonly<Record<string, string>>;

/** A Namespace; `meshed` puts it into the mesh `osm`. */
export function namespace(name: string, options: { meshed?: boolean; labels?: Labels } = {}): TestObject {
  const monitored = options.meshed === false ? {} : { "openservicemesh.io/monitored-by": "osm" };
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, labels: { ...monitored, ...options.labels } },
  };
}

/** A port of a Service. */
export interface PortSpec {
  readonly name?: string;
  readonly port: number;
  readonly targetPort?: number | string;
  readonly protocol?: string;
  readonly appProtocol?: string;
}

/** What a Service is made of. */
export interface ServiceSpec {
  readonly namespace: string;
  readonly name: string;
  readonly ports: readonly PortSpec[];
  /** Default `{ app: <name> }`; null for none. */
  readonly selector?: Labels | null;
  /** Default one cluster address made of the name. */
  readonly clusterIPs?: readonly string[];
  readonly type?: string;
}

/** A stable address in 10.120.0.0/16 made of a text. */
export function clusterIp(text: string): string {
  let hash = 7;
  for (const character of text) hash = (hash * 31 + character.charCodeAt(0)) % 65021;
  return `10.120.${hash >> 8}.${hash % 256}`;
}

/** A Service. */
export function service(spec: ServiceSpec): TestObject {
  const clusterIPs = spec.clusterIPs ?? [clusterIp(`${spec.namespace}/${spec.name}`)];
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: spec.name, namespace: spec.namespace },
    spec: {
      type: spec.type ?? "ClusterIP",
      clusterIP: clusterIPs[0],
      clusterIPs,
      ...(spec.selector === null ? {} : { selector: spec.selector ?? { app: spec.name } }),
      ports: spec.ports.map(port => ({ protocol: "TCP", targetPort: port.port, ...port })),
    },
  };
}

/** What a Pod is made of. */
export interface PodSpec {
  readonly namespace: string;
  readonly name: string;
  readonly ips: readonly string[];
  readonly labels?: Labels;
  readonly serviceAccount?: string;
  /** Default true: carries our sidecar. */
  readonly meshed?: boolean;
  readonly uid?: string;
  readonly phase?: string;
  readonly terminating?: boolean;
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly hostNetwork?: boolean;
  /** Inbound ports at which the sidecar was told to be passed by. */
  readonly excludedPorts?: readonly number[];
}

function initContainer(excludedPorts: readonly number[]): unknown {
  return { name: "osm-init", env: [{ name: "INBOUND_EXCLUDED_PORTS", value: excludedPorts.join(",") }] };
}

/** A Pod. */
export function pod(spec: PodSpec): TestObject {
  const meshed = spec.meshed !== false;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: spec.name,
      namespace: spec.namespace,
      uid: spec.uid ?? `uid-${spec.namespace}-${spec.name}`,
      labels: { ...spec.labels, ...(meshed ? { "osm-proxy-uuid": "5f9b" } : {}) },
      ...(spec.terminating === true ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    },
    spec: {
      serviceAccountName: spec.serviceAccount ?? "default",
      ...(spec.hostNetwork === true ? { hostNetwork: true } : {}),
      ...(spec.excludedPorts === undefined ? {} : { initContainers: [initContainer(spec.excludedPorts)] }),
      containers: [{ name: "app", ports: spec.ports ?? [] }, ...(meshed ? [{ name: "envoy" }] : [])],
    },
    status: { phase: spec.phase ?? "Running", podIP: spec.ips[0], podIPs: spec.ips.map(ip => ({ ip })) },
  };
}

/** What an EndpointSlice is made of. */
export interface SliceSpec {
  readonly namespace: string;
  readonly service: string;
  readonly name?: string;
  readonly addressType?: string;
  readonly ports: readonly { readonly name?: string; readonly port: number; readonly protocol?: string }[];
  readonly endpoints: readonly {
    readonly address: string;
    readonly pod?: string;
    readonly uid?: string;
    readonly ready?: boolean;
    readonly zone?: string;
  }[];
}

/** An EndpointSlice. */
export function slice(spec: SliceSpec): TestObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: spec.name ?? `${spec.service}-1`,
      namespace: spec.namespace,
      labels: { "kubernetes.io/service-name": spec.service },
    },
    addressType: spec.addressType ?? "IPv4",
    ports: spec.ports.map(port => ({ name: "", protocol: "TCP", ...port })),
    endpoints: spec.endpoints.map(endpoint => ({
      addresses: [endpoint.address],
      conditions: { ready: endpoint.ready !== false },
      ...(endpoint.zone === undefined ? {} : { zone: endpoint.zone }),
      ...(endpoint.pod === undefined
        ? {}
        : {
            targetRef: {
              kind: "Pod",
              namespace: spec.namespace,
              name: endpoint.pod,
              uid: endpoint.uid ?? `uid-${spec.namespace}-${endpoint.pod}`,
            },
          }),
    })),
  };
}

/** The mesh's MeshConfig with a partial spec. */
export function meshConfig(spec: Readonly<Record<string, unknown>>): TestObject {
  return {
    apiVersion: "config.openservicemesh.io/v1alpha2",
    kind: "MeshConfig",
    metadata: { name: "osm-mesh-config", namespace: "osm-system" },
    spec,
  };
}
