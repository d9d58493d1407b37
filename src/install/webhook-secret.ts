import type { InstallSettings } from "./names";
import { meshLabels, WEBHOOK_SECRET } from "./names";
import type { InstallObject } from "./object";

/** All that the webhook server and its configurations need, shared by every pod of the control plane. */
export interface WebhookIdentity {
  /** All CAs that verify the webhook, PEM: one, or two while it is being replaced. {@link caKeyPem} is of one of them. */
  readonly caCertPem: string;
  readonly caKeyPem: string;
  readonly certPem: string;
  readonly keyPem: string;
  /** Last segment of the webhook's path. */
  readonly path: string;
}

const KEYS: Readonly<Record<keyof WebhookIdentity, string>> = {
  caCertPem: "ca.crt",
  caKeyPem: "ca.key",
  certPem: "tls.crt",
  keyPem: "tls.key",
  path: "path",
};

/** A replacement of the webhook's CA that is under way. */
export interface WebhookCaRotation {
  /** The CA that is to issue; undefined: it issues already, and the one before it is only trusted. */
  readonly next: { readonly certPem: string; readonly keyPem: string } | undefined;
  /** Since when what the next step waits for has been so, epoch milliseconds; undefined: it is not so yet. */
  readonly since: number | undefined;
}

/** Keys that are there while the CA is being replaced. An older release reads none of them, and needs none. */
const ROTATION_KEYS = { nextCert: "next-ca.crt", nextKey: "next-ca.key", since: "ca-rotation" } as const;
/** Value of the last of them while there is no time to tell. */
const PENDING = "pending";

const encode = (text: string): string => Buffer.from(text).toString("base64");

function decoded(secret: object): (key: string) => string | undefined {
  const data = (secret as { readonly data?: Readonly<Record<string, unknown>> }).data;
  return key => {
    const value = data?.[key];
    return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : undefined;
  };
}

/** Data of the Secret, base64 as Kubernetes wants it. */
export function webhookSecretData(identity: WebhookIdentity): Readonly<Record<string, string>> {
  return Object.fromEntries(
    (Object.keys(KEYS) as (keyof WebhookIdentity)[]).map(field => [KEYS[field], encode(identity[field])]),
  );
}

/** The Secret; the first pod that creates it decides for all. */
export function webhookSecret(settings: InstallSettings, identity: WebhookIdentity): InstallObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: WEBHOOK_SECRET, namespace: settings.osmNamespace, labels: meshLabels(settings) },
    type: "Opaque",
    data: webhookSecretData(identity),
  };
}

/** Reads the Secret back; undefined when a part is missing. */
export function readWebhookSecret(secret: object): WebhookIdentity | undefined {
  const value = decoded(secret);
  const part = (field: keyof WebhookIdentity): string => value(KEYS[field]) ?? "";
  const identity: WebhookIdentity = {
    caCertPem: part("caCertPem"),
    caKeyPem: part("caKeyPem"),
    certPem: part("certPem"),
    keyPem: part("keyPem"),
    path: part("path"),
  };
  return Object.values(identity).includes("") ? undefined : identity;
}

/** The replacement of the CA that the Secret tells of; undefined: none. A time that is none counts as not so yet. */
export function readWebhookCaRotation(secret: object): WebhookCaRotation | undefined {
  const value = decoded(secret);
  const [certPem, keyPem] = [value(ROTATION_KEYS.nextCert), value(ROTATION_KEYS.nextKey)];
  const since = value(ROTATION_KEYS.since);
  if (certPem === undefined && keyPem === undefined && since === undefined) return undefined;
  const at = Date.parse(since ?? PENDING);
  const next =
    certPem === undefined && keyPem === undefined
      ? undefined
      : { certPem: certPem ?? "", keyPem: keyPem ?? "" };
  return { next, since: Number.isNaN(at) ? undefined : at };
}

/** As a merge patch of the Secret's data; undefined: takes all of it away. */
export function webhookCaRotationData(
  rotation: WebhookCaRotation | undefined,
): Readonly<Record<string, string | null>> {
  const since = rotation?.since === undefined ? PENDING : new Date(rotation.since).toISOString();
  const { next } = rotation ?? {};
  return {
    [ROTATION_KEYS.nextCert]: next === undefined ? null : encode(next.certPem),
    [ROTATION_KEYS.nextKey]: next === undefined ? null : encode(next.keyPem),
    [ROTATION_KEYS.since]: rotation === undefined ? null : encode(since),
  };
}
