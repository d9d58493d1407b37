/** The least that two Envoys need for mutual TLS between them: written by hand, static, with nothing that a mesh adds. */
import type { JsonObject } from "@bufbuild/protobuf";
import { PORT_INBOUND, PORT_OUTBOUND } from "../../src/model/mesh-words";
import type { IssuedPair } from "../../src/runtime/issuers/issuer";

const TYPE = "type.googleapis.com/envoy.extensions";
const TLS = "transport_sockets.tls.v3";

/** What one of the two is made of. */
export interface MinimalSide {
  readonly certificate: IssuedPair;
  /** PEM of the root of both. */
  readonly root: string;
  readonly admin: string;
  /** Where requests go. */
  readonly to: { readonly address: string; readonly port: number };
}

function tlsContext(kind: "Upstream" | "Downstream", { certificate, root }: MinimalSide): JsonObject {
  const version = "TLSv1_3";
  const common = {
    tlsParams: { tlsMinimumProtocolVersion: version, tlsMaximumProtocolVersion: version },
    tlsCertificates: [
      {
        certificateChain: { inlineString: certificate.certPem },
        privateKey: { inlineString: certificate.keyPem },
      },
    ],
    validationContext: { trustedCa: { inlineString: root } },
  };
  return {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": `${TYPE}.${TLS}.${kind}TlsContext`,
      commonTlsContext: common,
      ...(kind === "Downstream" ? { requireClientCertificate: true } : {}),
    },
  };
}

function forwarding(): JsonObject {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typedConfig: {
      "@type": `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      statPrefix: "minimal",
      routeConfig: {
        virtualHosts: [
          { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "to" } }] },
        ],
      },
      httpFilters: [
        {
          name: "envoy.filters.http.router",
          typedConfig: { "@type": `${TYPE}.filters.http.router.v3.Router` },
        },
      ],
    },
  };
}

/** Bootstrap of the caller's or of the server's Envoy, at the port to which its pod's traffic is redirected. */
export function minimalBootstrap(role: "caller" | "server", side: MinimalSide): JsonObject {
  const isCaller = role === "caller";
  const { address, port } = side.to;
  const chain: JsonObject = {
    filters: [forwarding()],
    ...(isCaller ? {} : { transportSocket: tlsContext("Downstream", side) }),
  };
  const portValue = isCaller ? PORT_OUTBOUND : PORT_INBOUND;
  const listener: JsonObject = {
    name: role,
    address: { socketAddress: { address: "0.0.0.0", portValue } },
    filterChains: [chain],
  };
  const endpoint = { endpoint: { address: { socketAddress: { address, portValue: port } } } };
  const cluster: JsonObject = {
    name: "to",
    type: "STATIC",
    connectTimeout: "1s",
    loadAssignment: { clusterName: "to", endpoints: [{ lbEndpoints: [endpoint] }] },
    ...(isCaller ? { transportSocket: tlsContext("Upstream", side) } : {}),
  };
  return {
    admin: { address: { pipe: { path: side.admin, mode: 0o777 } } },
    staticResources: { listeners: [listener], clusters: [cluster] },
  };
}
