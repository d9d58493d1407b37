import { generateKeyPairSync } from "node:crypto";
import type { TestObject } from "./objects";

/** What an ExternalWorkload is made of. */
export interface ExternalSpec {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly serviceAccount?: string;
  readonly ports?: readonly { readonly name: string; readonly port: number }[];
  /** Default: {@link SOME_KEY}; null for none. */
  readonly publicKey?: string | null;
  /** Default true: the key has been certified. */
  readonly joined?: boolean;
  readonly uid?: string;
  readonly terminating?: boolean;
}

/** The public key of nobody, as objects hold it. */
export const SOME_KEY = newPublicKey();

/** Another one each time. */
export function newPublicKey(): string {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return publicKey.export({ type: "spki", format: "der" }).toString("base64");
}

/** An ExternalWorkload. */
export function externalWorkload(spec: ExternalSpec): TestObject {
  const { namespace, name, addresses, labels = {}, serviceAccount = "default", ports, joined = true } = spec;
  const publicKey = spec.publicKey === undefined ? SOME_KEY : spec.publicKey;
  const deletion = spec.terminating === true ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {};
  return {
    apiVersion: "config.openservicemesh.io/v1alpha2",
    kind: "ExternalWorkload",
    metadata: { name, namespace, labels, uid: spec.uid ?? `uid-${namespace}-${name}`, ...deletion },
    spec: {
      serviceAccountName: serviceAccount,
      addresses,
      ...(ports === undefined ? {} : { ports }),
      ...(publicKey === null ? {} : { publicKey }),
    },
    ...(joined ? { status: { proxy: { certificate: "PEM" } } } : {}),
  };
}
