import { PORT_HEALTHCHECK, PORT_LIVENESS, PORT_READINESS, PORT_STARTUP } from "../model/mesh-words";
import type { EnvoyJson, ExactRoute } from "./envoy-json";
import {
  cluster,
  exactListener,
  httpOptions,
  routeClusterName,
  seconds,
  socketAddress,
  typed,
} from "./envoy-json";
import type { KubeletRoute } from "./rewrite";

/** Path of the sidecar's own readiness on {@link PORT_HEALTHCHECK}. */
export const READY_PATH = "/ready";
/** Name of the cluster that reaches the administration socket. */
export const ADMIN_CLUSTER = "osm_admin";

const LISTENER_NAMES: ReadonlyMap<number, string> = new Map([
  [PORT_LIVENESS, "liveness_listener"],
  [PORT_READINESS, "readiness_listener"],
  [PORT_STARTUP, "startup_listener"],
  [PORT_HEALTHCHECK, "osm_kubelet_listener"],
]);

/** The kubelet sends GET only; HEAD is as harmless and what people try by hand. */
const READ_METHODS = "GET|HEAD";

/** Listeners for everything that the kubelet calls, including the sidecar's own readiness. */
export function kubeletListeners(routes: readonly KubeletRoute[], ipv6: boolean): EnvoyJson[] {
  const ports = [...new Set([PORT_HEALTHCHECK, ...routes.map(route => route.listenPort)])].sort(
    (a, b) => a - b,
  );
  return ports.map(port => {
    const served = routes.filter(route => route.listenPort === port);
    const own: ExactRoute[] =
      port === PORT_HEALTHCHECK
        ? [{ path: READY_PATH, methods: READ_METHODS, cluster: ADMIN_CLUSTER, timeoutSeconds: 1 }]
        : [];
    return exactListener({
      name: LISTENER_NAMES.get(port) ?? `grpc_probe_listener_${port}`,
      port,
      ipv6,
      routes: [...own, ...served.map(toExactRoute)],
    });
  });
}

function toExactRoute(route: KubeletRoute): ExactRoute {
  const name = routeClusterName(route);
  const { timeoutSeconds } = route;
  switch (route.protocol) {
    case "http":
    case "https":
      return { path: route.path, methods: READ_METHODS, cluster: name, target: route.target, timeoutSeconds };
    case "tcp":
      return {
        path: route.path,
        methods: READ_METHODS,
        cluster: name,
        timeoutSeconds,
        empty: true,
      };
    case "grpc":
      return { path: "/grpc.health.v1.Health/Check", methods: "POST", cluster: name, timeoutSeconds };
  }
}

/** Clusters of {@link kubeletListeners}, all on the pod's loopback. */
export function kubeletClusters(routes: readonly KubeletRoute[]): EnvoyJson[] {
  return routes.map(route =>
    cluster(routeClusterName(route), socketAddress("127.0.0.1", route.targetPort), {
      connect_timeout: seconds(route.timeoutSeconds === 0 ? 10 : route.timeoutSeconds),
      ...UPSTREAM[route.protocol],
    }),
  );
}

/** A connection for each probe, as the kubelet makes it: a kept one could be closed by the application meanwhile. */
const ONE_REQUEST = { common_http_protocol_options: { max_requests_per_connection: 1 } };
const HTTP1 = { explicit_http_config: { http_protocol_options: {} } };

/** The kubelet does not verify the certificate of an HTTPS probe, and neither does the sidecar in its place. */
const TLS_UNVERIFIED = {
  name: "envoy.transport_sockets.tls",
  typed_config: typed("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    common_tls_context: {
      tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
    },
  }),
};

const UPSTREAM: Readonly<Record<KubeletRoute["protocol"], EnvoyJson>> = {
  http: { typed_extension_protocol_options: httpOptions({ ...ONE_REQUEST, ...HTTP1 }) },
  https: {
    typed_extension_protocol_options: httpOptions({ ...ONE_REQUEST, ...HTTP1 }),
    transport_socket: TLS_UNVERIFIED,
  },
  tcp: {
    // The request becomes a bare TCP connection: 200 once it stands, 503 when it is refused or too slow.
    upstream_config: {
      name: "envoy.upstreams.http.tcp",
      typed_config: typed("envoy.extensions.upstreams.http.tcp.v3.TcpConnectionPoolProto"),
    },
  },
  grpc: {
    typed_extension_protocol_options: httpOptions({
      ...ONE_REQUEST,
      explicit_http_config: { http2_protocol_options: {} },
    }),
  },
};
