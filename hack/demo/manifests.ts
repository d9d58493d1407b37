import {
  ANNOTATION_INBOUND_PORT_EXCLUSION,
  ANNOTATION_INJECTION,
  DEFAULT_MESH_NAME,
  LABEL_MONITORED_BY,
} from "../../src/model/mesh-words";
import { IMAGES } from "../images/names";
import { APP_PORT, COUNTERS_PORT } from "./apps/settings";

/** Label on every namespace and pod the demo makes; namespaces without it are never touched. */
export const DEMO_LABEL = "openservicemesh.io/demo";
/** Value of {@link DEMO_LABEL}. */
export const DEMO_NAME = "bookstore";

/** Namespaces whose pods are given a sidecar. */
export const MESHED = ["bookbuyer", "bookthief", "bookstore", "bookwarehouse"] as const;
/** The namespace whose pods stay outside the mesh. */
export const OUTSIDE = "bookpublisher";
/** All namespaces of the demo. */
export const NAMESPACES: readonly string[] = [...MESHED, OUTSIDE];

/** What the demo's manifests consist of. */
export type Manifest = Readonly<Record<string, unknown>>;

const DATABASE = { password: "mypassword", name: "booksdemo", port: 3306 } as const;

/** Requests are small, so that all pods fit on a machine with two cores. */
const SMALL = { requests: { cpu: "5m", memory: "32Mi" } };

interface Program {
  /** Name of Deployment and ServiceAccount. */
  readonly name: string;
  readonly namespace: string;
  /** Value of label `app`; default the name. */
  readonly app?: string;
  /** First word on the command line; default the name. */
  readonly program?: string;
  readonly version?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly replicas?: number;
  readonly probes?: boolean;
}

const PROGRAMS: readonly Program[] = [
  {
    name: "bookbuyer",
    namespace: "bookbuyer",
    env: {
      BOOKSTORE_NAMESPACE: "bookstore",
      BOOKSTORE_SVC: "bookstore",
      // Enough sales that a change shows within a second; where shares are judged, the story asks for a rush of them.
      CI_CLIENT_CONCURRENT_CONNECTIONS: "12",
      ENABLE_EGRESS: "true",
      EGRESS_URLS: `http://${OUTSIDE}.${OUTSIDE}:${APP_PORT}/`,
    },
  },
  {
    name: "bookthief",
    namespace: "bookthief",
    env: {
      BOOKSTORE_NAMESPACE: "bookstore",
      BOOKTHIEF_EXPECTED_RESPONSE_CODE: "0",
      CI_CLIENT_CONCURRENT_CONNECTIONS: "4",
    },
  },
  store("v1", 1),
  store("v2", 0),
  { name: "bookwarehouse", namespace: "bookwarehouse" },
  { name: "bookpublisher", namespace: OUTSIDE },
];

function store(version: string, replicas: number): Program {
  return {
    name: `bookstore-${version}`,
    namespace: "bookstore",
    app: "bookstore",
    program: "bookstore",
    version,
    replicas,
    probes: true,
    env: { IDENTITY: `bookstore-${version}`, BOOKWAREHOUSE_NAMESPACE: "bookwarehouse" },
  };
}

function namespace(name: string): Manifest {
  const meshed = MESHED.some(each => each === name);
  const labels = { [DEMO_LABEL]: DEMO_NAME, ...(meshed ? { [LABEL_MONITORED_BY]: DEFAULT_MESH_NAME } : {}) };
  const annotations = meshed ? { [ANNOTATION_INJECTION]: "enabled" } : {};
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels, annotations } };
}

function serviceAccount(name: string, namespace: string): Manifest {
  return { apiVersion: "v1", kind: "ServiceAccount", metadata: { name, namespace } };
}

function appOf(program: Program): string {
  return program.app ?? program.name;
}

function labelsOf(program: Program): Record<string, string> {
  const version = program.version === undefined ? {} : { version: program.version };
  return { app: appOf(program), ...version };
}

function probe(path: string): Manifest {
  return { httpGet: { path, port: APP_PORT }, periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 6 };
}

function deployment(program: Program): Manifest {
  const { name, namespace } = program;
  const labels = labelsOf(program);
  const probes = {
    startupProbe: probe("/startup"),
    livenessProbe: probe("/liveness"),
    readinessProbe: probe("/readiness"),
  };
  const container = {
    name: appOf(program),
    image: IMAGES.demo,
    imagePullPolicy: "IfNotPresent",
    args: [program.program ?? name],
    env: Object.entries({ IDENTITY: name, ...program.env }).map(([key, value]) => ({ name: key, value })),
    ports: [
      { name: "web", containerPort: APP_PORT },
      { name: "counters", containerPort: COUNTERS_PORT },
    ],
    resources: SMALL,
    ...(program.probes === true ? probes : {}),
  };
  const template = {
    metadata: {
      labels: { ...labels, [DEMO_LABEL]: DEMO_NAME },
      annotations: { [ANNOTATION_INBOUND_PORT_EXCLUSION]: String(COUNTERS_PORT) },
    },
    spec: { serviceAccountName: name, terminationGracePeriodSeconds: 5, containers: [container] },
  };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels },
    spec: { replicas: program.replicas ?? 1, selector: { matchLabels: labels }, template },
  };
}

function service(name: string, namespace: string, selector: Readonly<Record<string, string>>): Manifest {
  const ports = [{ name: "http", port: APP_PORT, targetPort: APP_PORT, appProtocol: "http" }];
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace }, spec: { selector, ports } };
}

/** MySQL speaks first, so the Service says so; its clients find the one pod through a headless Service. */
function database(): readonly Manifest[] {
  const namespace = "bookwarehouse";
  const labels = { app: "mysql" };
  const port = { name: "mysql", port: DATABASE.port, appProtocol: "tcp-server-first" };
  const container = {
    name: "mysql",
    image: IMAGES.mariadb,
    imagePullPolicy: "IfNotPresent",
    env: [
      { name: "MARIADB_ROOT_PASSWORD", value: DATABASE.password },
      { name: "MARIADB_DATABASE", value: DATABASE.name },
    ],
    ports: [{ name: "mysql", containerPort: DATABASE.port }],
    readinessProbe: { tcpSocket: { port: DATABASE.port }, periodSeconds: 3, timeoutSeconds: 2 },
    volumeMounts: [{ name: "data", mountPath: "/var/lib/mysql" }],
    resources: SMALL,
  };
  return [
    serviceAccount("mysql", namespace),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "mysql", namespace },
      spec: { clusterIP: "None", selector: labels, ports: [port] },
    },
    {
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "mysql", namespace, labels },
      spec: {
        serviceName: "mysql",
        replicas: 1,
        selector: { matchLabels: labels },
        template: {
          metadata: { labels: { ...labels, [DEMO_LABEL]: DEMO_NAME } },
          spec: {
            serviceAccountName: "mysql",
            terminationGracePeriodSeconds: 10,
            containers: [container],
            volumes: [{ name: "data", emptyDir: {} }],
          },
        },
      },
    },
  ];
}

/** The namespaces, to be there (and marked) before anything is put in them. */
export function namespaceManifests(): readonly Manifest[] {
  return NAMESPACES.map(namespace);
}

/**
 * Everything inside the namespaces: accounts, Services, Deployments (bookstore-v2 with no pod yet) and the database.
 */
export function applicationManifests(): readonly Manifest[] {
  const services = [
    ...["bookbuyer", "bookthief", "bookstore", "bookwarehouse", OUTSIDE].map(name =>
      service(name, name, { app: name }),
    ),
    ...["v1", "v2"].map(version => {
      return service(`bookstore-${version}`, "bookstore", { app: "bookstore", version });
    }),
  ];
  const accounts = PROGRAMS.map(program => serviceAccount(program.name, program.namespace));
  return [...accounts, ...services, ...database(), ...PROGRAMS.map(deployment)];
}

/** One object that `kubectl apply -f -` takes. */
export function asList(manifests: readonly Manifest[]): string {
  return JSON.stringify({ apiVersion: "v1", kind: "List", items: manifests });
}
