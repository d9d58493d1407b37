/** The mesh's webhook as it runs in a pod, Pepr's server and all, in a process of its own before a real API server. */
import os from "node:os";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { WEBHOOK_DNS_NAMES } from "../../src/install/names";
import { webhookSecret, webhookSecretData, type WebhookIdentity } from "../../src/install/webhook-secret";
import { systemClock } from "../../src/runtime/clock";
import { startControlPlane } from "../../src/runtime/control-plane/start";
import { ensureWebhookIdentity } from "../../src/runtime/control-plane/webhook-identity";
import { createKubeClient } from "../../src/runtime/kube/client";
import { createLog } from "../../src/runtime/log";
import { issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import { readSettings } from "../../src/runtime/settings";
import { answerParent } from "./child-program";

/** Where it is to be found, and by which secret path. */
export interface WebhookPlace {
  readonly port: number;
  readonly identity: WebhookIdentity;
}

/** What the process is like at a moment. */
export interface WebhookReading {
  readonly rssMegabytes: number;
  readonly cpuSeconds: number;
  readonly lagP99Ms: number;
}

const lag = monitorEventLoopDelay({ resolution: 10 });

const answers = {
  start: async (options: {
    readonly port: number;
    readonly server: string;
    readonly ca: string;
    readonly token: string;
  }): Promise<WebhookPlace> => {
    const { server, ca, token, port } = options;
    // Pepr reads its variables when it is imported; and it is long in coming, in which a watch would go silent.
    const { PeprModule } = await import("pepr");
    const { capabilities } = await import("../../capabilities/index");
    const { default: description } = await import("../../package.json");
    const kube = createKubeClient({ server, current: () => ({ ca, token }) });
    const settings = readSettings({}, process.env["OSM_TEST_FOLDER"] ?? os.tmpdir());
    const log = createLog({
      level: "warn",
      clock: systemClock,
      component: "webhook",
      stream: process.stderr,
    });
    const common = { kube, settings, log, clock: systemClock, random: Math.random };
    const start = (role: "outside" | "admission") =>
      startControlPlane({
        ...common,
        role,
        env: process.env,
        version: "0",
        exit: () => process.exit(0),
        ads: { hosts: ["127.0.0.1"], port: 0 },
        healthPort: 0,
        ledger: { host: "127.0.0.1", port: 0 },
        webhookPort: port,
      });
    // What the writer makes first: namespace, definitions, MeshConfig, CA.
    const writer = await start("outside");
    const made = await ensureWebhookIdentity(kube, settings, systemClock);
    // The API server of a test calls by a name of loopback.
    const lifetime = { now: Date.now(), validityMs: 86_400_000 };
    const authority = loadAuthority(made.caCertPem, made.caKeyPem);
    const identity = { ...made, ...issueServing(authority, [...WEBHOOK_DNS_NAMES, "localhost"], lifetime) };
    const { namespace = "", name } = webhookSecret(settings, identity).metadata;
    const secret = `/api/v1/namespaces/${namespace}/secrets/${name}`;
    await kube.mergePatch(secret, { data: webhookSecretData(identity) });
    await writer.stop();
    const plane = await start("admission");
    new PeprModule(description, capabilities(plane.actions), { deferStart: true }).start(port);
    plane.constructed();
    lag.enable();
    return { port, identity };
  },
  read: (): WebhookReading => {
    const { user, system } = process.cpuUsage();
    const reading = {
      rssMegabytes: process.memoryUsage.rss() / 2 ** 20,
      cpuSeconds: (user + system) / 1e6,
      lagP99Ms: lag.percentile(99) / 1e6,
    };
    lag.reset();
    return reading;
  },
};

/** What it can be asked. */
export type Webhook = typeof answers;

answerParent(answers);
