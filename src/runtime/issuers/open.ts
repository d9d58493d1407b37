/** From a MeshRootCertificate's provider to who issues. */
import { createHash } from "node:crypto";
import { IssuerError, type Signer } from "../../certificate/issuer";
import { Secret } from "../../model/secret";
import type { KubeClient } from "../kube";
import type { Clock, Log } from "../ports";
import { certManagerSigner } from "./cert-manager";
import type { Issuer, OpenIssuer, Provider } from "./issuer";
import { openRemote } from "./remote";
import { openSecret, readSecret } from "./secret";
import { vaultSigner } from "./vault";

/** What issuers are opened with. */
export interface OpenIssuerOptions {
  readonly kube: KubeClient;
  /** The control plane's namespace: Secrets and CertificateRequests are there. */
  readonly osmNamespace: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Trust domain of the mesh: for others, issuers are told apart by it. */
  readonly trustDomain: string;
  /** Longest time for one certificate of an issuer elsewhere, milliseconds. Default 10,000. */
  readonly deadlineMs?: number;
}

/** So that an issuer that is back has issued within 30 s: one try that waits in vain, one pause, one that does not. */
const DEADLINE_MS = 10_000;
/** Account in the throw-away certificate of a probe. */
const PROBE_ACCOUNT = "osm-issuer-probe";
/** Key of a Vault token's Secret with what verifies Vault's server certificate. */
const VAULT_CA_KEY = "ca.crt";

function vaultOf(vault: NonNullable<Provider["vault"]>, options: OpenIssuerOptions): Signer {
  const { name, namespace, key } = vault.token.secretKeyRef;
  return vaultSigner(vault, async () => {
    const values = await readSecret(options, { name, namespace });
    const token = values(key)?.trim() ?? "";
    if (token === "")
      throw new IssuerError("refused", `Secret ${namespace}/${name} has no token under ${key}`);
    return { token: new Secret(token), caPem: values(VAULT_CA_KEY) };
  });
}

function signerOf(provider: Provider, options: OpenIssuerOptions): Signer {
  if (provider.vault !== undefined) return vaultOf(provider.vault, options);
  if (provider.certManager !== undefined) return certManagerSigner(provider.certManager, options);
  throw new IssuerError("refused", "the MeshRootCertificate names no provider");
}

/** Makes the one way to open issuers. The same authority is another issuer in another trust domain: its leaves differ. */
export function createOpenIssuer(options: OpenIssuerOptions): OpenIssuer {
  const open = createOpenProvider(options);
  return async (provider, trustDomain, wanted): Promise<Issuer> => {
    const issuer = await open(provider, trustDomain, wanted);
    const fingerprint = fingerprintIn(trustDomain, issuer.fingerprint, options);
    return fingerprint === issuer.fingerprint ? issuer : { ...issuer, fingerprint };
  };
}

/** The fingerprint of an authority as an issuer of names of a trust domain; in that of the mesh it is its own. */
export function fingerprintIn(
  trustDomain: string,
  fingerprint: string,
  mesh: { readonly trustDomain: string },
): string {
  if (trustDomain === mesh.trustDomain) return fingerprint;
  const both = createHash("sha256").update(fingerprint).update("\0").update(trustDomain);
  return both.digest("hex").slice(0, 16);
}

function createOpenProvider(options: OpenIssuerOptions): OpenIssuer {
  const { clock, osmNamespace, deadlineMs = DEADLINE_MS } = options;
  return async (provider, trustDomain, wanted): Promise<Issuer> => {
    if (provider.tresor !== undefined) {
      const cas = await openSecret(options, provider.tresor.ca.secretRef, clock.now());
      const isWanted = ({ fingerprint }: Issuer): boolean =>
        fingerprintIn(trustDomain, fingerprint, options) === wanted;
      return cas.others.find(isWanted) ?? cas.newest;
    }
    return openRemote({
      signer: signerOf(provider, options),
      description: JSON.stringify(provider),
      trustDomain,
      probe: { namespace: osmNamespace, serviceAccount: PROBE_ACCOUNT },
      clock,
      deadlineMs,
    });
  };
}
