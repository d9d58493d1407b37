/** Names and places inside an injected pod. Fixed: running pods keep the ones they were created with. */

/** Projected volume with all that the sidecar proves itself with and verifies the control plane by. */
export const VOLUME_IDENTITY = "osm-identity";
/** Memory volume for the administration socket. */
export const VOLUME_RUN = "osm-run";
/** Volumes that only the injector may declare. */
export const RESERVED_VOLUMES: readonly string[] = [VOLUME_IDENTITY, VOLUME_RUN];

/** Where {@link VOLUME_IDENTITY} is mounted in the sidecar. */
export const IDENTITY_DIRECTORY = "/var/run/secrets/openservicemesh.io";
/** Where {@link VOLUME_RUN} is mounted in the sidecar. */
export const RUN_DIRECTORY = "/var/run/osm";
/**
 * Kubernetes mounts the application's API token here in every container that has nothing at this path. The sidecar
 * and osm-init need no API access, so they mount something harmless instead.
 */
export const API_TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount";

/** File names in {@link VOLUME_IDENTITY}. */
export const FILE_TOKEN = "token";
/** SDS document that tells Envoy where the token is. */
export const FILE_TOKEN_SDS = "token-sds.json";
/** SDS document that tells Envoy where the control plane's root is. */
export const FILE_ROOT_SDS = "root-sds.json";
/** File names in the folder of an external proxy, beside those of the root: client certificate, its key, SDS document. */
export const FILE_CERTIFICATE = "client.crt";
/** See {@link FILE_CERTIFICATE}. */
export const FILE_KEY = "client.key";
/** See {@link FILE_CERTIFICATE}. */
export const FILE_CERTIFICATE_SDS = "client-sds.json";
/** Administration socket in {@link VOLUME_RUN}; mode 0600. */
export const FILE_ADMIN_SOCKET = "admin.sock";

/**
 * Annotations that carry the two SDS documents into the pod (by downward API): Envoy re-reads a rotated file only when
 * it learns of the file through SDS, and an SDS document must itself be a file.
 */
export const ANNOTATION_TOKEN_SDS = "openservicemesh.io/token-sds";
/** See {@link ANNOTATION_TOKEN_SDS}. */
export const ANNOTATION_ROOT_SDS = "openservicemesh.io/root-sds";

/** Names of the secrets in the SDS documents. */
export const SECRET_TOKEN = "ads-token";
/** See {@link SECRET_TOKEN}. */
export const SECRET_ROOT = "ads-root";
/** See {@link SECRET_TOKEN}; of external proxies. */
export const SECRET_CERTIFICATE = "ads-client";

/**
 * Environment variable of the sidecar with the handlers that were rewritten, as JSON. It marks a container as made by
 * the injector and travels with the pod spec, so that copies of a pod (`kubectl debug --copy-to`) can be taken back to
 * the original, also where labels and annotations were dropped.
 */
export const ENV_ORIGINALS = "OSM_ORIGINAL_HANDLERS";

/** First port given to a listener for gRPC probes; gRPC probes have no path that could tell them apart. */
export const FIRST_GRPC_PROBE_PORT = 15911;
/** Last port for gRPC probes. */
export const LAST_GRPC_PROBE_PORT = 15999;

/** Lifetime of the projected token, seconds; the kubelet renews it at 80 %. */
export const TOKEN_SECONDS = 3600;

/** Escapes `$` so that the kubelet's `$(VAR)` expansion of commands, arguments and values gives back `text`. */
export function escapeExpansion(text: string): string {
  return text.replaceAll("$", "$$$$");
}

/** Reads back what {@link escapeExpansion} wrote. */
export function unescapeExpansion(text: string): string {
  return text.replaceAll("$$", "$");
}
