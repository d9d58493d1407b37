import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { envoyBinary } from "../../hack/envoy/binary";
import { SIDECAR_UID } from "../../src/model/mesh-words";
import type { Party } from "../../src/model/owner";
import {
  RESOURCE_VARIABLE,
  resourceAttributes,
  RUNTIME_COUNT_REQUESTS,
  SELF_VARIABLES,
} from "../../src/model/request-metrics";
import { cluster } from "../../src/injector/envoy-json";
import { ADMIN_CLUSTER } from "../../src/injector/kubelet-listeners";
import { metricsListener } from "../../src/injector/metrics-listener";
import { redirectRules } from "../../src/injector/iptables";
import type { RedirectPlan } from "../../src/injector/redirect";
import { envoyAdmin, type EnvoyAdmin } from "./envoy-admin";
import type { NetworkPod, RunOptions } from "./netns";
import { waitFor } from "./wait";

/** A running Envoy in a pod. */
export interface Sidecar extends EnvoyAdmin {
  /** What it has logged. */
  log(): string;
  /** Access log: what it has written to its standard output. */
  output(): string;
  /** Ends it at once. Another one may be started in the pod afterwards. */
  stop(): Promise<void>;
}

/** A folder that the sidecar's user can enter, with a copy of Envoy and the sockets of a test. */
export interface Workshop {
  readonly folder: string;
  readonly envoy: string;
  remove(): void;
}

/** Makes the folder; Envoy is copied because the cache may stand in a home that other users cannot enter. */
export async function createWorkshop(): Promise<Workshop> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-traffic-"));
  chmodSync(folder, 0o777);
  const envoy = path.join(folder, "envoy");
  copyFileSync(await envoyBinary(), envoy);
  chmodSync(envoy, 0o755);
  return {
    folder,
    envoy,
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const PLAN: RedirectPlan = {
  inboundExcludedPorts: [],
  inboundDirectPorts: [],
  outboundExcludedPorts: [],
  outboundExcludedRanges: [],
  outboundIncludedRanges: [],
  excludedInterfaces: [],
  podIp: false,
};

/** Redirects the pod's TCP traffic to its sidecar with the very rules that injected pods get. */
export function redirect(pod: NetworkPod, plan: Partial<RedirectPlan> = {}): void {
  for (const [family, program] of [
    ["ipv4", "iptables-restore"],
    ["ipv6", "ip6tables-restore"],
  ] as const) {
    pod.run([program, "--noflush"], redirectRules({ ...PLAN, ...plan }, family));
  }
}

/** As in the bootstrap of injected pods: without it Envoy refuses the gates of callers. */
const INTERNAL_LISTENERS: JsonObject = {
  name: "envoy.bootstrap.internal_listener",
  typedConfig: {
    "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
  },
};

/** As in the bootstrap of pods of namespaces with metrics: counting is on, and the listener is there. */
function counting(adminSocket: string): Record<"listeners" | "clusters", JsonObject[]> {
  const admin = cluster(ADMIN_CLUSTER, { pipe: { path: adminSocket } }, { connect_timeout: "1s" });
  return { listeners: [metricsListener(false) as JsonObject], clusters: [admin as JsonObject] };
}

function bootstrap(
  adsSocket: string,
  adminSocket: string,
  { token, party, more = {} }: SidecarOptions,
): JsonObject {
  const proof = token === undefined ? [] : [{ key: "authorization", value: `Bearer ${token}` }];
  const ads = { ads: {}, resourceApiVersion: "V3" };
  const own = party === undefined ? { listeners: [], clusters: [] } : counting(adminSocket);
  return {
    ...more,
    bootstrapExtensions: [INTERNAL_LISTENERS],
    layeredRuntime: {
      layers: [
        {
          name: "osm",
          staticLayer: {
            "envoy.reloadable_features.tcp_proxy_delay_route_selection": true,
            ...(party === undefined ? {} : { [RUNTIME_COUNT_REQUESTS]: 100 }),
          },
        },
      ],
    },
    admin: { address: { pipe: { path: adminSocket, mode: 0o777 } } },
    dynamicResources: {
      adsConfig: {
        apiType: "DELTA_GRPC",
        transportApiVersion: "V3",
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ envoyGrpc: { clusterName: "ads" }, initialMetadata: proof }],
      },
      cdsConfig: ads,
      ldsConfig: ads,
    },
    staticResources: {
      listeners: own.listeners,
      clusters: [
        ...own.clusters,
        {
          name: "ads",
          type: "STATIC",
          typedExtensionProtocolOptions: {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
              "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
              explicitHttpConfig: { http2ProtocolOptions: {} },
            },
          },
          loadAssignment: {
            clusterName: "ads",
            endpoints: [{ lbEndpoints: [{ endpoint: { address: { pipe: { path: adsSocket } } } }] }],
          },
        },
      ],
    },
  };
}

/** What the injector tells the sidecar's container of its pod. */
function selfOf(party: Party | undefined): NodeJS.ProcessEnv {
  if (party === undefined) return {};
  const names = Object.entries(SELF_VARIABLES) as [keyof Party, string][];
  return {
    ...Object.fromEntries(names.map(([part, name]) => [name, party[part]])),
    [RESOURCE_VARIABLE]: resourceAttributes(serviceOf(party), party.namespace, party.pod),
  };
}

/** What the injector calls its service where it traces. */
function serviceOf(party: Party | undefined): string {
  return party === undefined ? "test" : `${party.name}.${party.namespace}`;
}

/** How a sidecar is started. */
export interface SidecarOptions extends Pick<RunOptions, "resolver"> {
  /** What it proves itself with to ADS; absent: nothing. */
  readonly token?: string;
  /** As whom it counts its requests, for {@link PORT_METRICS}; absent: it counts none. */
  readonly party?: Party;
  /** Fields of its bootstrap beside those that are always there. */
  readonly more?: JsonObject;
}

/** Starts the pod's sidecar and waits until it is ready, which it is once it has its first configuration. */
export async function startSidecar(
  pod: NetworkPod,
  workshop: Workshop,
  adsSocket: string,
  options: SidecarOptions = {},
): Promise<Sidecar> {
  const folder = path.join(workshop.folder, pod.name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o777);
  const adminSocket = path.join(folder, "admin.sock");
  const admin = envoyAdmin(adminSocket);
  const logFile = path.join(folder, "envoy.log");
  const outputFile = path.join(folder, "stdout.log");
  const resolver = options.resolver === undefined ? {} : { resolver: options.resolver };
  const config = JSON.stringify(bootstrap(adsSocket, adminSocket, options));
  const identity = ["--service-node", pod.name, "--service-cluster", serviceOf(options.party)];
  const quiet = [
    "--disable-hot-restart",
    "--concurrency",
    "1",
    "--drain-time-s",
    "1",
    "--drain-strategy",
    "immediate",
    "--file-flush-interval-msec",
    "100",
  ];
  const child = pod.start(
    [workshop.envoy, ...quiet, ...identity, "--log-path", logFile, "-l", "info", "--config-yaml", config],
    {
      ...resolver,
      env: { ...process.env, ...selfOf(options.party) },
      uid: SIDECAR_UID,
      stdio: ["ignore", openSync(outputFile, "w"), "ignore"],
    },
  );
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8") : "");
  const log = (): string => read(logFile);
  const ready = async (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error(`Envoy of ${pod.name} ended:\n${log().slice(-3000)}`);
    const answer = await admin.admin("/ready").catch(() => "");
    return answer.startsWith("LIVE");
  };
  await waitFor(`Envoy of ${pod.name} ready`, ready, 60_000);
  return {
    ...admin,
    log,
    output: () => read(outputFile),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}
