/** Meanings that neither a schema nor a type says: `Kind field` → sentence. A key that is no field fails the generator. */
export const WORDS: Readonly<Record<string, string>> = {
  "Egress spec.sources": "Who may leave: accounts of the Egress' own namespace.",
  "Egress spec.hosts":
    "Hosts of HTTP and server names of TLS; `*.` in front stands for any name below. The port decides which.",
  "Egress spec.ports[].number": "The port that is called.",
  "ExtensionService spec.host": "A Service of the cluster, or any name or address.",
  "HTTPRouteGroup spec.matches":
    "Named groups of requests; a request belongs to one that it fits in every part.",
  "HTTPRouteGroup spec.matches[].methods": "Methods of HTTP; none, or `*`, means all.",
  "HTTPRouteGroup matches": "As `spec.matches`, where old versions had it.",
  "IdentityBinding spec.schemes": "Who is meant.",
  "IdentityBinding spec.schemes.podLabelSelector": "Pods of the namespace, by their labels.",
  "IdentityBinding spec.schemes.serviceAccount": "An account of the namespace.",
  "IngressBackend spec.backends": "What is opened: Services of the namespace.",
  "IngressBackend spec.backends[].tls.skipClientCertValidation":
    "The gateway needs no certificate of the mesh.",
  "IngressBackend spec.backends[].tls.sniHosts": "Server names that the gateway may ask for; none: any.",
  "IngressBackend spec.sources": "Who may call; addresses and certificates have to fit both.",
  "IngressBackend spec.matches": "HTTPRouteGroups of the namespace that bound the requests; none: all.",
  "MeshConfig spec.sidecar.tlsMinProtocolVersion": "Lowest TLS version between sidecars.",
  "MeshConfig spec.sidecar.tlsMaxProtocolVersion": "Highest TLS version between sidecars.",
  "MeshConfig spec.sidecar.cipherSuites":
    "Suites of TLS 1.2 with a certificate, by Envoy's name or IANA's, several that are equally good as `[a|b]`; none: Envoy's own. Keys are ECDSA, so one with ECDSA has to be among them. TLS 1.3 has its own, which cannot be chosen.",
  "MeshConfig spec.sidecar.ecdhCurves":
    "Curves, each once: X25519, P-256, P-384, P-521, X25519MLKEM768, MLKEM1024 (also x25519, prime256v1, secp384r1, secp521r1); none: Envoy's own.",
  "MeshConfig spec.traffic.outboundIPRangeExclusionList":
    "Destinations that new pods reach without their sidecar.",
  "MeshConfig spec.traffic.outboundIPRangeInclusionList":
    "If any: only these go through the sidecar of new pods.",
  "MeshConfig spec.traffic.outboundPortExclusionList": "Ports that new pods call without their sidecar.",
  "MeshConfig spec.traffic.inboundPortExclusionList":
    "Ports of new pods that are called without their sidecar.",
  "MeshConfig spec.traffic.networkInterfaceExclusionList":
    "Interfaces of new pods that the sidecar leaves alone.",
  "MeshConfig spec.traffic.inboundExternalAuthorization":
    "A server that is asked about each request, in every sidecar.",
  "MeshConfig spec.traffic.inboundExternalAuthorization.address": "Its host.",
  "MeshConfig spec.traffic.inboundExternalAuthorization.timeout": "How long its answer is waited for.",
  "MeshConfig spec.observability.tracing.address": "Host of the collector.",
  "MeshConfig spec.observability.tracing.endpoint": "Path of the collector; not used for OTLP.",
  "MeshRootCertificate spec.provider.tresor": "A CA in a Secret.",
  "MeshRootCertificate spec.provider.vault": "The PKI engine of HashiCorp Vault.",
  "MeshRootCertificate spec.provider.vault.role": "Role that signs.",
  "MeshRootCertificate spec.provider.vault.token": "Where the token is kept.",
  "MeshRootCertificate spec.provider.certManager": "An issuer of cert-manager.",
  "Retry spec.source": "Whose requests are repeated: an account of the Retry's own namespace.",
  "Retry spec.destinations": "Services to which they are repeated.",
  "Retry spec.retryPolicy.perTryTimeout": "How long each try may take.",
  "TrafficSplit spec.backends": "Who gets requests instead of the root Service.",
  "TrafficTarget spec.destination":
    "Who is called: an account or IdentityBinding of the TrafficTarget's own namespace.",
  "TrafficTarget spec.rules": "Requests that are allowed; none allows nothing.",
  "TrafficTarget spec.rules[].matches": "Names of matches of the group; none: all of them.",
  "TrafficTarget spec.sources": "Who may call.",
  "UpstreamTrafficSetting spec.connectionSettings": "Bounds that each caller's sidecar keeps.",
  "UpstreamTrafficSetting spec.connectionSettings.tcp.maxConnections": "Connections that a sidecar opens.",
  "UpstreamTrafficSetting spec.connectionSettings.tcp.connectTimeout":
    "How long a connection may take to stand.",
  "UpstreamTrafficSetting spec.connectionSettings.http.maxRequests": "Requests of a sidecar at a time.",
  "UpstreamTrafficSetting spec.connectionSettings.http.maxPendingRequests":
    "Requests of a sidecar that wait for a connection.",
  "UpstreamTrafficSetting spec.connectionSettings.http.maxRetries":
    "Repeated requests of a sidecar at a time.",
  "UpstreamTrafficSetting spec.connectionSettings.http.maxRequestsPerConnection":
    "After so many a connection is closed; 0: never.",
  "UpstreamTrafficSetting spec.rateLimit.local": "Kept by each pod of the server for itself.",
  "UpstreamTrafficSetting spec.rateLimit.local.tcp": "New connections in a time.",
  "UpstreamTrafficSetting spec.rateLimit.local.http": "Requests in a time.",
  "UpstreamTrafficSetting spec.rateLimit.local.http.burst": "So many more at once.",
  "UpstreamTrafficSetting spec.rateLimit.local.http.responseHeadersToAdd": "Headers of the refusal.",
  "UpstreamTrafficSetting spec.rateLimit.global": "Asked of a server of Envoy's rate limit protocol.",
};
