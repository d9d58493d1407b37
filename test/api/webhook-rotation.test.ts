import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { expect } from "chai";
import { MODULE, WEBHOOK_DNS_NAMES, WEBHOOK_SECRET } from "../../src/install/names";
import type { InstallObject } from "../../src/install/object";
import { webhookSecret, webhookSecretData, type WebhookIdentity } from "../../src/install/webhook-secret";
import { caBundlesOf, injectionWebhook, validationWebhook } from "../../src/install/webhooks";
import { ROTATE_WEBHOOK_ANNOTATION, WEBHOOK_CA_ANNOTATION } from "../../src/model/mesh-words";
import { systemClock } from "../../src/runtime/clock";
import { keepPresented } from "../../src/runtime/control-plane/duties";
import { WebhookCaKeeper } from "../../src/runtime/control-plane/webhook-ca-keeper";
import {
  ensureWebhookIdentity,
  followWebhookIdentity,
} from "../../src/runtime/control-plane/webhook-identity";
import { steerWebhookServer, type WebhookServer } from "../../src/runtime/control-plane/webhook-server";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { silentLog } from "../../src/runtime/log";
import { keep, keptAs } from "../../src/runtime/ownership";
import { createRoot, issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import { readSettings } from "../../src/runtime/settings";
import { createEventWriter } from "../../src/runtime/status/events";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const CALLS = process.env["OSM_FULL"] === "1" ? 3_000 : 150;
/** Between two writes that the webhook has to admit, and between two certificates. */
const PACE_MS = 15;
const ROTATE_MS = 150;
const settings = readSettings({}, "unused");
const NAMES = [...WEBHOOK_DNS_NAMES, "localhost"];
const common = { clock: systemClock, random: Math.random, log: silentLog };
const MAPS = "/api/v1/namespaces/default/configmaps";

/** The identity with another serving certificate, which a server on this machine may show as well. */
function withNext(identity: WebhookIdentity): WebhookIdentity {
  const authority = loadAuthority(identity.caCertPem, identity.caKeyPem);
  const lifetime = { now: Date.now(), validityMs: 86_400_000 };
  const { certPem, keyPem } = issueServing(authority, NAMES, lifetime);
  return { ...identity, certPem, keyPem };
}

/** A webhook server as a pod of the control plane has it: it presents what the Secret says, and admits everything. */
class WebhookPod {
  /** Serial numbers of the certificates that the API server has met. */
  readonly shown = new Set<string>();

  private constructor(
    readonly port: number,
    readonly steering: WebhookServer,
    private readonly server: Server,
    private readonly follower: { stop(): void },
  ) {}

  static async start(kube: ClosableKubeClient, identity: WebhookIdentity): Promise<WebhookPod> {
    const server = createServer({ key: identity.keyPem, cert: identity.certPem }, (request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const certificate = (request.socket as TLSSocket).getCertificate();
        if (certificate !== null && "serialNumber" in certificate) pod.shown.add(certificate.serialNumber);
        const { request: asked } = JSON.parse(Buffer.concat(parts).toString()) as {
          request: { uid: string };
        };
        const answer = { uid: asked.uid, allowed: true };
        // Every call is a handshake.
        response.shouldKeepAlive = false;
        response.setHeader("content-type", "application/json");
        response.end(
          JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response: answer }),
        );
      });
    }).listen(0);
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const steering = steerWebhookServer(port);
    const follower = followWebhookIdentity(settings, { ...common, kube }, next => {
      steering.present(next);
    });
    const pod = new WebhookPod(port, steering, server, follower);
    return pod;
  }

  stop(): void {
    this.follower.stop();
    this.steering.stop();
    this.server.closeAllConnections();
    this.server.close();
  }
}

describe("the webhook's certificate, replaced while a real API server calls", function () {
  this.timeout(300_000);
  let api: TestApiServer;
  let kube: ClosableKubeClient;
  let pod: WebhookPod;
  let identity: WebhookIdentity;

  const replace = async (): Promise<void> => {
    identity = withNext(identity);
    const { namespace = "", name } = webhookSecret(settings, identity).metadata;
    const data = webhookSecretData(identity);
    await kube.mergePatch(`/api/v1/namespaces/${namespace}/secrets/${name}`, { data });
  };

  before(async () => {
    api = await startApiServerForTest();
    kube = api.client();
    await kube.create("/api/v1/namespaces", { metadata: { name: settings.osmNamespace } });
    identity = withNext(await ensureWebhookIdentity(kube, settings, systemClock));
    pod = await WebhookPod.start(kube, identity);
    await replace();
    const rule = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] };
    await kube.create("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "ValidatingWebhookConfiguration",
      metadata: { name: "rotation" },
      webhooks: [
        {
          name: "rotation.openservicemesh.io",
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
          failurePolicy: "Fail",
          clientConfig: {
            url: `https://localhost:${pod.port}/`,
            caBundle: Buffer.from(identity.caCertPem).toString("base64"),
          },
          rules: [rule],
        },
      ],
    });
    await waitFor("the first call", async () => {
      await write(0).catch(() => undefined);
      return pod.shown.size > 0;
    });
  });
  after(async () => {
    (pod as WebhookPod | undefined)?.stop();
    (kube as ClosableKubeClient | undefined)?.close();
    await (api as TestApiServer | undefined)?.stop();
  });

  const write = (index: number): Promise<unknown> =>
    kube.create(`${MAPS}?dryRun=All`, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: `map-${index}` },
    });

  it(`refuses none of ${CALLS} writes that it has to admit`, async () => {
    let [running, rotations] = [true, 0];
    const rotating = (async () => {
      while (running) {
        await replace();
        rotations += 1;
        await pause(ROTATE_MS);
      }
    })();
    const writes: Promise<string | undefined>[] = [];
    for (let index = 0; index < CALLS; index += 1) {
      writes.push(write(index).then(() => undefined, String));
      await pause(PACE_MS);
    }
    const failed = (await Promise.all(writes)).filter(error => error !== undefined);
    await waitFor("a new certificate to be shown", async () => {
      await write(CALLS);
      return pod.shown.size > 2;
    });
    running = false;
    await rotating;
    const bound = `0 refused while the certificate was replaced ${rotations} times`;
    verdict("webhook-certificate-rotation", failed.length === 0, {
      count: CALLS,
      failed: failed.length,
      bound,
    });
    expect(failed).to.deep.equal([]);
  });
});

const ROTATIONS = process.env["OSM_FULL"] === "1" ? 20 : 2;
/** They stand for minutes: this API server and these pods follow within milliseconds. */
const WAITS = { configuredMs: 3_000, servedMs: 3_000 };
/** Between two pods that are asked for. */
const POD_PACE_MS = 30;
const SHOP = "shop";

/** The single writer, as far as the webhook is its duty. */
class WebhookWriter {
  private constructor(
    private readonly configured: ReturnType<typeof keepPresented>,
    private readonly ca: WebhookCaKeeper,
    private readonly follower: { stop(): void },
  ) {}

  /** `ports`: of the pods that the API server calls about mutation and about validation. */
  static async start(
    kube: ClosableKubeClient,
    ports: readonly number[],
    onStep: (kind: string) => void,
  ): Promise<WebhookWriter> {
    const options = { ...common, kube };
    const identity = await ensureWebhookIdentity(kube, settings, systemClock);
    const configured = keepPresented(identity, next => {
      const material = { caPem: next.caCertPem, path: next.path };
      const made = [injectionWebhook(settings, material), validationWebhook(settings, material)];
      return keep(
        made.map((object, index) =>
          keptAs({ object: onLoopback(object, ports[index] ?? 0), manager: "osm" }),
        ),
        options,
      );
    });
    const events = createEventWriter({ ...options, instance: "writer" });
    const ca = new WebhookCaKeeper({
      ...options,
      settings,
      events,
      waits: WAITS,
      dnsNames: NAMES,
      onStep: ({ kind }) => {
        onStep(kind);
      },
    });
    const follower = followWebhookIdentity(settings, options, next => {
      configured.present(next);
      ca.look();
    });
    return new WebhookWriter(configured, ca, follower);
  }

  /** As kill -9 does. */
  kill(): void {
    for (const part of [this.follower, this.ca, this.configured]) part.stop();
  }
}

/** The product's configuration, with an address of this machine in the place of the Service. */
function onLoopback(object: InstallObject, port: number): InstallObject {
  const service = /"service":\{"name":"[^"]*","namespace":"[^"]*","path":"([^"]*)","port":443\}/g;
  return JSON.parse(
    JSON.stringify(object).replaceAll(service, `"url":"https://localhost:${port}$1"`),
  ) as InstallObject;
}

describe("the webhook's CA, replaced while a real API server calls two pods of the control plane", function () {
  this.timeout(900_000);
  let api: TestApiServer;
  let kube: ClosableKubeClient;
  let pods: readonly WebhookPod[] = [];
  let writer: WebhookWriter | undefined;
  let restarting: Promise<void> = Promise.resolve();
  const steps: string[] = [];
  const secretPath = `/api/v1/namespaces/${settings.osmNamespace}/secrets/${WEBHOOK_SECRET}`;
  const annotate = (value: string | null): Promise<unknown> =>
    kube.mergePatch(secretPath, { metadata: { annotations: { [ROTATE_WEBHOOK_ANNOTATION]: value } } });
  const secret = (): Promise<KubeObject & { readonly data: Readonly<Record<string, string>> }> =>
    kube.get(secretPath);
  const ask = (name: string): Promise<unknown> =>
    kube.create(`/api/v1/namespaces/${SHOP}/pods?dryRun=All`, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name },
      spec: { containers: [{ name: "app", image: "app" }] },
    });
  const failureOf = (asked: Promise<unknown>): Promise<string> => asked.then(() => "", String);
  const startWriter = async (onStep: (kind: string) => void = () => undefined): Promise<void> => {
    const took = (kind: string): void => {
      steps.push(kind);
      onStep(kind);
    };
    writer = await WebhookWriter.start(
      kube,
      pods.map(({ port }) => port),
      took,
    );
  };

  before(async () => {
    api = await startApiServerForTest();
    kube = api.client();
    await kube.create("/api/v1/namespaces", { metadata: { name: settings.osmNamespace } });
    const labels = { "openservicemesh.io/monitored-by": settings.meshName };
    await kube.create("/api/v1/namespaces", { metadata: { name: SHOP, labels } });
    const identity = withNext(await ensureWebhookIdentity(kube, settings, systemClock));
    await kube.mergePatch(secretPath, { data: webhookSecretData(identity) });
    pods = [await WebhookPod.start(kube, identity), await WebhookPod.start(kube, identity)];
    await startWriter();
    await waitFor("the first call of both", async () => {
      await ask("first").catch(() => undefined);
      return pods.every(({ shown }) => shown.size > 0);
    });
  });
  after(async () => {
    await restarting;
    writer?.kill();
    for (const pod of pods) pod.stop();
    (kube as ClosableKubeClient | undefined)?.close();
    await (api as TestApiServer | undefined)?.stop();
  });

  it("is left as it is by a word that is not understood, of which an Event tells", async () => {
    await annotate("soon");
    const told = await waitFor("an Event", async () => {
      const { items } = await kube.get<{
        items: readonly { readonly note: string; readonly regarding: { readonly name: string } }[];
      }>(`/apis/events.k8s.io/v1/namespaces/${settings.osmNamespace}/events`);
      return items.find(({ regarding }) => regarding.name === WEBHOOK_SECRET);
    });
    expect(told.note).to.contain(`${ROTATE_WEBHOOK_ANNOTATION}=soon is not understood`);
    expect((await secret()).metadata.annotations).to.have.property(ROTATE_WEBHOOK_ANNOTATION, "soon");
    expect(steps).to.deep.equal([]);
  });

  it(`refuses no pod while it is replaced ${ROTATIONS} times, the writer killed after each step`, async () => {
    writer?.kill();
    const before = await secret();
    const kill = (): void => {
      writer?.kill();
      restarting = pause(200).then(() => startWriter(kill));
    };
    await startWriter(kill);
    const failed: string[] = [];
    const load = { running: true, asked: 0 };
    const asking = (async () => {
      const pending: Promise<unknown>[] = [];
      while (load.running || load.asked < CALLS) {
        load.asked += 1;
        const note = (text: string): unknown => text !== "" && failed.push(text);
        pending.push(failureOf(ask(`pod-${load.asked}`)).then(note));
        await pause(POD_PACE_MS);
      }
      await Promise.all(pending);
    })();
    const cas = new Set([before.data["ca.crt"]]);
    for (let rotation = 1; rotation <= ROTATIONS; rotation += 1) {
      await annotate("now");
      await waitFor(
        `the end of rotation ${rotation}`,
        async () => (await secret()).metadata.annotations?.[ROTATE_WEBHOOK_ANNOTATION] === undefined,
        120_000,
      );
      cas.add((await secret()).data["ca.crt"]);
    }
    const last = new X509Certificate(Buffer.from((await secret()).data["tls.crt"] ?? "", "base64"));
    await waitFor("the last certificate at both", () =>
      pods.every(({ shown }) => shown.has(last.serialNumber)),
    );
    load.running = false;
    await asking;
    await restarting;
    const whole = Array.from({ length: ROTATIONS }, () => ["trust", "seen", "issue", "drop"]).flat();
    const pass = failed.length === 0 && steps.join() === whole.join();
    const bound = `0 refused while the CA was replaced ${ROTATIONS} times, the writer killed after each of ${steps.length} steps`;
    verdict("webhook-ca-rotation", pass, { count: load.asked, failed: failed.length, bound });
    expect(failed).to.deep.equal([]);
    expect(steps).to.deep.equal(whole);
    expect(cas.size).to.equal(ROTATIONS + 1);
    const { data, metadata } = await secret();
    expect(Object.keys(data).sort()).to.deep.equal(["ca.crt", "ca.key", "path", "tls.crt", "tls.key"]);
    expect(metadata.annotations).to.have.property(WEBHOOK_CA_ANNOTATION, "Settled.");
    const ca = Buffer.from(data["ca.crt"] ?? "", "base64").toString("utf8");
    await waitFor("that CA alone in both configurations", async () => {
      const all = await Promise.all(
        ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"].map(plural =>
          kube.get<KubeObject>(`/apis/admissionregistration.k8s.io/v1/${plural}/${MODULE}`),
        ),
      );
      return all.flatMap(caBundlesOf).every(bundle => bundle === ca);
    });
  });

  it("is verified: a certificate of the CA that is forgotten is refused", async () => {
    const [, pod] = pods;
    const { certPem, keyPem } = createRoot(Date.now());
    const now = withNext(await ensureWebhookIdentity(kube, settings, systemClock));
    pod?.steering.present(withNext({ ...now, caCertPem: certPem, caKeyPem: keyPem }));
    await waitFor("a refusal", async () => (await failureOf(ask("stranger"))).includes("certificate"));
    pod?.steering.present(now);
    await waitFor("an admission", async () => (await failureOf(ask("back"))) === "");
  });
});
