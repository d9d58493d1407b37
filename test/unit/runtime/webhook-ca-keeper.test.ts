import { expect } from "chai";
import { MODULE } from "../../../src/install/names";
import { readWebhookSecret, webhookSecretData } from "../../../src/install/webhook-secret";
import { injectionWebhook, validationWebhook } from "../../../src/install/webhooks";
import { ROTATE_WEBHOOK_ANNOTATION, WEBHOOK_CA_ANNOTATION } from "../../../src/model/mesh-words";
import { served, WEBHOOK_CA_WAITS } from "../../../src/runtime/control-plane/webhook-ca";
import { WebhookCaKeeper } from "../../../src/runtime/control-plane/webhook-ca-keeper";
import { KubeError, type KubeClient } from "../../../src/runtime/kube";
import { createRoot } from "../../../src/runtime/secrets/authority";
import type { MeshEvent } from "../../../src/runtime/status/events";
import { TURNED_START, TurnedClock } from "../../support/turned-clock";
import { quietLog } from "../../support/world";

const settings = { meshName: "osm", osmNamespace: "osm-system" };
type Values = Readonly<Record<string, string | null>>;

const merged = (before: Readonly<Record<string, string>>, patch: Values): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...before, ...patch }).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
  );

/** The Secret and the two configurations alone, as the API server keeps them. */
class SmallApi {
  annotations: Record<string, string> = {};
  data: Record<string, string>;
  version = 1;
  /** Whether the keeper of the configurations is at work. */
  configures = true;
  private configured = "";
  /** What somebody else writes before the next write arrives. */
  meddle: (() => void) | undefined;

  constructor() {
    const { certPem, keyPem } = createRoot(TURNED_START);
    const ca = { caCertPem: certPem, caKeyPem: keyPem };
    this.data = merged({}, webhookSecretData({ ...ca, ...served(ca, TURNED_START), path: "secret" }));
  }

  get client(): KubeClient {
    const refused = (): Promise<never> => Promise.reject(new Error("not asked for"));
    return {
      get: <T>(path: string) => Promise.resolve(this.read(path) as T),
      mergePatch: <T>(_path: string, body: unknown) => {
        this.patch(body as Parameters<SmallApi["patch"]>[0]);
        return Promise.resolve(body as T);
      },
      create: refused,
      apply: refused,
      jsonPatch: refused,
      delete: refused,
      watch: refused,
    };
  }

  annotate(annotations: Values): void {
    this.annotations = merged(this.annotations, annotations);
    this.version += 1;
  }

  private read(path: string): object {
    if (path.endsWith(`configurations/${MODULE}`)) return this.configuration(path.includes("mutating"));
    const metadata = {
      name: "osm-webhook-cert",
      namespace: "osm-system",
      resourceVersion: String(this.version),
      annotations: { ...this.annotations },
    };
    return { metadata, data: { ...this.data } };
  }

  private configuration(isMutating: boolean): object {
    const ca = readWebhookSecret({ data: this.data })?.caCertPem ?? "";
    if (this.configures) this.configured = ca;
    const material = { caPem: this.configured, path: "secret" };
    return isMutating ? injectionWebhook(settings, material) : validationWebhook(settings, material);
  }

  private patch(body: {
    readonly metadata: { readonly resourceVersion: string; readonly annotations: Values };
    readonly data: Values;
  }): void {
    const { meddle } = this;
    this.meddle = undefined;
    meddle?.();
    if (body.metadata.resourceVersion !== String(this.version))
      throw new KubeError(409, "Conflict", "modified");
    this.annotate(body.metadata.annotations);
    this.data = merged(this.data, body.data);
  }
}

describe("the keeper of the webhook's CA", () => {
  let clock: TurnedClock;
  let api: SmallApi;
  let steps: string[];
  let events: MeshEvent[];
  let keeper: WebhookCaKeeper;

  beforeEach(async () => {
    clock = new TurnedClock();
    api = new SmallApi();
    [steps, events] = [[], []];
    keeper = start();
    await pass(0);
  });
  afterEach(() => {
    keeper.stop();
  });

  const start = (): WebhookCaKeeper =>
    new WebhookCaKeeper({
      kube: api.client,
      clock,
      random: () => 0.5,
      log: quietLog(),
      settings,
      events: { emit: event => events.push(event) },
      onStep: ({ kind }) => steps.push(kind),
    });
  /** What is under way comes to its end before a timer runs. */
  const pass = async (ms: number): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve));
    for (let left = ms; left > 0; left -= 5_000) {
      clock.pass(Math.min(left, 5_000));
      for (let turn = 0; turn < 20; turn += 1) await new Promise(resolve => setImmediate(resolve));
    }
  };
  const ask = async (word: string): Promise<void> => {
    api.annotate({ [ROTATE_WEBHOOK_ANNOTATION]: word });
    keeper.look();
    await pass(0);
  };
  const { configuredMs, servedMs } = WEBHOOK_CA_WAITS;

  it("does nothing, and sets no timer, while nobody asks", () => {
    expect([steps, clock.pending, api.version]).to.deep.equal([[], 0, 1]);
  });

  it("takes the four steps where somebody asks, each after its wait, and takes the word away with the last", async () => {
    await ask("now");
    await pass(1_000);
    expect(steps).to.deep.equal(["trust", "seen"]);
    expect(api.annotations[WEBHOOK_CA_ANNOTATION]).to.contain("the next step follows in 120 s");
    await pass(configuredMs - 2_000);
    expect(steps).to.deep.equal(["trust", "seen"]);
    await pass(5_000);
    expect(steps).to.deep.equal(["trust", "seen", "issue"]);
    await pass(servedMs - 10_000);
    expect([steps.length, api.annotations[ROTATE_WEBHOOK_ANNOTATION]]).to.deep.equal([3, "now"]);
    await pass(15_000);
    expect(steps).to.deep.equal(["trust", "seen", "issue", "drop"]);
    expect(api.annotations).to.deep.equal({ [WEBHOOK_CA_ANNOTATION]: "Settled." });
    await pass(600_000);
    expect([steps.length, clock.pending]).to.deep.equal([4, 0]);
  });

  it("waits for configurations that somebody else holds, and again where one is taken back", async () => {
    api.configures = false;
    await ask("now");
    await pass(600_000);
    expect(steps).to.deep.equal(["trust"]);
    expect(api.annotations[WEBHOOK_CA_ANNOTATION]).to.contain("are being written");
    api.configures = true;
    await pass(10_000);
    expect(steps).to.deep.equal(["trust", "seen"]);
  });

  it("looks again where somebody else has written meanwhile", async () => {
    api.meddle = () => {
      api.annotate({ other: "word" });
    };
    await ask("now");
    expect(steps).to.deep.equal([]);
    await pass(10_000);
    expect(steps).to.deep.equal(["trust", "seen"]);
    expect(api.annotations).to.have.property("other", "word");
  });

  it("tells of another word once, leaves it there, and does nothing", async () => {
    await ask("soon");
    await ask("soon");
    expect(events.map(({ note, reason, regarding }) => [note, reason, regarding.kind])).to.deep.equal([
      [
        'openservicemesh.io/rotate-webhook-ca=soon is not understood: "now" asks for another CA of the webhook',
        "AnnotationNotUnderstood",
        "Secret",
      ],
    ]);
    expect([steps, api.annotations]).to.deep.equal([[], { [ROTATE_WEBHOOK_ANNOTATION]: "soon" }]);
    await ask("later");
    expect(events.length).to.equal(2);
  });

  it("goes on where the writer before it was killed, and looks no more once it is stopped", async () => {
    await ask("now");
    keeper.stop();
    await pass(configuredMs);
    const before = steps.length;
    expect(before).to.be.within(1, 2);
    keeper = start();
    await pass(servedMs + 60_000);
    await pass(configuredMs);
    expect(steps).to.deep.equal(["trust", "seen", "issue", "drop"]);
  });
});
