/** Names and numbers that users, manifests and tools of Open Service Mesh rely on; never renamed. */

/** Label on a Namespace: name of the mesh it belongs to. */
export const LABEL_MONITORED_BY = "openservicemesh.io/monitored-by";
/** Label on a Namespace: its presence keeps the namespace out of injection. */
export const LABEL_IGNORE = "openservicemesh.io/ignore";
/** Annotation on Namespace and Pod: enabled/yes/true or disabled/no/false. */
export const ANNOTATION_INJECTION = "openservicemesh.io/sidecar-injection";
/** Annotation on a Namespace: new pods get Prometheus annotations. */
export const ANNOTATION_METRICS = "openservicemesh.io/metrics";
/** Annotation on a Namespace: permissive mode of its pods as destinations, over what MeshConfig says. */
export const ANNOTATION_PERMISSIVE = "openservicemesh.io/permissive-traffic-policy-mode";
/** Annotation on a Namespace: its pods also take plaintext from callers without a sidecar, during migration. */
export const ANNOTATION_INBOUND_PLAINTEXT = "openservicemesh.io/inbound-plaintext";
/** Annotation on a Pod: `<namespace>/<ExtensionService>` that is asked for its inbound HTTP requests, or `disabled`. */
export const ANNOTATION_EXTERNAL_AUTHORIZATION = "openservicemesh.io/external-authorization";
export const ANNOTATION_OUTBOUND_PORT_EXCLUSION = "openservicemesh.io/outbound-port-exclusion-list";
export const ANNOTATION_INBOUND_PORT_EXCLUSION = "openservicemesh.io/inbound-port-exclusion-list";
export const ANNOTATION_OUTBOUND_IP_EXCLUSION = "openservicemesh.io/outbound-ip-range-exclusion-list";
export const ANNOTATION_OUTBOUND_IP_INCLUSION = "openservicemesh.io/outbound-ip-range-inclusion-list";
/**
 * Annotation the injector puts on a pod it cannot inject: the reason, which the admission policy then refuses the pod with.
 * It never reaches storage where that policy is in force.
 */
export const ANNOTATION_REFUSED = "openservicemesh.io/injection-refused";
/** Annotation of the webhook's Secret: {@link ROTATE_WEBHOOK_NOW} asks for another CA; taken away when that is done. */
export const ROTATE_WEBHOOK_ANNOTATION = "openservicemesh.io/rotate-webhook-ca";
/** The only value of {@link ROTATE_WEBHOOK_ANNOTATION}. */
export const ROTATE_WEBHOOK_NOW = "now";
/** Annotation of the webhook's Secret in which the mesh says how far the replacement of the CA is. */
export const WEBHOOK_CA_ANNOTATION = "openservicemesh.io/webhook-ca";
/** Label the injector puts on a pod (OSM compatibility; never used for identity). */
export const LABEL_PROXY_UUID = "osm-proxy-uuid";

export const DEFAULT_MESH_NAME = "osm";
/** Namespace of MeshConfig, MeshRootCertificate, the CA and webhook Secrets. */
export const DEFAULT_OSM_NAMESPACE = "osm-system";
/** Namespace of Pepr's Deployments and of what must select their pods. */
export const PEPR_NAMESPACE = "pepr-system";
export const MESH_CONFIG_NAME = "osm-mesh-config";
export const CA_SECRET_NAME = "osm-ca-bundle";
/** ConfigMap in every mesh namespace with the root that verifies the ADS server. */
export const CA_ROOT_CONFIGMAP = "osm-ca-root-cert";
/** Key of {@link CA_ROOT_CONFIGMAP}. */
export const CA_ROOT_KEY = "ca.crt";
/** Audience of the projected service-account token that proves a proxy's identity to ADS. */
export const TOKEN_AUDIENCE = "osm-mesh";
export const ADS_SERVICE = "osm-controller";
export const ADS_PORT = 15128;
/** How long a sidecar waits for a connection to the control plane, its TLS handshake included, before it tries again, milliseconds. */
export const SIDECAR_CONNECT_TIMEOUT_MS = 2_000;
/** The only name the ADS server's certificate is verified against. */
export const ADS_SAN = `${ADS_SERVICE}.${PEPR_NAMESPACE}.svc`;
/** Port of the read-only API, in the pod that writes. */
export const API_PORT = 15130;
/** ServiceAccount of {@link PEPR_NAMESPACE} whose tokens the read-only API takes; it has no rights at all. */
export const VIEWER_ACCOUNT = "osm-viewer";
/** Audience of those tokens. */
export const API_AUDIENCE = "osm-api";
export const DEFAULT_TRUST_DOMAIN = "cluster.local";

export const SIDECAR_CONTAINER = "envoy";
export const INIT_CONTAINER = "osm-init";
/**
 * Environment variable of {@link INIT_CONTAINER}: the pod's excluded inbound ports as its redirect rules really have them,
 * separated by commas; absent: none. What MeshConfig and the pod's annotation say may have changed since.
 */
export const ENV_INBOUND_EXCLUDED_PORTS = "INBOUND_EXCLUDED_PORTS";
/** uid (and gid) of the sidecar; traffic of this uid is not redirected. */
export const SIDECAR_UID = 1500;

export const PORT_ADMIN = 15000;
export const PORT_OUTBOUND = 15001;
export const PORT_INBOUND = 15003;
export const PORT_METRICS = 15010;
/** Path at {@link PORT_METRICS} with what the control plane shows of requests, a small part of all metrics. */
export const PATH_REQUESTS = "/stats/requests";
export const PORT_LIVENESS = 15901;
export const PORT_READINESS = 15902;
export const PORT_STARTUP = 15903;
export const PORT_HEALTHCHECK = 15904;
/** All ports the sidecar reserves in a pod. */
export const RESERVED_PORTS: readonly number[] = [
  PORT_ADMIN,
  PORT_OUTBOUND,
  PORT_INBOUND,
  PORT_METRICS,
  PORT_LIVENESS,
  PORT_READINESS,
  PORT_STARTUP,
  PORT_HEALTHCHECK,
];

/** ALPN protocol that mesh clients offer and inbound chains require. */
export const MESH_ALPN = "osm";
/** SDS name of the roots by which clients verify servers. */
export const SDS_ROOT_CERT = "root-cert-for-mtls";
/**
 * SDS name of what servers accept of any workload: the roots, and the trust domains of its name. Both change without a change
 * of a listener, which would end connections.
 */
export const SDS_PEERS = "root-cert-for-mtls-inbound";
/**
 * SDS name of the proxy's own workload certificate. Constant, because a stream only ever receives the certificate of
 * the identity it has proven; so clusters and listeners are the same bytes for every identity.
 */
export const SDS_SERVICE_CERT = "service-cert";
