import { randomBytes, X509Certificate } from "node:crypto";
import { WEBHOOK_DNS_NAMES, WEBHOOK_SECRET } from "../../install/names";
import { objectPath } from "../../install/object";
import type { WebhookIdentity } from "../../install/webhook-secret";
import { readWebhookSecret, webhookSecret, webhookSecretData } from "../../install/webhook-secret";
import type { KubeClient } from "../kube";
import type { Informer } from "../kube/informer";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import type { Clock } from "../ports";
import { createRoot, issueServing, loadAuthority } from "../secrets/authority";
import type { Settings } from "../settings";
import { createOrRead } from "./bootstrap";

/** Life of the webhook's serving certificate: 90 days, in milliseconds; renewed at half of it. */
const SERVING_VALIDITY_MS = 90 * 86_400_000;

function served(caCertPem: string, caKeyPem: string, now: number): { certPem: string; keyPem: string } {
  const authority = loadAuthority(caCertPem, caKeyPem);
  const { certPem, keyPem } = issueServing(authority, WEBHOOK_DNS_NAMES, {
    now,
    validityMs: SERVING_VALIDITY_MS,
  });
  return { certPem, keyPem };
}

function newIdentity(now: number): WebhookIdentity {
  const root = createRoot(now);
  return {
    caCertPem: root.certPem,
    caKeyPem: root.keyPem,
    ...served(root.certPem, root.keyPem, now),
    path: randomBytes(24).toString("hex"),
  };
}

/**
 * The webhook's identity, the same for all pods and over all deploys: made by whichever pod comes first. It has a CA of
 * its own, so that the workloads' root can rotate without a moment in which no pod can start.
 *
 * Throws when the Secret exists and is not complete: deleting it makes a new one.
 */
export async function ensureWebhookIdentity(
  kube: KubeClient,
  settings: Settings,
  clock: Clock,
): Promise<WebhookIdentity> {
  const place = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: WEBHOOK_SECRET, namespace: settings.osmNamespace },
  };
  const secret = await createOrRead(kube, () => webhookSecret(settings, newIdentity(clock.now())), place);
  const identity = readWebhookSecret(secret);
  if (identity === undefined) {
    throw new Error(
      `Secret ${settings.osmNamespace}/${WEBHOOK_SECRET} is incomplete: delete it, and a new one is made`,
    );
  }
  return identity;
}

/** Follows the identity, so that every pod presents what the watcher has renewed. */
export function followWebhookIdentity(
  settings: Settings,
  options: KeeperOptions,
  onIdentity: (identity: WebhookIdentity) => void,
): Informer<WebhookIdentity> {
  return startInformer<WebhookIdentity>({
    ...options,
    source: {
      kind: "Secret",
      path: `/api/v1/namespaces/${settings.osmNamespace}/secrets`,
      fieldSelector: `metadata.name=${WEBHOOK_SECRET}`,
      project: readWebhookSecret,
    },
    onChange: change => {
      if (change.type === "upsert") onIdentity(change.value);
      if (change.type === "reset") change.entries.forEach(onIdentity);
    },
  });
}

/** The identity with a new serving certificate, when half of the present one's life is over. */
export function renewed(identity: WebhookIdentity, now: number): WebhookIdentity | undefined {
  const certificate = new X509Certificate(identity.certPem);
  const begin = Date.parse(certificate.validFrom);
  const half = begin + (Date.parse(certificate.validTo) - begin) / 2;
  return now < half ? undefined : { ...identity, ...served(identity.caCertPem, identity.caKeyPem, now) };
}

/** Duty of the watcher: writes a renewed identity where it is due. */
export async function renewWebhookIdentity(
  kube: KubeClient,
  settings: Settings,
  identity: WebhookIdentity,
  now: number,
): Promise<boolean> {
  const next = renewed(identity, now);
  if (next === undefined) return false;
  await kube.mergePatch(objectPath(webhookSecret(settings, next)), { data: webhookSecretData(next) });
  return true;
}
