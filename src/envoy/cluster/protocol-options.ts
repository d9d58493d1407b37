import { pack } from "../any";
import type { Cluster } from "../api/generated/envoy/config/cluster/v3/cluster";
import { HttpProtocolOptions } from "../api/generated/envoy/extensions/upstreams/http/v3/http_protocol_options";
import { milliseconds } from "../duration";
import { HTTP2_LIMITS } from "../http-limits";

type Extensions = Pick<Cluster, "typedExtensionProtocolOptions">;

function options(value: HttpProtocolOptions): Extensions {
  return {
    typedExtensionProtocolOptions: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": pack(HttpProtocolOptions, value),
    },
  };
}

/** How long connections of HTTP are used. */
export interface ConnectionUse {
  /** Connections without a request are closed after this; absent: Envoy's hour. */
  readonly idleTimeoutMs?: number | undefined;
  /** Absent: as many as come. */
  readonly maxRequests?: number | undefined;
}

function use({ idleTimeoutMs, maxRequests }: ConnectionUse): HttpProtocolOptions {
  if (idleTimeoutMs === undefined && maxRequests === undefined) return {};
  return {
    commonHttpProtocolOptions: {
      ...(idleTimeoutMs === undefined ? {} : { idleTimeout: milliseconds(idleTimeoutMs) }),
      ...(maxRequests === undefined ? {} : { maxRequestsPerConnection: maxRequests }),
    },
  };
}

/** HTTP/1.1 stays HTTP/1.1 and HTTP/2 (so gRPC) stays HTTP/2, over TLS or not, whatever ALPN says. */
export function sameAsDownstream(connections: ConnectionUse = {}): Extensions {
  return options({
    ...use(connections),
    upstreamProtocolOptions: {
      $case: "useDownstreamProtocolConfig",
      value: { httpProtocolOptions: {}, http2ProtocolOptions: HTTP2_LIMITS },
    },
  });
}

/** Always HTTP/2 with prior knowledge: what a gRPC server expects. */
export function alwaysHttp2(connections: ConnectionUse = {}): Extensions {
  return options({
    ...use(connections),
    upstreamProtocolOptions: {
      $case: "explicitHttpConfig",
      value: { protocolConfig: { $case: "http2ProtocolOptions", value: HTTP2_LIMITS } },
    },
  });
}
