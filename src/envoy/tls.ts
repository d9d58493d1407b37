import { MESH_ALPN, SDS_PEERS, SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../model/mesh-words";
import { spiffeIds, trustDomainsOf, type ServiceIdentity, type TrustDomain } from "../model/identity";
import type { Permission, TlsParameters, UpstreamClusterLeaf } from "../policy/types";
import { pack } from "./any";
import { ADS } from "./config-source";
import type { TransportSocket } from "./api/generated/envoy/config/core/v3/base";
import {
  type CertificateValidationContext,
  SubjectAltNameMatcher_SanType,
  type SubjectAltNameMatcher,
  TlsParameters_TlsProtocol,
  type TlsParameters as EnvoyTlsParameters,
} from "./api/generated/envoy/extensions/transport_sockets/tls/v3/common";
import {
  type CommonTlsContext,
  DownstreamTlsContext,
  UpstreamTlsContext,
} from "./api/generated/envoy/extensions/transport_sockets/tls/v3/tls";

const VERSIONS = {
  TLSv1_0: TlsParameters_TlsProtocol.TLSv1_0,
  TLSv1_1: TlsParameters_TlsProtocol.TLSv1_1,
  TLSv1_2: TlsParameters_TlsProtocol.TLSv1_2,
  TLSv1_3: TlsParameters_TlsProtocol.TLSv1_3,
} as const;

/**
 * TLS versions and ciphers. Both ends of the range are always written, because Envoy's own "auto" tops out at 1.2 for
 * clients and at 1.3 for servers; automatic means 1.2 to 1.3 here.
 */
function parameters(tls: TlsParameters): EnvoyTlsParameters {
  return {
    tlsMinimumProtocolVersion: VERSIONS[tls.minVersion === "TLS_AUTO" ? "TLSv1_2" : tls.minVersion],
    tlsMaximumProtocolVersion: VERSIONS[tls.maxVersion === "TLS_AUTO" ? "TLSv1_3" : tls.maxVersion],
    cipherSuites: [...tls.cipherSuites],
    ecdhCurves: [...tls.ecdhCurves],
  };
}

function exactUri(uri: string): SubjectAltNameMatcher {
  return {
    sanType: SubjectAltNameMatcher_SanType.URI,
    matcher: { matchPattern: { $case: "exact", value: uri } },
  };
}

/** The given identities and nobody else. An empty list to Envoy means "anybody", so it becomes a name nobody can have. */
function exactly(trustDomain: TrustDomain, identities: readonly ServiceIdentity[]): SubjectAltNameMatcher[] {
  if (identities.length === 0)
    return trustDomainsOf(trustDomain).map(domain => exactUri(`spiffe://${domain}/nobody`));
  return identities.flatMap(identity => spiffeIds(trustDomain, identity).map(exactUri));
}

function ownContext(tls: TlsParameters): CommonTlsContext {
  return {
    tlsParams: parameters(tls),
    tlsCertificateSdsSecretConfigs: [{ name: SDS_SERVICE_CERT, sdsConfig: ADS }],
  };
}

/** Peers with one of these names alone. */
function namedContext(tls: TlsParameters, peers: SubjectAltNameMatcher[]): CommonTlsContext {
  const rules: CertificateValidationContext = { matchTypedSubjectAltNames: peers };
  return {
    ...ownContext(tls),
    validationContextType: {
      $case: "combinedValidationContext",
      value: {
        defaultValidationContext: rules,
        validationContextSdsSecretConfig: { name: SDS_ROOT_CERT, sdsConfig: ADS },
      },
    },
  };
}

/**
 * Any workload of the mesh: certificates of the control plane and of webhooks carry no such name. The names come with the
 * roots, so another trust domain ends no connection.
 */
function anyWorkload(tls: TlsParameters): CommonTlsContext {
  return {
    ...ownContext(tls),
    validationContextType: {
      $case: "validationContextSdsSecretConfig",
      value: { name: SDS_PEERS, sdsConfig: ADS },
    },
  };
}

/** Mutual TLS towards another workload; only the given server identities are talked to. */
export function upstreamTls(leaf: UpstreamClusterLeaf): TransportSocket {
  const context: UpstreamTlsContext = {
    commonTlsContext: {
      ...namedContext(leaf.tls, exactly(leaf.trustDomain, leaf.serverIdentities)),
      alpnProtocols: [MESH_ALPN],
    },
    sni: leaf.sni,
    // The server does not resume sessions (see inboundTls), so keeping them would be waste.
    maxSessionKeys: 0,
  };
  return socket(pack(UpstreamTlsContext, context));
}

/** Whose certificates complete a handshake. What cannot be decided there lets nobody in; so will a kind to come. */
function peersOf(trustDomain: TrustDomain, tls: TlsParameters, permission: Permission): CommonTlsContext {
  switch (permission.kind) {
    case "allow":
      return namedContext(tls, exactly(trustDomain, permission.identities));
    case "any-mesh-identity":
    case "anyone":
      return anyWorkload(tls);
    case "grants":
    case "principals":
      return namedContext(tls, exactly(trustDomain, []));
  }
}

/**
 * Mutual TLS from other workloads; `permission` decides which certificates complete the handshake.
 * The server does not answer the client's ALPN: an answered `osm` would keep Envoy from recognising HTTP/2 by its preface.
 * Sessions are never resumed: a resumed session would skip the check of the client's certificate.
 */
export function inboundTls(
  trustDomain: TrustDomain,
  tls: TlsParameters,
  permission: Permission,
): TransportSocket {
  const context: DownstreamTlsContext = {
    commonTlsContext: peersOf(trustDomain, tls, permission),
    requireClientCertificate: true,
    sessionTicketKeysType: { $case: "disableStatelessSessionResumption", value: true },
    disableStatefulSessionResumption: true,
  };
  return socket(pack(DownstreamTlsContext, context));
}

/**
 * TLS from outside of the mesh (an ingress controller), with this workload's certificate. A client's certificate, where it
 * is wanted, must be of the mesh's authority; whose it is, the rules look at. HTTP/2 is offered.
 */
export function ingressTls(tls: TlsParameters, verifyClient: boolean): TransportSocket {
  const context: DownstreamTlsContext = {
    commonTlsContext: {
      ...ownContext(tls),
      alpnProtocols: ["h2", "http/1.1"],
      ...(verifyClient
        ? {
            validationContextType: {
              $case: "validationContextSdsSecretConfig",
              value: { name: SDS_ROOT_CERT, sdsConfig: ADS },
            },
          }
        : {}),
    },
    requireClientCertificate: verifyClient,
    sessionTicketKeysType: { $case: "disableStatelessSessionResumption", value: true },
    disableStatefulSessionResumption: true,
  };
  return socket(pack(DownstreamTlsContext, context));
}

function socket(typedConfig: ReturnType<typeof pack>): TransportSocket {
  return {
    name: "envoy.transport_sockets.tls",
    configType: { $case: "typedConfig", value: typedConfig },
  };
}
