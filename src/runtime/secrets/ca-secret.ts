/** The built-in CA's Secret: created by whoever comes first, read by everybody else. */
import { CA_SECRET_NAME } from "../../model/mesh-words";
import { KubeError, type KubeClient, type KubeObject } from "../kube";
import type { Log } from "../ports";
import { createRoot, loadAuthority, type Authority } from "./authority";

/** Keys of the Secret; OSM's names. */
export const CA_CERT_KEY = "ca.crt";
/** Key of the Secret with the private key, PEM. */
export const CA_PRIVATE_KEY = "private.key";

interface SecretObject extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

/** Where and when the CA is looked for. */
export interface CaOptions {
  readonly kube: Pick<KubeClient, "get" | "create">;
  /** Namespace of the Secret. */
  readonly namespace: string;
  readonly now: () => number;
  readonly log: Log;
}

function secretOf(namespace: string, now: number): SecretObject {
  const root = createRoot(now);
  const encode = (text: string): string => Buffer.from(text, "utf8").toString("base64");
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: CA_SECRET_NAME, namespace },
    type: "Opaque",
    data: { [CA_CERT_KEY]: encode(root.certPem), [CA_PRIVATE_KEY]: encode(root.keyPem) },
  };
}

function fromSecret(secret: SecretObject): Authority {
  const read = (key: string): string => {
    const value = secret.data?.[key];
    if (value === undefined) throw new Error(`Secret ${CA_SECRET_NAME} has no key ${key}`);
    return Buffer.from(value, "base64").toString("utf8");
  };
  return loadAuthority(read(CA_CERT_KEY), read(CA_PRIVATE_KEY));
}

/**
 * Reads the CA, or creates it when there is none. Of several replicas that start together the first writer wins and the
 * others read what it wrote. Throws when the API refuses or the Secret is unusable; it is never overwritten.
 */
export async function ensureAuthority(options: CaOptions): Promise<Authority> {
  const { kube, namespace, log } = options;
  const collection = `/api/v1/namespaces/${namespace}/secrets`;
  const existing = await read(kube, `${collection}/${CA_SECRET_NAME}`);
  if (existing !== undefined) return fromSecret(existing);
  try {
    const created = await kube.create<SecretObject>(collection, secretOf(namespace, options.now()));
    log.info("created the mesh's root certificate", { secret: `${namespace}/${CA_SECRET_NAME}` });
    return fromSecret(created);
  } catch (error) {
    if (!(error instanceof KubeError) || error.status !== 409) throw error;
    return fromSecret(await kube.get<SecretObject>(`${collection}/${CA_SECRET_NAME}`));
  }
}

async function read(kube: CaOptions["kube"], path: string): Promise<SecretObject | undefined> {
  try {
    return await kube.get<SecretObject>(path);
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return undefined;
    throw error;
  }
}
