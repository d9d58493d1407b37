import type { FleetTrust, GatewayTrust, RotationFacts } from "../../certificate/root-proof";
import {
  nextMove,
  stepRotation,
  type RotationState,
  type RotationStep,
} from "../../certificate/root-rotation";
import { wantedRoots } from "../../certificate/wanted-roots";
import { contained } from "../contained";
import type { OpenIssuer } from "../issuers/issuer";
import { startInformer, type Informer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import type { Authority } from "../secrets/authority";
import { builtInRoot, readRecord, rotationOf, writeRecord } from "../secrets/root-record";
import type { Settings } from "../settings";
import { KeyedWorker } from "./keyed-worker";
import { RootSchedule } from "./root-schedule";
import { ignoredFor, readRootObject, RootResolver, type RootObject } from "./root-objects";

/** What the rotation is driven with. */
export interface RootKeeperOptions extends KeeperOptions {
  readonly settings: Pick<Settings, "osmNamespace" | "trustDomain">;
  /** MeshConfig's `featureFlags.enableMeshRootCertificate`: while it is off, roots stay as they are. */
  readonly isEnabled: () => boolean;
  /** The built-in CA. */
  readonly authority: Authority;
  readonly openIssuer: OpenIssuer;
  /** What the live proxies have acknowledged; undefined: nobody counts. */
  readonly fleet: () => FleetTrust | undefined;
  /** The ingress gateway's Secret; undefined: there is none. */
  readonly gateway: () => GatewayTrust | undefined;
  /** Longest life of a leaf in use, milliseconds. */
  readonly leafLifeMs: () => number;
}

/** What the last step saw. */
export interface RootView {
  /** False: MeshRootCertificates are not followed, and roots stay as they are. */
  readonly enabled: boolean;
  readonly step: RotationStep;
  readonly objects: readonly RootObject[];
  /** Why nothing is known of an object's root, by its name. */
  readonly errors: ReadonlyMap<string, string>;
  /** When the next CA of an object is due, epoch milliseconds, by its name; of those that have a schedule. */
  readonly next: ReadonlyMap<string, number>;
  /** Live proxies. */
  readonly proxies: number;
}

/** Facts that are the same whichever move comes next. */
type FactsOfAll = Omit<RotationFacts, "ignored">;

/** Between two looks while something is asked for, milliseconds. */
const LOOK_MS = 1_000;
const KEY = "root of the workloads";

/**
 * Duty of the single writer: leads the workloads' root to what the MeshRootCertificates ask for, step by step, each
 * persisted before anything follows from it. Without such objects, and without a record of an earlier rotation, it does
 * nothing at all.
 */
export class RootKeeper {
  private readonly informer: Informer<RootObject>;
  private readonly worker: KeyedWorker;
  private readonly resolver: RootResolver;
  private readonly schedule: RootSchedule;
  private readonly listeners = new Set<(view: RootView) => void>();
  private timer: { cancel(): void } | undefined;
  /** undefined: not read yet. */
  private known: { readonly text: string | undefined; readonly state: RotationState } | undefined;
  private last: RootView | undefined;

  constructor(private readonly options: RootKeeperOptions) {
    const { settings, clock, log } = options;
    this.resolver = new RootResolver({ ...options, trustDomain: settings.trustDomain });
    this.schedule = new RootSchedule({ ...options, ...settings, log: log.child("roots") });
    this.worker = new KeyedWorker({ ...options, log: log.child("roots"), work: () => this.look() });
    this.informer = startInformer<RootObject>({
      ...options,
      clock,
      source: {
        kind: "MeshRootCertificate",
        path: `/apis/config.openservicemesh.io/v1alpha2/namespaces/${settings.osmNamespace}/meshrootcertificates`,
        project: readRootObject,
      },
      onChange: () => {
        this.worker.enqueue(KEY);
      },
    });
    void this.informer.synced.then(() => {
      this.worker.enqueue(KEY);
    });
  }

  /** undefined: nothing has been looked at yet. */
  get view(): RootView | undefined {
    return this.last;
  }

  /** Called after every step in which something happened or counts changed. */
  onView(listener: (view: RootView) => void): void {
    this.listeners.add(listener);
  }

  stop(): void {
    this.informer.stop();
    this.timer?.cancel();
    this.worker.stop();
    this.listeners.clear();
  }

  private async look(): Promise<void> {
    // Objects that have not been listed are not objects that are gone.
    if (!this.informer.isSynced) return;
    this.timer?.cancel();
    const objects = [...this.informer.values().values()];
    const { clock } = this.options;
    const known = (this.known ??= await this.read());
    const enabled = this.options.isEnabled();
    await this.ask(enabled ? objects : [], known.state);
    const facts = this.facts();
    const step = enabled ? this.step(known.state, objects, facts) : restOf(known.state);
    if (!(await this.keep(known, step))) return;
    const [errors, next] = [this.errorsOf(objects, step.state, facts.fleet), this.nextOf(objects)];
    this.tell({ enabled, step, objects, errors, next, proxies: countOf(facts.fleet) });
    if (objects.length === 0 && isAtRest(step, enabled)) return;
    const again = (): void => {
      this.worker.enqueue(KEY);
    };
    // A worker that has been stopped takes nothing in.
    this.timer = clock.setTimeout(again, LOOK_MS);
  }

  /** Makes CAs that are due, and asks the issuers. */
  private async ask(objects: readonly RootObject[], state: RotationState): Promise<void> {
    const renewed = await this.schedule.look(objects, state);
    for (const name of renewed) this.resolver.forget(name);
    await this.resolver.look(objects.filter(({ role }) => role !== "inactive"));
  }

  private step(state: RotationState, objects: readonly RootObject[], facts: FactsOfAll): RotationStep {
    const requests = objects.map(object => this.resolver.requestOf(object));
    const wanted = wantedRoots(requests, builtInRoot(this.options.authority), state);
    const ignored = ignoredFor(nextMove(state, wanted)?.root.owner, objects);
    return stepRotation(state, wanted, { ...facts, ignored });
  }

  private facts(): FactsOfAll {
    const { clock, fleet, gateway, leafLifeMs, settings } = this.options;
    const { trustDomain } = settings;
    return { now: clock.now(), fleet: fleet(), gateway: gateway(), leafLifeMs: leafLifeMs(), trustDomain };
  }

  private async read(): Promise<NonNullable<RootKeeper["known"]>> {
    const { settings, authority, kube } = this.options;
    const text = await readRecord({ kube, namespace: settings.osmNamespace });
    return { text, state: rotationOf(text, authority) };
  }

  /** Persists what has to survive; false: somebody else has written, and all is looked at again. */
  private async keep(
    known: NonNullable<RootKeeper["known"]>,
    { state, made }: RotationStep,
  ): Promise<boolean> {
    const { settings, authority, kube, log } = this.options;
    const same = sameKeys(known.state.absent, state.absent) && sameKeys(known.state.past, state.past);
    if (made === undefined && same) {
      this.known = { text: known.text, state };
      return true;
    }
    const place = { kube, namespace: settings.osmNamespace };
    // Whatever happens to the request: what stands there then decides.
    this.known = undefined;
    const text = await writeRecord(place, known.text, state);
    const written = rotationOf(text, authority);
    this.known = { text, state: { ...state, ...written } };
    if (text !== known.text && !sameRoots(written, state)) {
      log.warn("somebody else writes the record of the root's rotation");
      this.known = { text, state: written };
      this.worker.enqueue(KEY);
      return false;
    }
    if (made !== undefined)
      log.info(`the workloads' root: ${made.kind}`, {
        root: made.root.owner ?? "built-in",
        fingerprint: made.root.fingerprint,
        without: state.made.at(-1)?.without ?? [],
      });
    return true;
  }

  private errorsOf(
    objects: readonly RootObject[],
    { roots, issuing }: RotationState,
    fleet: FleetTrust | undefined,
  ): ReadonlyMap<string, string> {
    const issuer = roots.find(({ fingerprint }) => fingerprint === issuing)?.owner;
    // What a replica meets that asks for leaves is known before the next look at the issuer itself.
    const trouble = fleet?.replicas.find(replica => replica.issuing === issuing && replica.trouble)?.trouble;
    return new Map(
      objects.flatMap(({ name }) => {
        const met = name === issuer ? trouble : undefined;
        const error = this.resolver.errorOf(name) ?? this.schedule.errorOf(name) ?? met;
        return error === undefined ? [] : [[name, error] as const];
      }),
    );
  }

  private nextOf(objects: readonly RootObject[]): ReadonlyMap<string, number> {
    return new Map(
      objects.flatMap(({ name }) => {
        const next = this.schedule.nextOf(name);
        return next === undefined ? [] : [[name, next] as const];
      }),
    );
  }

  private tell(view: RootView): void {
    this.last = view;
    for (const listener of [...this.listeners]) {
      contained(this.options.log, "the rotation has moved", () => {
        listener(view);
      });
    }
  }
}

/** No step at all. */
function restOf(state: RotationState): RotationStep {
  return { state, made: undefined, next: undefined, proof: undefined, text: "Roots stay as they are." };
}

/**
 * Whether only a new object can bring the next step. While the feature flag is off that is so for the built-in root alone:
 * from any other the way back begins when the flag is set again, which nobody tells.
 */
function isAtRest({ next, made, state }: RotationStep, enabled: boolean): boolean {
  if (next !== undefined || made !== undefined || state.past !== undefined) return false;
  return enabled || state.roots.every(({ owner }) => owner === undefined);
}

function countOf(fleet: FleetTrust | undefined): number {
  return fleet === undefined ? 0 : fleet.proxies.length + fleet.absent.size;
}

/** Whether two records are about the same: who is away, say, whatever is said of each. */
export function sameKeys(a: object = {}, b: object = {}): boolean {
  const [one, other] = [Object.keys(a), Object.keys(b)];
  return one.length === other.length && one.every(key => key in b);
}

function sameRoots(a: RotationState, b: RotationState): boolean {
  const print = ({ roots, issuing }: RotationState): string =>
    [issuing, ...roots.map(({ fingerprint }) => fingerprint)].join(" ");
  return print(a) === print(b);
}
