/**
 * The name by which a proxy outside of the cluster proves itself to the control plane: of one ExternalWorkload, that very
 * object. It is no SPIFFE ID, so no workload and no server takes a certificate with it for anybody.
 */

const PREFIX = "urn:openservicemesh:external-proxy";

/** Which ExternalWorkload a proxy belongs to. */
export interface ExternalProxyName {
  readonly namespace: string;
  readonly name: string;
  /** `metadata.uid`: an object that was deleted and made again is another one. */
  readonly uid: string;
}

/** The URI in the client certificate. `:` cannot occur in any part, so two proxies never share one. */
export function externalProxyUri({ namespace, name, uid }: ExternalProxyName): string {
  return `${PREFIX}:${namespace}:${name}:${uid}`;
}

/** Reads such a URI back; undefined when it is none. */
export function parseExternalProxyUri(uri: string): ExternalProxyName | undefined {
  const prefix = `${PREFIX}:`;
  if (!uri.startsWith(prefix)) return undefined;
  const [namespace, name, uid, ...rest] = uri.slice(prefix.length).split(":");
  if (!namespace || !name || !uid || rest.length > 0) return undefined;
  return { namespace, name, uid };
}
