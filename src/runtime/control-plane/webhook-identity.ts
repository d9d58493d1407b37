import { randomBytes } from "node:crypto";
import { WEBHOOK_SECRET } from "../../install/names";
import type { WebhookIdentity } from "../../install/webhook-secret";
import { readWebhookSecret, webhookSecret } from "../../install/webhook-secret";
import { ROTATE_WEBHOOK_ANNOTATION } from "../../model/mesh-words";
import type { KubeClient, KubeObject } from "../kube";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import type { Clock } from "../ports";
import { createRoot } from "../secrets/authority";
import type { Settings } from "../settings";
import { createOrRead } from "./bootstrap";
import { served } from "./webhook-ca";

function newIdentity(now: number): WebhookIdentity {
  const root = createRoot(now);
  const ca = { caCertPem: root.certPem, caKeyPem: root.keyPem };
  return { ...ca, ...served(ca, now), path: randomBytes(24).toString("hex") };
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

/** The Secret as it is followed. */
interface Followed {
  readonly identity: WebhookIdentity;
  /** Whoever writes has to look when somebody asks. */
  readonly asked: string | undefined;
}

function followed(secret: KubeObject): Followed | undefined {
  const identity = readWebhookSecret(secret);
  const asked = secret.metadata.annotations?.[ROTATE_WEBHOOK_ANNOTATION];
  return identity && { identity, asked };
}

/**
 * Follows the identity, so that every pod presents what the watcher has renewed. It is told again, the same, where the annotation
 * that asks for another CA has changed.
 */
export function followWebhookIdentity(
  settings: Settings,
  options: KeeperOptions,
  onIdentity: (identity: WebhookIdentity) => void,
): { stop(): void } {
  return startInformer<Followed>({
    ...options,
    source: {
      kind: "Secret",
      path: `/api/v1/namespaces/${settings.osmNamespace}/secrets`,
      fieldSelector: `metadata.name=${WEBHOOK_SECRET}`,
      project: followed,
    },
    onChange: change => {
      if (change.type === "upsert") onIdentity(change.value.identity);
      if (change.type === "reset") for (const { identity } of change.entries.values()) onIdentity(identity);
    },
  });
}
