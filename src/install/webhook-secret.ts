import type { InstallSettings } from "./names";
import { meshLabels, WEBHOOK_SECRET } from "./names";
import type { InstallObject } from "./object";

/** All that the webhook server and its configurations need, shared by every pod of the control plane. */
export interface WebhookIdentity {
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

const encode = (text: string): string => Buffer.from(text).toString("base64");

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
  const data = (secret as { readonly data?: Readonly<Record<string, unknown>> }).data;
  const part = (field: keyof WebhookIdentity): string => {
    const value = data?.[KEYS[field]];
    return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "";
  };
  const identity: WebhookIdentity = {
    caCertPem: part("caCertPem"),
    caKeyPem: part("caKeyPem"),
    certPem: part("certPem"),
    keyPem: part("keyPem"),
    path: part("path"),
  };
  return Object.values(identity).includes("") ? undefined : identity;
}
