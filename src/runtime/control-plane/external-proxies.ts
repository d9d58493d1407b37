import { apiKind } from "../../api/kinds";
import { fieldsOf, textOf } from "../../api/field";
import { ingestExternalWorkload } from "../../ingest/external-workload";
import type { KubeObject } from "../kube";
import { isConflict, isNotFound } from "../kube/errors";
import { startInformer, type Informer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import type { Authority } from "../secrets/authority";
import { externalDue, issueExternal, type ExternalProxyRequest } from "../secrets/external-certificate";
import { KeyedWorker } from "./keyed-worker";

/** What external proxies are certified with. */
export interface ExternalProxyOptions extends KeeperOptions {
  /** Issues to the control plane and to those who prove themselves to it. */
  readonly authority: Authority;
  /** What verifies the control plane, PEM; handed out with the certificates. */
  readonly rootsPem: () => string;
}

/** Certificates are looked at so often, milliseconds: half of their life is hours. */
const LOOK_MS = 60_000;

const ROW = apiKind("ExternalWorkload");
const GROUP_PATH = `/apis/${ROW?.group ?? ""}/${ROW?.version ?? ""}`;
const PLURAL = ROW?.plural ?? "";

/** What an object asks for; undefined: nothing, or its fields are wrong. */
function requestOf(object: unknown): ExternalProxyRequest | undefined {
  const { value } = ingestExternalWorkload(object);
  const publicKey = value?.external?.publicKey ?? "";
  if (value === undefined || publicKey === "" || value.terminating) return undefined;
  const { certificate, trust, notAfter } = fieldsOf(fieldsOf(fieldsOf(object)["status"])["proxy"]);
  const held = Object.fromEntries(
    Object.entries({ certificate, trust, notAfter }).flatMap(([name, written]) => {
      const text = textOf(written);
      return text === undefined ? [] : [[name, text] as const];
    }),
  );
  return { namespace: value.namespace, name: value.name, uid: value.uid, publicKey, held };
}

/**
 * Duty of the watcher: certifies the key that an ExternalWorkload names, and again at half of the certificate's life, in the
 * object's status. Whoever may create an ExternalWorkload may thereby act as any account of its namespace, like someone who
 * may create pods; nobody else can, because the certificate is of no use without the private key.
 */
export class ExternalProxyKeeper {
  private readonly worker: KeyedWorker;
  private readonly informer: Informer<ExternalProxyRequest>;
  private timer: { cancel(): void };

  constructor(private readonly options: ExternalProxyOptions) {
    this.worker = new KeyedWorker({ ...options, work: key => this.certify(key) });
    this.informer = startInformer<ExternalProxyRequest>({
      ...options,
      source: { kind: "ExternalWorkload", path: `${GROUP_PATH}/${PLURAL}`, project: requestOf },
      onChange: change => {
        if (change.type === "reset") this.lookAtAll();
        else if (change.type === "upsert") this.lookAt(change.key, change.value);
      },
    });
    const tick = (): { cancel(): void } =>
      options.clock.setTimeout(() => {
        this.timer = tick();
        this.lookAtAll();
      }, LOOK_MS);
    this.timer = tick();
  }

  stop(): void {
    this.timer.cancel();
    this.informer.stop();
    this.worker.stop();
  }

  /** To be called when the authority has changed. */
  lookAtAll(): void {
    for (const [key, request] of this.informer.values()) this.lookAt(key, request);
  }

  private lookAt(key: string, request: ExternalProxyRequest): void {
    if (this.isDue(request)) this.worker.enqueue(key);
  }

  private isDue(request: ExternalProxyRequest | undefined): request is ExternalProxyRequest {
    const { authority, rootsPem, clock } = this.options;
    return request !== undefined && externalDue(request, authority, rootsPem()) <= clock.now();
  }

  private async certify(key: string): Promise<void> {
    const { authority, rootsPem, clock, kube, log } = this.options;
    const request = this.informer.get(key);
    if (!this.isDue(request)) return;
    const { namespace, name, uid } = request;
    const proxy = issueExternal(request, { authority, trust: rootsPem(), now: clock.now() });
    const path = `${GROUP_PATH}/namespaces/${namespace}/${PLURAL}/${name}/status`;
    try {
      // The uid makes it that very object: another of the same name gets its own.
      await kube.mergePatch<KubeObject>(path, { metadata: { uid }, status: { proxy } });
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return;
      throw error;
    }
    log.info("certified the key of an external proxy", { namespace, name, until: proxy.notAfter });
  }
}
