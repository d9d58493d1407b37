import type { KubeletRoute } from "./rewrite";

/**
 * Small pieces of Envoy configuration as JSON, for the static bootstrap. The bootstrap is a text that a pod is created
 * with and keeps, so it is written here rather than by the encoders of dynamic resources.
 */

/** A JSON value of Envoy's configuration. */
export type EnvoyJson = Readonly<Record<string, unknown>>;

const TYPE = "type.googleapis.com/";
const ROUTER = "envoy.extensions.filters.http.router.v3.Router";
const HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/** A typed extension configuration. */
export function typed(name: string, fields: EnvoyJson = {}): EnvoyJson {
  return { "@type": `${TYPE}${name}`, ...fields };
}

/** Cluster option block for HTTP protocol settings. */
export function httpOptions(fields: EnvoyJson): EnvoyJson {
  return { [HTTP_OPTIONS]: typed(HTTP_OPTIONS, fields) };
}

/** A TCP address. */
export function socketAddress(address: string, port: number): EnvoyJson {
  return { socket_address: { address, port_value: port } };
}

/** A duration in Envoy's JSON form. */
export function seconds(value: number): string {
  return `${value}s`;
}

/** A fixed or resolved cluster of one endpoint. */
export function cluster(name: string, address: EnvoyJson, fields: EnvoyJson): EnvoyJson {
  return {
    name,
    type: "STATIC",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    ...fields,
  };
}

/** One exact path (query included) and method set, and where it goes. */
export interface ExactRoute {
  readonly path: string;
  /** Regular expression over the whole method. */
  readonly methods: string;
  readonly cluster: string;
  /** Path and query at the upstream; absent keeps the path. */
  readonly target?: string;
  /** 0 is without limit. */
  readonly timeoutSeconds: number;
  /**
   * Declare the response empty. The 200 that Envoy makes up for a bare TCP upstream would otherwise last until the
   * application hangs up, with the application's greeting as its body.
   */
  readonly empty?: boolean;
}

/** An HTTP listener that serves exactly the given paths and answers 404 to anything else. */
export interface ExactListener {
  readonly name: string;
  readonly port: number;
  /** Listen on `::` beside `0.0.0.0`. */
  readonly ipv6: boolean;
  readonly routes: readonly ExactRoute[];
  /** HTTP filters before the router. */
  readonly filters?: readonly EnvoyJson[];
}

/** Builds an {@link ExactListener}. */
export function exactListener(listener: ExactListener): EnvoyJson {
  const { name, port, ipv6 } = listener;
  return {
    name,
    address: socketAddress("0.0.0.0", port),
    ...(ipv6 ? { additional_addresses: [{ address: socketAddress("::", port) }] } : {}),
    // The kubelet must hear from a pod also when applications hold all connections that the sidecar allows.
    ignore_global_conn_limit: true,
    bypass_overload_manager: true,
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: connectionManager(listener),
          },
        ],
      },
    ],
  };
}

function connectionManager(listener: ExactListener): EnvoyJson {
  return typed(HCM, {
    stat_prefix: listener.name,
    codec_type: "AUTO",
    server_header_transformation: "PASS_THROUGH",
    normalize_path: true,
    merge_slashes: true,
    path_with_escaped_slashes_action: "REJECT_REQUEST",
    generate_request_id: false,
    skip_xff_append: true,
    request_headers_timeout: "10s",
    max_request_headers_kb: 16,
    common_http_protocol_options: { idle_timeout: "60s", headers_with_underscores_action: "ALLOW" },
    route_config: {
      name: listener.name,
      virtual_hosts: [{ name: listener.name, domains: ["*"], routes: listener.routes.map(exactRoute) }],
    },
    http_filters: [
      ...(listener.filters ?? []),
      { name: "envoy.filters.http.router", typed_config: typed(ROUTER, { suppress_envoy_headers: true }) },
    ],
  });
}

const NO_BODY = {
  header: { key: "content-length", value: "0" },
  append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
};

function exactRoute(route: ExactRoute): EnvoyJson {
  return {
    match: {
      path: route.path,
      headers: [
        // Unlike the path match above, this one sees the query too: nothing of the caller's reaches the application.
        { name: ":path", string_match: { exact: route.path } },
        { name: ":method", string_match: { safe_regex: { regex: route.methods } } },
      ],
    },
    route: {
      cluster: route.cluster,
      timeout: seconds(route.timeoutSeconds),
      ...(route.target === undefined ? {} : { prefix_rewrite: route.target }),
    },
    // The kubelet would follow a redirect to a path that is not served here; without the header a 3xx is a success,
    // as it is for redirects to other hosts.
    response_headers_to_remove: ["location"],
    ...(route.empty === true ? { response_headers_to_add: [NO_BODY] } : {}),
  };
}

/** Name of the cluster of a kubelet route. */
export function routeClusterName(route: KubeletRoute): string {
  return route.protocol === "grpc"
    ? `osm_grpc_probe|${route.targetPort}`
    : `osm_kubelet|${route.listenPort}${route.path}`;
}
