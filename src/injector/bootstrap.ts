import { ADS_SAN, ADS_SERVICE, SIDECAR_CONNECT_TIMEOUT_MS } from "../model/mesh-words";
import { isIpv4, isIpv6 } from "./address-range";
import type { EnvoyJson } from "./envoy-json";
import { cluster, httpOptions, socketAddress, typed } from "./envoy-json";
import { ADMIN_CLUSTER, kubeletClusters, kubeletListeners } from "./kubelet-listeners";
import type { KubeletRoute } from "./rewrite";
import {
  FILE_ADMIN_SOCKET,
  FILE_CERTIFICATE,
  FILE_CERTIFICATE_SDS,
  FILE_KEY,
  FILE_ROOT_SDS,
  FILE_TOKEN,
  FILE_TOKEN_SDS,
  IDENTITY_DIRECTORY,
  RUN_DIRECTORY,
  SECRET_CERTIFICATE,
  SECRET_ROOT,
  SECRET_TOKEN,
} from "./names";
import { CA_ROOT_KEY } from "../model/mesh-words";
import { RUNTIME_COUNT_REQUESTS } from "../model/request-metrics";
import { metricsListener } from "./metrics-listener";

/** Folders that the bootstrap refers to. */
export interface BootstrapPaths {
  readonly identity: string;
  readonly run: string;
}

/** The folders as they are in a pod. */
export const POD_PATHS: BootstrapPaths = { identity: IDENTITY_DIRECTORY, run: RUN_DIRECTORY };

/** What a sidecar's bootstrap depends on; nothing in it is secret or says who the pod is. */
export interface BootstrapInput {
  /** `host:port`, `ip:port` or `[ipv6]:port` of the ADS Service. */
  readonly adsAddress: string;
  readonly routes: readonly KubeletRoute[];
  /** Count requests, and serve Prometheus metrics on 15010. */
  readonly metrics: boolean;
  /** Listen on `::` too. */
  readonly ipv6: boolean;
  /** How it proves itself to ADS: by its pod's token, or outside of the cluster by a client certificate. Default: token. */
  readonly proof?: "token" | "certificate";
}

/** Largest RE2 program that Envoy takes in a route; its default of 100 refuses patterns that policies may hold. */
const MAX_REGEX_PROGRAM = 1000;
/** Series of requests that are not counted on for this long are forgotten; a pod that is gone leaves none behind. */
const METRICS_KEPT = "3600s";
/** Downstream connections of one sidecar; beyond it new ones are refused rather than memory exhausted. */
const MAX_CONNECTIONS = 50_000;

/**
 * The Envoy bootstrap of a sidecar, as a value for `--config-yaml`. The node id and cluster are command-line
 * arguments (the kubelet fills in the pod's UID there); ADS trusts neither.
 */
export function bootstrap(input: BootstrapInput, paths: BootstrapPaths = POD_PATHS): EnvoyJson {
  const adminAddress = { pipe: { path: `${paths.run}/${FILE_ADMIN_SOCKET}`, mode: 0o600 } };
  return {
    // Callers' gates (src/envoy/listener/caller-gate.ts) are listeners inside of the process.
    bootstrap_extensions: [
      {
        name: "envoy.bootstrap.internal_listener",
        typed_config: typed("envoy.extensions.bootstrap.internal_listener.v3.InternalListener"),
      },
    ],
    admin: { address: adminAddress, ignore_global_conn_limit: true },
    dynamic_resources: {
      ads_config: adsConfig(),
      // Zero is "wait": a sidecar without configuration is not started, so neither is the application behind it.
      cds_config: { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" },
      lds_config: { ads: {}, resource_api_version: "V3", initial_fetch_timeout: "0s" },
    },
    static_resources: {
      listeners: [
        ...kubeletListeners(input.routes, input.ipv6),
        ...(input.metrics ? [metricsListener(input.ipv6)] : []),
      ],
      clusters: [
        adsCluster(input, paths),
        cluster(
          ADMIN_CLUSTER,
          { pipe: { path: `${paths.run}/${FILE_ADMIN_SOCKET}` } },
          { connect_timeout: "1s" },
        ),
        ...kubeletClusters(input.routes),
      ],
    },
    stats_eviction_interval: METRICS_KEPT,
    // A Service that the pod never calls has no metrics of its requests: half of what its cluster would hold in memory for them.
    deferred_stat_options: { enable_deferred_creation_stats: true },
    layered_runtime: {
      layers: [
        {
          name: "osm",
          static_layer: {
            "re2.max_program_size.error_level": MAX_REGEX_PROGRAM,
            "re2.max_program_size.warn_level": MAX_REGEX_PROGRAM,
            // A TCP caller's gate is chosen by its certificate, so after the handshake; Envoy's own way is before.
            "envoy.reloadable_features.tcp_proxy_delay_route_selection": true,
            ...(input.metrics ? { [RUNTIME_COUNT_REQUESTS]: 100 } : {}),
          },
        },
      ],
    },
    overload_manager: {
      resource_monitors: [
        {
          name: "envoy.resource_monitors.global_downstream_max_connections",
          typed_config: typed(
            "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            { max_active_downstream_connections: MAX_CONNECTIONS },
          ),
        },
      ],
    },
  };
}

function adsConfig(): EnvoyJson {
  return {
    api_type: "DELTA_GRPC",
    transport_api_version: "V3",
    set_node_on_first_message_only: true,
    grpc_services: [
      {
        envoy_grpc: {
          cluster_name: ADS_SERVICE,
          authority: ADS_SAN,
          // Envoy's own back-off grows to half a minute; a control plane that returns should be found at once.
          retry_policy: { retry_back_off: { base_interval: "0.25s", max_interval: "3s" } },
        },
      },
    ],
  };
}

/**
 * How many bytes of configuration the control plane may send before the sidecar has read them (Envoy: 16 MiB and more). It keeps
 * a buffer of the largest write for as long as a connection lives, and an old proxy that reads nothing costs it that much.
 */
const ADS_WINDOW = 65_536;

function adsCluster({ adsAddress, proof = "token" }: BootstrapInput, paths: BootstrapPaths): EnvoyJson {
  const { host, port } = splitAddress(adsAddress);
  const literal = isIpv4(host) || isIpv6(host);
  return cluster(ADS_SERVICE, socketAddress(host, port), {
    ...(literal ? {} : { type: "STRICT_DNS", dns_lookup_family: "ALL" }),
    connect_timeout: `${SIDECAR_CONNECT_TIMEOUT_MS / 1_000}s`,
    upstream_connection_options: {
      tcp_keepalive: { keepalive_probes: 3, keepalive_time: 30, keepalive_interval: 5 },
    },
    typed_extension_protocol_options: httpOptions({
      explicit_http_config: {
        http2_protocol_options: {
          connection_keepalive: { interval: "30s", timeout: "10s" },
          initial_stream_window_size: ADS_WINDOW,
          initial_connection_window_size: ADS_WINDOW,
        },
      },
      http_filters: [
        ...(proof === "token"
          ? [{ name: "envoy.filters.http.credential_injector", typed_config: tokenInjector(paths) }]
          : []),
        {
          name: "envoy.filters.http.upstream_codec",
          typed_config: typed("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"),
        },
      ],
    }),
    transport_socket: {
      name: "envoy.transport_sockets.tls",
      typed_config: typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
        sni: ADS_SAN,
        common_tls_context: {
          ...controlPlaneTls(paths),
          ...(proof === "token"
            ? {}
            : {
                tls_certificate_sds_secret_configs: [
                  fileSecret(SECRET_CERTIFICATE, FILE_CERTIFICATE_SDS, paths),
                ],
              }),
        },
      }),
    },
  });
}

/** TLS 1.3 only, and only to the control plane: any other certificate of the mesh's CA is refused (OSM's BUG-23). */
function controlPlaneTls(paths: BootstrapPaths): EnvoyJson {
  return {
    alpn_protocols: ["h2"],
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    combined_validation_context: {
      default_validation_context: {
        match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: ADS_SAN } }],
      },
      validation_context_sds_secret_config: fileSecret(SECRET_ROOT, FILE_ROOT_SDS, paths),
    },
  };
}

function tokenInjector(paths: BootstrapPaths): EnvoyJson {
  return typed("envoy.extensions.filters.http.credential_injector.v3.CredentialInjector", {
    overwrite: true,
    allow_request_without_credential: false,
    credential: {
      name: "envoy.http.injected_credentials.generic",
      typed_config: typed("envoy.extensions.http.injected_credentials.generic.v3.Generic", {
        credential: fileSecret(SECRET_TOKEN, FILE_TOKEN_SDS, paths),
        header: "authorization",
        header_value_prefix: "Bearer ",
      }),
    },
  });
}

function fileSecret(name: string, file: string, paths: BootstrapPaths): EnvoyJson {
  return {
    name,
    sds_config: {
      resource_api_version: "V3",
      path_config_source: {
        path: `${paths.identity}/${file}`,
        watched_directory: { path: paths.identity },
      },
    },
  };
}

/** The SDS document of an external proxy's client certificate: Envoy reads it again when the folder changes. */
export function certificateDocument(paths: BootstrapPaths): string {
  const file = (name: string): EnvoyJson => ({ filename: `${paths.identity}/${name}` });
  const tls_certificate = {
    certificate_chain: file(FILE_CERTIFICATE),
    private_key: file(FILE_KEY),
    watched_directory: { path: paths.identity },
  };
  const secret = typed("envoy.extensions.transport_sockets.tls.v3.Secret", {
    name: SECRET_CERTIFICATE,
    tls_certificate,
  });
  return JSON.stringify({ resources: [secret] });
}

/** The two SDS documents, by file name. Envoy needs them as files; see ANNOTATION_TOKEN_SDS in names.ts. */
export function sdsDocuments(paths: BootstrapPaths = POD_PATHS): Readonly<Record<"token" | "root", string>> {
  const secretType = "envoy.extensions.transport_sockets.tls.v3.Secret";
  const watched_directory = { path: paths.identity };
  const token = { secret: { filename: `${paths.identity}/${FILE_TOKEN}` } };
  const root = { trusted_ca: { filename: `${paths.identity}/${CA_ROOT_KEY}` }, watched_directory };
  return {
    token: JSON.stringify({ resources: [typed(secretType, { name: SECRET_TOKEN, generic_secret: token })] }),
    root: JSON.stringify({ resources: [typed(secretType, { name: SECRET_ROOT, validation_context: root })] }),
  };
}

/** Splits `host:port`, with an IPv6 host in brackets. A missing port is a bug of the caller. */
function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const match = /^\[?([^\]]+?)\]?:(\d+)$/.exec(address);
  const [, host, port] = match ?? [];
  if (host === undefined || port === undefined) throw new Error(`ADS address ${address} is not host:port`);
  return { host, port: Number(port) };
}
