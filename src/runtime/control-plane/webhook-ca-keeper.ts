import { MODULE, WEBHOOK_SECRET } from "../../install/names";
import { objectPath } from "../../install/object";
import {
  readWebhookCaRotation,
  readWebhookSecret,
  webhookCaRotationData,
  webhookSecretData,
} from "../../install/webhook-secret";
import { caBundlesOf } from "../../install/webhooks";
import { ROTATE_WEBHOOK_ANNOTATION, ROTATE_WEBHOOK_NOW, WEBHOOK_CA_ANNOTATION } from "../../model/mesh-words";
import type { KubeObject } from "../kube";
import { getIfThere } from "../kube/read";
import type { KeeperOptions } from "../ownership";
import type { Settings } from "../settings";
import type { EventWriter } from "../status/events";
import { KeyedWorker } from "./keyed-worker";
import {
  afterStep,
  WEBHOOK_CA_WAITS,
  webhookCaStep,
  type WebhookCaFacts,
  type WebhookCaState,
  type WebhookCaStep,
  type WebhookCaWaits,
  type WrittenStep,
} from "./webhook-ca";

/** What the webhook's CA is kept with. */
export interface WebhookCaKeeperOptions extends KeeperOptions {
  readonly settings: Pick<Settings, "osmNamespace">;
  /** Told of an annotation that is not understood. */
  readonly events: Pick<EventWriter, "emit">;
  /** Default {@link WEBHOOK_CA_WAITS}. */
  readonly waits?: WebhookCaWaits;
  /** Names of the serving certificate; default those of the webhook's Services. */
  readonly dnsNames?: readonly string[];
  /** Called with every step, once it is written. */
  readonly onStep?: (step: WebhookCaStep) => void;
}

/** While a rotation is under way the Secret and the configurations are looked at at least so often, milliseconds. */
const LOOK_MS = 5_000;

const KEY = "CA of the webhook";
const CONFIGURATIONS = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"].map(kind =>
  objectPath({ apiVersion: "admissionregistration.k8s.io/v1", kind, metadata: { name: MODULE } }),
);

/** What the Secret says of a rotation after each step; undefined: nothing else than before. */
const SAID: Readonly<Record<WrittenStep, ((waits: WebhookCaWaits) => string) | undefined>> = {
  renew: undefined,
  trust: () => "Both CAs are being written into the configurations of the webhooks.",
  unseen: () => "Both CAs are being written into the configurations of the webhooks.",
  seen: ({ configuredMs }) =>
    `Both configurations hold both CAs; the next step follows in ${Math.ceil(configuredMs / 1_000)} s.`,
  issue: ({ servedMs }) =>
    `The certificate is of the new CA; the old one is forgotten in ${Math.ceil(servedMs / 1_000)} s.`,
  drop: () => "Settled.",
};

/**
 * Duty of the single writer: renews the webhook's certificate, and its CA well before that ends or where the annotation asks for
 * it. Every step is one write over the version of the Secret that it was decided by.
 */
export class WebhookCaKeeper {
  private readonly worker: KeyedWorker;
  private timer: { cancel(): void } | undefined;
  private stopped = false;
  /** The value of the annotation that has been told as unknown. */
  private told: string | undefined;

  constructor(private readonly options: WebhookCaKeeperOptions) {
    this.worker = new KeyedWorker({
      ...options,
      log: options.log.child("webhook-ca"),
      work: () => this.lookAtSecret(),
    });
    this.look();
  }

  /** Asks for a look: the Secret has changed, or a minute is over. */
  look(): void {
    this.worker.enqueue(KEY);
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.worker.stop();
  }

  private get path(): string {
    return `/api/v1/namespaces/${this.options.settings.osmNamespace}/secrets/${WEBHOOK_SECRET}`;
  }

  private async lookAtSecret(): Promise<void> {
    this.timer?.cancel();
    const { kube } = this.options;
    const secret = await getIfThere<KubeObject>(kube, this.path);
    const identity = secret && readWebhookSecret(secret);
    // Gone, or cut down: the start of the next pod tells, and makes it anew.
    if (secret === undefined || identity === undefined) return;
    const state: WebhookCaState = { identity, rotation: readWebhookCaRotation(secret) };
    const step = webhookCaStep(state, await this.facts(secret, state));
    const isWritten = step.kind !== "rest" && step.kind !== "wait";
    if (isWritten) await this.write(secret, state, step.kind);
    if (step.kind !== "rest") this.lookAgain(isWritten ? 0 : LOOK_MS, step);
  }

  private lookAgain(atMostMs: number, step: WebhookCaStep): void {
    if (this.stopped) return;
    const waitMs = step.kind === "wait" ? (step.forMs ?? atMostMs) : atMostMs;
    const again = (): void => {
      this.look();
    };
    this.timer = this.options.clock.setTimeout(again, Math.min(waitMs, atMostMs));
  }

  private async facts(secret: KubeObject, { rotation }: WebhookCaState): Promise<WebhookCaFacts> {
    const { clock, waits = WEBHOOK_CA_WAITS } = this.options;
    const asked = this.isAsked(secret);
    const bundles = rotation?.next === undefined ? undefined : await this.bundles();
    return { now: clock.now(), asked, bundles, waits };
  }

  /** Of all webhooks; undefined: not both configurations are there. */
  private async bundles(): Promise<readonly string[] | undefined> {
    const { kube } = this.options;
    const found = await Promise.all(CONFIGURATIONS.map(path => getIfThere<KubeObject>(kube, path)));
    const all = found.map(configuration => (configuration === undefined ? [] : caBundlesOf(configuration)));
    return all.every(bundles => bundles.length > 0) ? all.flat() : undefined;
  }

  private isAsked({ metadata }: KubeObject): boolean {
    const word = metadata.annotations?.[ROTATE_WEBHOOK_ANNOTATION];
    if (word === undefined || word === ROTATE_WEBHOOK_NOW) {
      this.told = undefined;
      return word !== undefined;
    }
    if (this.told === word) return false;
    this.told = word;
    const note = `${ROTATE_WEBHOOK_ANNOTATION}=${word} is not understood: "${ROTATE_WEBHOOK_NOW}" asks for another CA of the webhook`;
    const { log, events } = this.options;
    log.warn(note);
    const { name, namespace = "", uid } = metadata;
    const regarding = { group: "", apiVersion: "v1", kind: "Secret", namespace, name };
    events.emit({
      regarding: uid === undefined ? regarding : { ...regarding, uid },
      type: "Warning",
      reason: "AnnotationNotUnderstood",
      note,
    });
    return false;
  }

  private async write({ metadata }: KubeObject, state: WebhookCaState, kind: WrittenStep): Promise<void> {
    const { kube, clock, log, dnsNames, onStep, waits = WEBHOOK_CA_WAITS } = this.options;
    const { identity, rotation } = afterStep(state, kind, { now: clock.now(), dnsNames });
    const text = SAID[kind]?.(waits);
    const said = text === undefined ? {} : { [WEBHOOK_CA_ANNOTATION]: text };
    const isDone =
      kind === "drop" && metadata.annotations?.[ROTATE_WEBHOOK_ANNOTATION] === ROTATE_WEBHOOK_NOW;
    const over = isDone ? { [ROTATE_WEBHOOK_ANNOTATION]: null } : {};
    await kube.mergePatch(this.path, {
      metadata: { resourceVersion: metadata.resourceVersion, annotations: { ...said, ...over } },
      data: { ...webhookSecretData(identity), ...webhookCaRotationData(rotation) },
    });
    if (text === undefined) log.info("renewed the webhook's certificate");
    else log.info(`the webhook's CA: ${kind}`, { text });
    onStep?.({ kind });
  }
}
