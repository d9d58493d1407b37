/** What the owner of the mesh has put into a Secret: a root or an intermediate with its key, or a token. */
import { IssuerError } from "../../certificate/issuer";
import { Secret } from "../../model/secret";
import type { KubeClient } from "../kube";
import { isForbidden, isNotFound } from "../kube/errors";
import { loadAuthority, type Authority } from "../secrets/authority";

/** Where Secrets are read. */
export interface SecretReader {
  readonly kube: Pick<KubeClient, "get">;
  /** The control plane's namespace; no other is read from. */
  readonly osmNamespace: string;
}

/** A Secret by its name. */
export interface SecretPlace {
  readonly name: string;
  readonly namespace: string;
}

/** The values of a Secret, decoded; undefined for a key it does not have. */
export type SecretValues = (key: string) => string | undefined;

/** Reads a Secret of the control plane's namespace; rejects with an IssuerError. */
export async function readSecret(reader: SecretReader, place: SecretPlace): Promise<SecretValues> {
  const title = `Secret ${place.namespace}/${place.name}`;
  if (place.namespace !== reader.osmNamespace)
    throw new IssuerError(
      "refused",
      `${title} is not in ${reader.osmNamespace}: Secrets elsewhere are not read`,
    );
  const path = `/api/v1/namespaces/${place.namespace}/secrets/${place.name}`;
  let secret: { readonly data?: Readonly<Record<string, string>> };
  try {
    secret = await reader.kube.get(path);
  } catch (error) {
    if (isNotFound(error)) throw new IssuerError("refused", `${title} does not exist`);
    if (isForbidden(error))
      throw new IssuerError("refused", `the mesh may not read ${title}: a Role has to allow "get" on it`);
    throw new IssuerError("unavailable", `${title} cannot be read: ${String(error)}`);
  }
  return key => {
    const value = secret.data?.[key];
    return value === undefined ? undefined : Buffer.from(value, "base64").toString("utf8");
  };
}

/** Keys of a Secret with the CA that comes after the one that it holds, made by the mesh. */
export const NEXT_CA = { cert: "next-ca.crt", key: "next-private.key" } as const;

interface CaText {
  readonly certsPem: string;
  readonly keyPem: Secret<string>;
}

/** The key and all certificates of a Secret with a CA in it; see {@link openSecret}. */
function caOf(values: SecretValues): CaText | undefined {
  const keyPem = values("private.key") ?? values("tls.key");
  const certsPem = [values("tls.crt"), values("ca.crt")].filter(text => text !== undefined).join("\n");
  return keyPem === undefined ? undefined : { certsPem, keyPem: new Secret(keyPem) };
}

function nextCaOf(values: SecretValues): CaText | undefined {
  const [certsPem, keyPem] = [values(NEXT_CA.cert), values(NEXT_CA.key)];
  return certsPem === undefined || keyPem === undefined
    ? undefined
    : { certsPem, keyPem: new Secret(keyPem) };
}

/** The CAs of a Secret. */
export interface SecretCas {
  /** The next one, where there is one. */
  readonly newest: Authority;
  /** The one before it, where there are two. */
  readonly others: readonly Authority[];
}

/** Reads the CAs from values of a Secret; throws an IssuerError. See {@link openSecret}. */
export function casOf(title: string, values: SecretValues): SecretCas {
  const ca = caOf(values);
  if (ca === undefined) throw new IssuerError("garbage", `${title} has no key private.key or tls.key`);
  const current = load(title, ca.certsPem, ca.keyPem);
  const next = nextCaOf(values);
  if (next === undefined) return { newest: current, others: [] };
  return { newest: load(title, next.certsPem, next.keyPem), others: [current] };
}

/**
 * The CAs in a Secret. The key is `private.key` (OSM's name) or `tls.key`; its certificate, and those above it, are in
 * `ca.crt` and `tls.crt`, in any order. Of a self-signed root nothing else is needed. An intermediate goes with each leaf,
 * and the trust anchor is the topmost certificate in the Secret. Beside it there may be the next one ({@link NEXT_CA}).
 * Rejects with an IssuerError.
 */
export async function openSecret(reader: SecretReader, place: SecretPlace, now: number): Promise<SecretCas> {
  const title = `Secret ${place.namespace}/${place.name}`;
  const cas = casOf(title, await readSecret(reader, place));
  if (cas.newest.notAfter <= now)
    throw new IssuerError(
      "refused",
      `the CA in ${title} has ended (${new Date(cas.newest.notAfter).toISOString()})`,
    );
  return cas;
}

function load(title: string, certsPem: string, keyPem: Secret<string>): Authority {
  try {
    return loadAuthority(certsPem, keyPem.reveal());
  } catch (error) {
    // What OpenSSL says about a key it cannot read never quotes it.
    throw new IssuerError("garbage", `${title} holds no usable CA: ${String(error)}`);
  }
}
