import type { InstallObject } from "../install/object";
import { collectionPath, objectPath } from "../install/object";
import { isAsWanted } from "../install/covers";
import type { OwnedObject } from "../install/owned";
import { KeyedWorker } from "./control-plane/keyed-worker";
import type { KubeClient, KubeObject } from "./kube";
import { isConflict } from "./kube/errors";
import type { Informer } from "./kube/informer";
import { startInformer } from "./kube/informer";
import type { Clock, Log } from "./ports";

/** One object that is kept as it should be. */
export interface KeptObject {
  /** Names the object. */
  readonly object: Pick<InstallObject, "apiVersion" | "kind" | "metadata">;
  /** What must be applied given what there is (undefined: it does not exist); undefined when all is well. */
  readonly correction: (live: InstallObject | undefined) => OwnedObject | undefined;
}

/** What the keeper works with. */
export interface KeeperOptions {
  readonly kube: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Called with the kind of every object that had to be made or repaired. */
  readonly onRepair?: (kind: string) => void;
}

/** Repairs until it is stopped. */
export interface Keeper {
  /** Resolves when every object has been seen and is as it should be. */
  readonly settled: Promise<void>;
  stop(): void;
}

/** A kept object that always should be exactly this, whoever changes or deletes it. */
export function keptAs(owned: OwnedObject): KeptObject {
  return {
    object: owned.object,
    correction: live => (live !== undefined && isAsWanted(live, owned.object) ? undefined : owned),
  };
}

/** Writes an object as a whole, whether it exists or not. */
export async function applyObject(kube: KubeClient, owned: OwnedObject): Promise<void> {
  await kube.apply(objectPath(owned.object), owned.object as KubeObject, owned.manager);
}

/** Creates an object; false when it exists already. */
export async function createIfAbsent(kube: KubeClient, object: InstallObject): Promise<boolean> {
  try {
    await kube.create(collectionPath(object), object as KubeObject);
    return true;
  } catch (error) {
    if (isConflict(error)) return false;
    throw error;
  }
}

/** Wait between corrections that did not last, in milliseconds: somebody else wants it otherwise, or values are rewritten. */
const DISPUTE_MS = [0, 0, 0, 0, 0, 500, 2_000, 10_000] as const;
/** A correction that lasted so long was no part of a dispute. */
const PEACE_MS = 15_000;

/** Follows one object and corrects it. */
class Watchman {
  private readonly informer: Informer<InstallObject>;
  private readonly worker: KeyedWorker;
  private disputes = 0;
  private lastCorrection = -Infinity;
  /** Changes seen so far, and how many had been seen when the last correction was made. */
  private seen = 0;
  private corrected = -1;
  readonly settled: Promise<void>;
  private resolveSettled: () => void = () => undefined;

  constructor(
    private readonly kept: KeptObject,
    private readonly options: KeeperOptions,
  ) {
    this.settled = new Promise(resolve => (this.resolveSettled = resolve));
    this.worker = new KeyedWorker({ ...options, work: () => this.look() });
    const { object } = kept;
    this.informer = startInformer<InstallObject>({
      ...options,
      source: {
        kind: object.kind,
        path: collectionPath(object),
        fieldSelector: `metadata.name=${object.metadata.name}`,
        project: found => found as unknown as InstallObject,
      },
      onChange: () => {
        this.seen += 1;
        this.worker.enqueue(object.metadata.name);
      },
    });
    // A collection that is empty may be reported without any change.
    void this.informer.synced.then(() => {
      this.worker.enqueue(object.metadata.name);
    });
  }

  stop(): void {
    this.informer.stop();
    this.worker.stop();
  }

  private async look(): Promise<void> {
    // What has been corrected is not corrected again before there is news of it.
    if (this.seen === this.corrected) return;
    if (this.kept.correction(this.live()) !== undefined) await this.waitInDispute();
    // Only now, because a wait is long enough for the object to become another one.
    const seen = this.seen;
    const live = this.live();
    const correction = this.kept.correction(live);
    if (correction === undefined) {
      this.resolveSettled();
      return;
    }
    const { kind, metadata } = correction.object;
    await applyObject(this.options.kube, correction);
    this.corrected = seen;
    this.options.onRepair?.(kind);
    this.options.log.info(live === undefined ? "created" : "repaired", { kind, name: metadata.name });
  }

  private live(): InstallObject | undefined {
    return [...this.informer.values().values()][0];
  }

  /** The first corrections are immediate; against somebody who insists they become rare, and are logged. */
  private async waitInDispute(): Promise<void> {
    const { clock, log } = this.options;
    this.disputes = clock.now() - this.lastCorrection > PEACE_MS ? 0 : this.disputes + 1;
    this.lastCorrection = clock.now();
    const wait = DISPUTE_MS[Math.min(this.disputes, DISPUTE_MS.length - 1)] ?? 0;
    if (wait === 0) return;
    const { kind, metadata } = this.kept.object;
    log.warn("keeps being changed by somebody else", { kind, name: metadata.name, waitMs: wait });
    await new Promise<void>(resolve => clock.setTimeout(resolve, wait));
  }
}

/** Starts keeping objects: each is looked at now, at every change and after deletion. */
export function keep(objects: readonly KeptObject[], options: KeeperOptions): Keeper {
  const watchmen = objects.map(kept => new Watchman(kept, options));
  return {
    settled: Promise.all(watchmen.map(watchman => watchman.settled)).then(() => undefined),
    stop: () => {
      for (const watchman of watchmen) watchman.stop();
    },
  };
}
