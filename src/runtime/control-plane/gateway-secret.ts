import type { IngressGateway } from "../../api/mesh-config";
import { GATEWAY_SECRET_NAMES } from "../../api/mesh-config";
import { gatewaySecret, isGatewaySecret, readGatewaySecret } from "../../install/gateway-secret";
import type { InstallObject } from "../../install/object";
import { objectPath } from "../../install/object";
import type { Engine } from "../engine";
import type { KubeObject } from "../kube";
import { withQuery } from "../kube/client";
import { isConflict, isForbidden, isNotFound } from "../kube/errors";
import { getIfThere } from "../kube/read";
import type { KeeperOptions } from "../ownership";
import { createIfAbsent } from "../ownership";
import type { GatewayTrust } from "../../certificate/root-proof";
import { gatewayDue, gatewayTrust, issueGateway } from "../secrets/gateway-certificate";
import type { RootFollower } from "../secrets/root-follower";
import type { Settings } from "../settings";
import { KeyedWorker } from "./keyed-worker";

/** What the gateway's Secret is kept with. */
export interface GatewaySecretOptions extends KeeperOptions {
  readonly settings: Settings;
  readonly engine: Pick<Engine, "meshConfig" | "onMeshConfig">;
  readonly roots: Pick<RootFollower, "roots" | "onRoots">;
}

/** The Secret is looked at so often, so that a lost or changed one comes back, milliseconds. */
const LOOK_MS = 60_000;
/** Somebody else created the Secret between two requests: it is looked at again after so long, milliseconds. */
const RACE_MS = 1_000;
const KEY = "ingress gateway certificate";

/** Of a Secret that is not there yet, has not been read yet, or is somebody else's: nothing is proven. */
const UNKNOWN_TRUST: GatewayTrust = { trust: [], issuing: undefined, since: Infinity };

type Place = IngressGateway["secret"];

/**
 * Duty of the watcher: the Secret that MeshConfig's `certificate.ingressGateway` asks for, renewed at half its life, and
 * deleted when nobody asks for it any more. A Secret that the mesh did not make is left alone.
 *
 * The control plane has rights on {@link GATEWAY_SECRET_NAMES} only. Others need a Role of their owner's, and are forgotten
 * by a watcher that starts after they were given up.
 */
export class GatewaySecretKeeper {
  private readonly worker: KeyedWorker;
  private readonly subscriptions: readonly { close(): void }[];
  private timer: { cancel(): void } | undefined;
  private stopped = false;
  /** What the Secret at a path said when it was read last. */
  private seen: { readonly path: string; readonly trust: GatewayTrust } | undefined;
  /** Where this process has put a Secret. */
  private readonly made = new Map<string, Place>();

  constructor(private readonly options: GatewaySecretOptions) {
    this.worker = new KeyedWorker({ ...options, work: () => this.look() });
    const look = (): void => {
      this.worker.enqueue(KEY);
    };
    this.subscriptions = [options.engine.onMeshConfig(look), options.roots.onRoots(look)];
    look();
  }

  /**
   * What the Secret says about trust, as it was seen last; undefined: no gateway is asked for. One that could not be read
   * yet proves nothing, which is not the same as no gateway.
   */
  trust(): GatewayTrust | undefined {
    const gateway = this.options.engine.meshConfig().certificate.ingressGateway;
    if (gateway === undefined) return undefined;
    return this.seen?.path === secretPath(gateway.secret) ? this.seen.trust : UNKNOWN_TRUST;
  }

  stop(): void {
    this.stopped = true;
    for (const subscription of this.subscriptions) subscription.close();
    this.timer?.cancel();
    this.worker.stop();
  }

  private async look(): Promise<void> {
    const gateway = this.options.engine.meshConfig().certificate.ingressGateway;
    this.timer?.cancel();
    if (gateway === undefined) this.seen = undefined;
    const due = gateway && (await this.keep(gateway));
    // Afterwards: a Secret that cannot be deleted must not stop the one that is in use.
    await this.deleteOthers(gateway?.secret);
    if (due === undefined || this.stopped) return;
    const { clock } = this.options;
    this.timer = clock.setTimeout(
      () => {
        this.worker.enqueue(KEY);
      },
      Math.max(0, Math.min(LOOK_MS, due - clock.now())),
    );
  }

  /** Brings the Secret to what is asked for; answers when it has to be looked at again, epoch milliseconds. */
  private async keep(gateway: IngressGateway): Promise<number> {
    const { kube, settings, roots, clock, log } = this.options;
    const path = secretPath(gateway.secret);
    const issue = { gateway, roots: roots.roots(), now: clock.now() };
    const live = await this.read(path);
    if (live !== undefined && !isGatewaySecret(settings, live)) {
      this.seen = { path, trust: UNKNOWN_TRUST };
      log.error("a Secret of somebody else stands where the ingress gateway's should be", gateway.secret);
      return Infinity;
    }
    const held = live && readGatewaySecret(live);
    if (live !== undefined) this.made.set(path, gateway.secret);
    this.seen = { path, trust: held === undefined ? UNKNOWN_TRUST : gatewayTrust(held, issue) };
    const due = held === undefined ? issue.now : gatewayDue(held, issue);
    if (due > issue.now) return due;
    const material = await issueGateway(issue);
    const wanted = gatewaySecret(settings, gateway.secret, material);
    if (live === undefined) {
      if (!(await createIfAbsent(kube, wanted))) return issue.now + RACE_MS;
      this.made.set(path, gateway.secret);
    } else await kube.mergePatch(path, { data: wanted.data });
    log.info("issued the ingress gateway's certificate", gateway.secret);
    this.seen = { path, trust: gatewayTrust(material, issue) };
    return gatewayDue(material, issue);
  }

  private async deleteOthers(wanted: Place | undefined): Promise<void> {
    const { log } = this.options;
    const keep = wanted && secretPath(wanted);
    const found = (await this.ours()).map(place => [secretPath(place), place] as const);
    for (const [path, place] of new Map([...this.made, ...found])) {
      if (path === keep) continue;
      try {
        if (await this.deleteOwn(path))
          log.info("deleted a certificate that no ingress gateway uses any more", place);
      } catch (error) {
        if (!isForbidden(error)) throw error;
        log.warn(
          "may not delete a certificate that no ingress gateway uses any more; left to its owner",
          place,
        );
      }
      this.made.delete(path);
    }
  }

  /** Deletes the Secret there if it is the mesh's, and that very one; answers whether it was. */
  private async deleteOwn(path: string): Promise<boolean> {
    const { kube, settings } = this.options;
    const live = await this.read(path);
    if (live === undefined || !isGatewaySecret(settings, live)) return false;
    try {
      await kube.delete(path, (live as unknown as KubeObject).metadata.uid);
      return true;
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return false;
      throw error;
    }
  }

  /** Secrets of the mesh under the names it has rights on, in any namespace. */
  private async ours(): Promise<readonly Place[]> {
    const { kube, settings } = this.options;
    const found = await Promise.all(
      GATEWAY_SECRET_NAMES.map(name =>
        kube.get<{ readonly items: readonly KubeObject[] }>(
          withQuery("/api/v1/secrets", { fieldSelector: `metadata.name=${name}` }),
        ),
      ),
    );
    return found
      .flatMap(({ items }) => items)
      .filter(secret => isGatewaySecret(settings, secret))
      .map(({ metadata }) => ({ name: metadata.name, namespace: metadata.namespace ?? "" }));
  }

  private read(path: string): Promise<InstallObject | undefined> {
    return getIfThere<InstallObject>(this.options.kube, path);
  }
}

function secretPath({ name, namespace }: Place): string {
  return objectPath({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace } });
}
