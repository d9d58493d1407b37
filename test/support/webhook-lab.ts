import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import os from "node:os";
import path from "node:path";
import description from "../../package.json";
import { injectionWebhook, validationWebhook } from "../../src/install/webhooks";
import { SIDECAR_CONTAINER } from "../../src/model/mesh-words";
import type { KubeObject } from "../../src/runtime/kube";
import { KubeError } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { readSettings } from "../../src/runtime/settings";
import { ChildProgram } from "./child-program";
import { freePort, startApiServerForTest, type TestApiServer } from "./kube-apiserver";
import { waitFor } from "./wait";
import type { Webhook, WebhookPlace } from "./webhook-app";
import { kubeconfigOf } from "./kubeconfig";

/** What became of a pod that was asked for. */
export type PodOutcome = "injected" | "bare" | `refused ${string}`;

interface PodView extends KubeObject {
  readonly spec?: Readonly<
    Record<"containers" | "initContainers", readonly { readonly name: string }[] | undefined>
  >;
}

const NAMESPACE = "shop";

/** Pepr keeps a store of its own; its definition comes with `pepr deploy`. */
const PEPR_STORE = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "peprstores.pepr.dev" },
  spec: {
    group: "pepr.dev",
    scope: "Namespaced",
    names: { plural: "peprstores", singular: "peprstore", kind: "PeprStore" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};

/** A real API server that asks the mesh's real webhook, which is Pepr's server in a process of its own. */
export class WebhookLab {
  private constructor(
    readonly api: TestApiServer,
    readonly kube: ClosableKubeClient,
    readonly webhook: ChildProgram<Webhook>,
    readonly place: WebhookPlace & { readonly folder: string },
  ) {}

  static async start(): Promise<WebhookLab> {
    const api = await startApiServerForTest();
    const kube = api.client();
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-webhook-lab-"));
    const kubeconfig = path.join(folder, "kubeconfig");
    const { ca, token } = api;
    const server = `https://127.0.0.1:${api.port}`;
    writeFileSync(kubeconfig, kubeconfigOf({ server, ca, token }));
    await kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", PEPR_STORE);
    const labels = { "openservicemesh.io/monitored-by": "osm" };
    const annotations = { "openservicemesh.io/sidecar-injection": "enabled" };
    await kube.create("/api/v1/namespaces", { metadata: { name: "pepr-system" } });
    await kube.create("/api/v1/namespaces", { metadata: { name: NAMESPACE, labels, annotations } });
    const env = {
      // Memory as a pod of the control plane uses it.
      ...description.pepr.env,
      OSM_TEST_FOLDER: folder,
      KUBECONFIG: kubeconfig,
      LOG_LEVEL: "error",
      PEPR_NODE_WARNINGS: "true",
    };
    // Nobody reads what is logged of abuse.
    const webhook = ChildProgram.start<Webhook>("test/support/webhook-app.ts", { env, mute: true });
    const place = await webhook.ask("start", { port: await freePort(), server, ca, token });
    const lab = new WebhookLab(api, kube, webhook, { ...place, folder });
    await lab.register();
    return lab;
  }

  /** What the API server says to a pod: it is tried, not stored. */
  async tryPod(
    name: string,
    environment: readonly { readonly name: string; readonly value: string }[],
  ): Promise<PodOutcome> {
    const container = { name: "app", image: "app", env: environment };
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: NAMESPACE },
      spec: { serviceAccountName: "default", containers: [container] },
    };
    try {
      const path = `/api/v1/namespaces/${NAMESPACE}/pods?dryRun=All`;
      const { spec } = await this.kube.create<PodView>(path, pod as unknown as PodView);
      const all = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
      return all.some(({ name: of }) => of === SIDECAR_CONTAINER) ? "injected" : "bare";
    } catch (error) {
      if (!(error instanceof KubeError)) throw error;
      return `refused ${error.status}: ${error.message.slice(0, 300)}`;
    }
  }

  /** Calls the webhook past the API server; gives the HTTP status and what it said, or how the connection ended. */
  call(
    body: Buffer | string,
    options: { readonly secret?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { identity, port } = this.place;
    const { secret = identity.path, headers = {} } = options;
    return new Promise(resolve => {
      const failed = (error: Error): void => {
        resolve({ status: 0, text: error.message });
      };
      const asked = request(
        {
          host: "127.0.0.1",
          port,
          servername: "localhost",
          ca: identity.caCertPem,
          method: "POST",
          path: `/mutate/${secret}`,
          headers: { "content-type": "application/json", ...headers },
        },
        answer => {
          const parts: Buffer[] = [];
          answer.on("data", (part: Buffer) => parts.push(part)).on("error", failed);
          answer.on("end", () => {
            resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString() });
          });
        },
      );
      asked.setTimeout(120_000, () => asked.destroy(new Error("no answer")));
      asked.on("error", failed).end(body);
    });
  }

  async stop(): Promise<void> {
    await this.webhook.stop();
    this.kube.close();
    await this.api.stop();
    rmSync(this.place.folder, { recursive: true, force: true });
  }

  /** The product's own configurations, with the webhook's address on this machine in the place of its Service. */
  private async register(): Promise<void> {
    const { port, identity } = this.place;
    const settings = readSettings({}, "unused");
    const material = { caPem: identity.caCertPem, path: identity.path };
    for (const made of [injectionWebhook(settings, material), validationWebhook(settings, material)]) {
      const text = JSON.stringify(made).replaceAll(
        /"service":\{"name":"[^"]*","namespace":"[^"]*","path":"([^"]*)","port":443\}/g,
        `"url":"https://localhost:${port}$1"`,
      );
      const plural = `${(made as { kind: string }).kind.toLowerCase()}s`;
      const configurations = `/apis/admissionregistration.k8s.io/v1/${plural}`;
      await this.kube.create(configurations, JSON.parse(text) as KubeObject);
    }
    let last = "";
    const isInjected = async (): Promise<boolean> => (last = await this.tryPod("first", [])) === "injected";
    await waitFor("injection", isInjected, 120_000).catch((error: unknown) => {
      throw new Error(`${String(error)}, but ${last}`);
    });
  }
}
