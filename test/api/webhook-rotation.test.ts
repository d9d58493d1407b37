import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { expect } from "chai";
import { WEBHOOK_DNS_NAMES } from "../../src/install/names";
import { webhookSecret, webhookSecretData, type WebhookIdentity } from "../../src/install/webhook-secret";
import { systemClock } from "../../src/runtime/clock";
import {
  ensureWebhookIdentity,
  followWebhookIdentity,
} from "../../src/runtime/control-plane/webhook-identity";
import { steerWebhookServer, type WebhookServer } from "../../src/runtime/control-plane/webhook-server";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { silentLog } from "../../src/runtime/log";
import { issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import { readSettings } from "../../src/runtime/settings";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const CALLS = process.env["OSM_FULL"] === "1" ? 3_000 : 150;
/** Between two writes that the webhook has to admit, and between two certificates. */
const PACE_MS = 15;
const ROTATE_MS = 150;
const settings = readSettings({}, "unused");
const NAMES = [...WEBHOOK_DNS_NAMES, "localhost"];
const MAPS = "/api/v1/namespaces/default/configmaps";

/** The identity with another serving certificate, which a server on this machine may show as well. */
function withNext(identity: WebhookIdentity): WebhookIdentity {
  const authority = loadAuthority(identity.caCertPem, identity.caKeyPem);
  const lifetime = { now: Date.now(), validityMs: 86_400_000 };
  const { certPem, keyPem } = issueServing(authority, NAMES, lifetime);
  return { ...identity, certPem, keyPem };
}

describe("the webhook's certificate, replaced while a real API server calls", function () {
  this.timeout(300_000);
  let api: TestApiServer;
  let kube: ClosableKubeClient;
  let server: Server;
  let steering: WebhookServer;
  let follower: { stop(): void };
  let identity: WebhookIdentity;
  const shown = new Set<string>();

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
    server = createServer({ key: identity.keyPem, cert: identity.certPem }, (request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const certificate = (request.socket as TLSSocket).getCertificate();
        if (certificate !== null && "serialNumber" in certificate) shown.add(certificate.serialNumber);
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
    steering = steerWebhookServer(port);
    const options = { kube, clock: systemClock, random: Math.random, log: silentLog };
    follower = followWebhookIdentity(settings, options, next => {
      steering.present(next);
    });
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
            url: `https://localhost:${port}/`,
            caBundle: Buffer.from(identity.caCertPem).toString("base64"),
          },
          rules: [rule],
        },
      ],
    });
    await waitFor("the first call", async () => {
      await write(0).catch(() => undefined);
      return shown.size > 0;
    });
  });
  after(async () => {
    (follower as typeof follower | undefined)?.stop();
    (steering as WebhookServer | undefined)?.stop();
    (server as Server | undefined)?.closeAllConnections();
    (server as Server | undefined)?.close();
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
      return shown.size > 2;
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
