import { pack, type Encoder } from "../../src/envoy/any";
import { ADS } from "../../src/envoy/config-source";
import {
  Cluster,
  Cluster_DiscoveryType,
} from "../../src/envoy/api/generated/envoy/config/cluster/v3/cluster";
import type { TransportSocket } from "../../src/envoy/api/generated/envoy/config/core/v3/base";
import type { Address } from "../../src/envoy/api/generated/envoy/config/core/v3/address";
import { ClusterLoadAssignment } from "../../src/envoy/api/generated/envoy/config/endpoint/v3/endpoint";
import { Listener } from "../../src/envoy/api/generated/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "../../src/envoy/api/generated/envoy/config/route/v3/route";
import { Router } from "../../src/envoy/api/generated/envoy/extensions/filters/http/router/v3/router";
import { HttpConnectionManager } from "../../src/envoy/api/generated/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager";
import { TcpProxy } from "../../src/envoy/api/generated/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy";
import {
  DownstreamTlsContext,
  UpstreamTlsContext,
} from "../../src/envoy/api/generated/envoy/extensions/transport_sockets/tls/v3/tls";
import { inboundTls } from "../../src/envoy/tls";
import { SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../src/model/mesh-words";
import type { ObjectRef } from "../../src/model/object-ref";
import { TYPE_URLS, type EncodedResource, type TypeUrl } from "../../src/xds/resource";
import { encodeFragment } from "../../src/xds/wire";
import { ANYBODY, TLS_13 } from "./mesh-leaves";

function encoded<T>(type: Encoder<T>, typeUrl: TypeUrl, name: string, message: T): EncodedResource {
  const body = type.encode(message).finish();
  const version = Buffer.from(body).toString("base64url").slice(-24);
  const resource = { typeUrl, name, version, body };
  return { ...resource, fragment: encodeFragment(resource), origins: [] };
}

function loopback(port: number): Address {
  return {
    address: {
      $case: "socketAddress",
      value: { address: "127.0.0.1", portSpecifier: { $case: "portValue", value: port } },
    },
  };
}

/** A cluster with endpoints from EDS. Without `eds`, Envoy refuses it. */
export function edsCluster(
  name: string,
  connectSeconds: number,
  options: { readonly eds?: boolean; readonly origins?: readonly ObjectRef[] } = {},
): EncodedResource {
  const resource = encoded(Cluster, TYPE_URLS.cluster, name, {
    name,
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.EDS },
    connectTimeout: { seconds: connectSeconds, nanos: 0 },
    ...((options.eds ?? true) ? { edsClusterConfig: { edsConfig: ADS } } : {}),
  });
  return { ...resource, origins: options.origins ?? [] };
}

/** A cluster with endpoints from EDS that are called with mutual TLS, each connection by a handshake of its own. */
export function tlsCluster(name: string): EncodedResource {
  const context = pack(UpstreamTlsContext, {
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: [{ name: SDS_SERVICE_CERT, sdsConfig: ADS }],
      validationContextType: {
        $case: "validationContextSdsSecretConfig",
        value: { name: SDS_ROOT_CERT, sdsConfig: ADS },
      },
    },
    maxSessionKeys: 0,
  });
  return encoded(Cluster, TYPE_URLS.cluster, name, {
    name,
    clusterDiscoveryType: { $case: "type", value: Cluster_DiscoveryType.EDS },
    connectTimeout: { seconds: 20, nanos: 0 },
    edsClusterConfig: { edsConfig: ADS },
    transportSocket: { name: "tls", configType: { $case: "typedConfig", value: context } },
  });
}

/** A listener on loopback that forwards bytes to a cluster. */
export function tcpListener(name: string, port: number, cluster: string): EncodedResource {
  const proxy = { statPrefix: "test", clusterSpecifier: { $case: "cluster", value: cluster } } as const;
  const filter = { name: "tcp", configType: { $case: "typedConfig", value: pack(TcpProxy, proxy) } } as const;
  return encoded(Listener, TYPE_URLS.listener, name, {
    name,
    address: loopback(port),
    filterChains: [{ filters: [filter] }],
  });
}

/** One endpoint on loopback. */
export function loopbackEndpoint(name: string, port: number): EncodedResource {
  return encoded(ClusterLoadAssignment, TYPE_URLS.endpoint, name, {
    clusterName: name,
    endpoints: [
      {
        locality: { region: "test" },
        loadBalancingWeight: 1,
        lbEndpoints: [{ hostIdentifier: { $case: "endpoint", value: { address: loopback(port) } } }],
      },
    ],
  });
}

/** As the product does it for workloads of any name: TLS 1.3, and whose certificate it is counts. */
export function meshListener(name: string, port: number, cluster: string): EncodedResource {
  return listenerWith({ name, port, cluster }, inboundTls("cluster.local", TLS_13, ANYBODY));
}

/** A listener on loopback that ends mutual TLS with the workload's own certificate and forwards bytes to a cluster. */
export function tlsListener(name: string, port: number, cluster: string): EncodedResource {
  const context = pack(DownstreamTlsContext, {
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: [{ name: SDS_SERVICE_CERT, sdsConfig: ADS }],
      validationContextType: {
        $case: "validationContextSdsSecretConfig",
        value: { name: SDS_ROOT_CERT, sdsConfig: ADS },
      },
    },
    requireClientCertificate: true,
  });
  return listenerWith(
    { name, port, cluster },
    { name: "tls", configType: { $case: "typedConfig", value: context } },
  );
}

function listenerWith(
  { name, port, cluster }: { readonly name: string; readonly port: number; readonly cluster: string },
  transportSocket: TransportSocket,
): EncodedResource {
  const proxy = { statPrefix: "test", clusterSpecifier: { $case: "cluster", value: cluster } } as const;
  return encoded(Listener, TYPE_URLS.listener, name, {
    name,
    address: loopback(port),
    filterChains: [
      {
        filters: [{ name: "tcp", configType: { $case: "typedConfig", value: pack(TcpProxy, proxy) } }],
        transportSocket,
      },
    ],
  });
}

/** A listener for gRPC's own client: a name that it resolves to a route table. */
export function apiListener(name: string, routes: string): EncodedResource {
  const router = { name: "router", configType: { $case: "typedConfig", value: pack(Router, {}) } } as const;
  const manager = pack(HttpConnectionManager, {
    statPrefix: "api",
    routeSpecifier: { $case: "rds", value: { routeConfigName: routes, configSource: ADS } },
    httpFilters: [router],
  });
  return encoded(Listener, TYPE_URLS.listener, name, { name, apiListener: { apiListener: manager } });
}

/** A route table that splits all requests by weight. */
export function weightedRoutes(name: string, weights: Readonly<Record<string, number>>): EncodedResource {
  const clusters = Object.entries(weights).map(([cluster, weight]) => ({ name: cluster, weight }));
  return encoded(RouteConfiguration, TYPE_URLS.route, name, {
    name,
    virtualHosts: [
      {
        name,
        domains: ["*"],
        routes: [
          {
            match: { pathSpecifier: { $case: "prefix", value: "" } },
            action: {
              $case: "route",
              value: { clusterSpecifier: { $case: "weightedClusters", value: { clusters } } },
            },
          },
        ],
      },
    ],
  });
}
