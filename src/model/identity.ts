/**
 * Workload identity. The only name that authorises is the SPIFFE URI
 * `spiffe://<trust domain>/ns/<namespace>/sa/<account>` (SPIFFE-ID specification §2); OSM's DNS name
 * `<sa>.<ns>.<trust domain>` is carried in certificates and never authorises.
 */
export interface ServiceIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Map key of an identity. `/` cannot occur in either part, so two identities never collide. */
export function identityKey(id: ServiceIdentity): string {
  return `${id.namespace}/${id.serviceAccount}`;
}

/** How the SPIFFE URIs of all workloads in a trust domain begin. */
export function workloadPrefix(trustDomain: string): string {
  return `spiffe://${trustDomain}/ns/`;
}

/** The SPIFFE URI of a workload in a trust domain. */
export function spiffeId(trustDomain: string, id: ServiceIdentity): string {
  return `spiffe://${trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
}

/**
 * The trust domain of the mesh; several, in the order of their roots, while a rotation leads from one to another: the same
 * workload has a name in each, and all of them count as the same.
 */
export type TrustDomain = string | readonly string[];

/** The trust domains, at least one. */
export function trustDomainsOf(trustDomain: TrustDomain): readonly string[] {
  return typeof trustDomain === "string" ? [trustDomain] : trustDomain;
}

/** All SPIFFE URIs that a workload may have, one for each trust domain. */
export function spiffeIds(trustDomain: TrustDomain, id: ServiceIdentity): readonly string[] {
  return trustDomainsOf(trustDomain).map(domain => spiffeId(domain, id));
}

/** OSM's DNS form, kept in certificates for compatibility with ingress controllers that match DNS names. */
export function osmDnsName(trustDomain: string, id: ServiceIdentity): string {
  return `${id.serviceAccount}.${id.namespace}.${trustDomain}`;
}

/**
 * Reads a workload SPIFFE URI back, or returns undefined when it is not one of `trustDomain`.
 * Parsed by path segments, never by dots (a ServiceAccount name may contain dots).
 */
export function parseSpiffeId(trustDomain: string, uri: string): ServiceIdentity | undefined {
  const prefix = `spiffe://${trustDomain}/`;
  if (!uri.startsWith(prefix)) return undefined;
  const [ns, namespace, sa, serviceAccount, ...rest] = uri.slice(prefix.length).split("/");
  if (ns !== "ns" || sa !== "sa" || rest.length > 0) return undefined;
  if (namespace === undefined || namespace === "") return undefined;
  if (serviceAccount === undefined || serviceAccount === "") return undefined;
  return { namespace, serviceAccount };
}
