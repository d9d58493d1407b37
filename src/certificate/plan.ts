/** What to issue and for whom. Purposes that never stand in for each other. */
import { externalProxyUri, type ExternalProxyName } from "../model/external-proxy";
import { osmDnsName, spiffeId, type ServiceIdentity } from "../model/identity";

/**
 * Backdating of every certificate, milliseconds: an hour, by which a clock that was set in the wrong zone or season is off, and
 * five minutes. So nodes that are behind the control plane by that much take its certificates.
 */
export const BACKDATE_MS = 65 * 60_000;
/** Life of the built-in root: 10 years, in milliseconds. */
export const ROOT_VALIDITY_MS = 3650 * 86_400_000;
/** Longest common name X.520 allows. */
const MAX_COMMON_NAME = 64;
/** Longest DNS name. */
const MAX_DNS_NAME = 253;
const ORGANISATION = "Open Service Mesh";
/** Common name of OSM's root certificate. */
const ROOT_COMMON_NAME = "osm-ca.openservicemesh.io";

/** Everything in a certificate that is decided before keys and serial numbers exist. */
export interface CertificatePlan {
  readonly purpose: "workload" | "serving" | "control-plane" | "gateway" | "external" | "root";
  /** undefined: no common name. */
  readonly commonName: string | undefined;
  readonly organisation: string;
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
  /** Epoch milliseconds. */
  readonly notBefore: number;
  /** Epoch milliseconds. */
  readonly notAfter: number;
}

/** When a certificate is issued and how long it lives, milliseconds. */
export interface Lifetime {
  readonly now: number;
  readonly validityMs: number;
}

function commonName(name: string): string | undefined {
  return name.length <= MAX_COMMON_NAME ? name : undefined;
}

function validity({ now, validityMs }: Lifetime): Pick<CertificatePlan, "notBefore" | "notAfter"> {
  return { notBefore: now - BACKDATE_MS, notAfter: now + validityMs };
}

/**
 * A workload's certificate: exactly one URI name, the SPIFFE ID (X.509-SVID §2), which alone authorises, and OSM's DNS
 * name for ingress controllers that match DNS names.
 */
export function planWorkload(
  identity: ServiceIdentity,
  trustDomain: string,
  lifetime: Lifetime,
): CertificatePlan {
  const dnsName = osmDnsName(trustDomain, identity);
  return {
    purpose: "workload",
    commonName: commonName(dnsName),
    organisation: ORGANISATION,
    uris: [spiffeId(trustDomain, identity)],
    dnsNames: dnsName.length <= MAX_DNS_NAME ? [dnsName] : [],
    ...validity(lifetime),
  };
}

/** A certificate of the control plane's own servers; it has no URI name, so no workload accepts it as a peer. */
export function planServing(dnsNames: readonly string[], lifetime: Lifetime): CertificatePlan {
  const [first] = dnsNames;
  return {
    purpose: "serving",
    commonName: first === undefined ? undefined : commonName(first),
    organisation: ORGANISATION,
    uris: [],
    dnsNames,
    ...validity(lifetime),
  };
}

/**
 * A certificate with which pods of the control plane prove themselves to each other, as client and as server. It has no
 * URI name, so no workload accepts it, and a name of its own, so no certificate of a server stands in for it.
 */
export function planControlPlane(name: string, lifetime: Lifetime): CertificatePlan {
  return { ...planServing([name], lifetime), purpose: "control-plane" };
}

/**
 * The client certificate of an ingress controller outside the mesh. It has no URI name, so it is no workload's identity:
 * only what an ingress policy admits by these names takes it.
 */
export function planGateway(dnsNames: readonly string[], lifetime: Lifetime): CertificatePlan {
  return { ...planServing(dnsNames, lifetime), purpose: "gateway" };
}

/**
 * The client certificate by which the proxy of an ExternalWorkload proves itself to ADS, and nothing else. Its one name is no
 * SPIFFE ID and no DNS name, so no workload, server or ingress policy accepts it.
 */
export function planExternal(proxy: ExternalProxyName, lifetime: Lifetime): CertificatePlan {
  return {
    purpose: "external",
    commonName: undefined,
    organisation: ORGANISATION,
    uris: [externalProxyUri(proxy)],
    dnsNames: [],
    ...validity(lifetime),
  };
}

/** A root; `commonName`: by default that of OSM's. */
export function planRoot(now: number, commonName = ROOT_COMMON_NAME): CertificatePlan {
  return {
    purpose: "root",
    commonName,
    organisation: ORGANISATION,
    uris: [],
    dnsNames: [],
    ...validity({ now, validityMs: ROOT_VALIDITY_MS }),
  };
}
