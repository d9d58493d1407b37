import { createPublicKey, X509Certificate } from "node:crypto";
import { fieldsOf, textOf } from "../../api/field";
import {
  keysOf,
  newestOf,
  ownFleet,
  ownText,
  printOwnRoots,
  type OwnKey,
  type OwnRoots,
} from "../../certificate/own-root";
import { planRoot } from "../../certificate/plan";
import type { FleetTrust, RotationFacts } from "../../certificate/root-proof";
import { nextMove, stepRotation, type RotationStep, type TrustedRoot } from "../../certificate/root-rotation";
import { CA_SECRET_NAME } from "../../model/mesh-words";
import type { KubeObject } from "../kube";
import type { KeeperOptions } from "../ownership";
import { createRoot, loadAuthority, type Authority } from "../secrets/authority";
import { EXTERNAL_VALIDITY_MS } from "../secrets/external-certificate";
import { OWN_ROOTS_KEY, ownRootsOf, ownRootsText, type OwnAuthority } from "../secrets/own-authority";
import { builtInRoot } from "../secrets/root-record";
import type { Settings } from "../settings";
import { KeyedWorker } from "./keyed-worker";
import { sameKeys } from "./root-keeper";

/** Annotation of the CA's Secret: another word in it asks for another root of the control plane. */
export const ROTATE_OWN_ANNOTATION = "openservicemesh.io/rotate-control-plane-root";
/**
 * Annotation of the CA's Secret: proxies (`namespace/pod`, by commas) that such a rotation does not wait for; `*`: all. It is of
 * one rotation: it is taken away when that has come to its end, so that the next one waits for everybody again.
 */
export const OWN_WITHOUT_ANNOTATION = "openservicemesh.io/control-plane-root-without";
/** Annotation of the CA's Secret in which the mesh says how far the rotation is. */
export const OWN_STATUS_ANNOTATION = "openservicemesh.io/control-plane-root";

/** The kubelet writes a changed ConfigMap into pods within a minute and a half; milliseconds. */
const FILES_TAKE_MS = 120_000;
/** Between two looks: while something is under way, and while nothing is; milliseconds. */
const LOOK_MS = 1_000;
const REST_MS = 15_000;
/** Share of a CA's life that is left when the next one is made unasked. */
const LEFT = 1 / 3;
const KEY = "root of the control plane";
/** As a merge patch of annotations. */
const WITHOUT_NOBODY = { [OWN_WITHOUT_ANNOTATION]: null };

/** What the rotation of the control plane's own root is driven with. */
export interface OwnRootKeeperOptions extends KeeperOptions {
  readonly settings: Pick<Settings, "osmNamespace">;
  /** The CA that is there when nothing has been rotated. */
  readonly builtIn: Authority;
  /** What this process itself uses by now. */
  readonly authority: OwnAuthority;
  /** What the replicas tell; undefined: nobody counts. */
  readonly fleet: () => FleetTrust | undefined;
  /** Whether every namespace of the mesh has the roots that the control plane's pods are to trust. */
  readonly isDistributed: () => boolean;
  /** Default {@link FILES_TAKE_MS}; milliseconds. */
  readonly filesTakeMs?: number;
  /** Called with every step, once it is written. */
  readonly onStep?: (step: RotationStep) => void;
}

interface CaSecret extends KubeObject {
  readonly metadata: KubeObject["metadata"] & { readonly annotations?: Readonly<Record<string, string>> };
}

/** A new CA of the control plane's. */
interface Candidate extends OwnKey {
  readonly root: TrustedRoot;
}

/** What a step was made from. */
interface Origin {
  readonly own: OwnRoots;
  readonly asked: string;
  readonly candidate: Candidate | undefined;
}

function annotationOf({ metadata }: CaSecret, name: string): string | undefined {
  return textOf(fieldsOf(metadata.annotations)[name]);
}

/**
 * Duty of the single writer: another root for what the control plane itself presents, when it is asked for or the present one
 * comes to its end. Trust both, issue, drop, each persisted in the CA's Secret before anything follows from it.
 */
export class OwnRootKeeper {
  private readonly worker: KeyedWorker;
  private timer: { cancel(): void } | undefined;
  private distributedSince: number | undefined;
  private distributed = "";
  /** What is not persisted (since when a proof has stood, and who was counted), under what is. */
  private memory: RotationStep["state"] | undefined;

  constructor(private readonly options: OwnRootKeeperOptions) {
    this.worker = new KeyedWorker({
      ...options,
      log: options.log.child("own-root"),
      work: () => this.look(),
    });
    this.worker.enqueue(KEY);
  }

  stop(): void {
    this.timer?.cancel();
    this.worker.stop();
  }

  private get path(): string {
    return `/api/v1/namespaces/${this.options.settings.osmNamespace}/secrets/${CA_SECRET_NAME}`;
  }

  private async look(): Promise<void> {
    this.timer?.cancel();
    const { kube, builtIn, clock } = this.options;
    const secret = await kube.get<CaSecret>(this.path);
    const own = ownRootsOf(ownRootsText(secret), builtIn);
    const isUnderWay = await this.advance(secret, own);
    const again = (): void => {
      this.worker.enqueue(KEY);
    };
    this.timer = clock.setTimeout(again, isUnderWay ? LOOK_MS : REST_MS);
  }

  /** Makes the next move, if there is one; whether something is under way. */
  private async advance(secret: CaSecret, own: OwnRoots): Promise<boolean> {
    const asked = annotationOf(secret, ROTATE_OWN_ANNOTATION) ?? own.asked;
    const candidate = this.candidate(own, asked);
    const state = { ...this.memory, ...own.rotation };
    const newest = candidate?.root ?? newestOf(own.rotation);
    const wanted = { issuing: newest.fingerprint, roots: [newest] };
    const move = nextMove(state, wanted);
    if (move === undefined) return this.rest(secret);
    if (move.kind !== "trust" && !this.isKnownHere(own)) return true;
    if (move.kind === "issue" && !this.filesHold()) {
      await this.say(secret, "Both roots are being written into the pods.");
      return true;
    }
    const step = stepRotation(state, wanted, this.facts(secret, move.kind === "issue" ? "issue" : "drop"));
    await this.take(secret, step, { own, asked, candidate });
    return true;
  }

  /** Says so, where something has been said before; whom not to wait for is nobody now. */
  private async rest(secret: CaSecret): Promise<false> {
    const said = annotationOf(secret, OWN_STATUS_ANNOTATION);
    const over = annotationOf(secret, OWN_WITHOUT_ANNOTATION) === undefined ? {} : WITHOUT_NOBODY;
    await this.annotate(secret, said === undefined ? over : { ...over, [OWN_STATUS_ANNOTATION]: "Settled." });
    return false;
  }

  private async take(secret: CaSecret, step: RotationStep, from: Origin): Promise<void> {
    this.memory = step.state;
    const text = step.proof === undefined ? step.text : ownText(step.proof);
    // Who is away is waited for a while that begins once: it must not begin again with each look, or each writer.
    const isSame = step.made === undefined && sameKeys(from.own.rotation.absent, step.state.absent);
    if (isSame) await this.say(secret, text);
    else await this.persist(secret, { ...step, text }, from);
    this.options.onStep?.(step);
  }

  /** Another CA, where one is asked for or the present one has little of its life left, and nothing is under way. */
  private candidate({ rotation, asked: before }: OwnRoots, asked: string): Candidate | undefined {
    const { authority, clock } = this.options;
    const [root, ...more] = rotation.roots;
    if (root === undefined || more.length > 0 || authority.fingerprint !== root.fingerprint) return undefined;
    if (asked === before && !isEnding(root.anchorsPem, clock.now())) return undefined;
    const now = clock.now();
    const commonName = `osm-control-plane-${now.toString(36)}.openservicemesh.io`;
    const { certPem, keyPem } = createRoot(now, commonName);
    const publicKey = createPublicKey(certPem).export({ type: "spki", format: "der" });
    const crossPem = authority.crossSign(planRoot(now, commonName), publicKey);
    return { root: builtInRoot(loadAuthority(certPem, keyPem)), keyPem, crossPem };
  }

  /** What is written elsewhere follows from what this process has read of the record. */
  private isKnownHere({ rotation }: OwnRoots): boolean {
    const { authority } = this.options;
    const roots = rotation.roots.map(({ fingerprint }) => fingerprint).join("+");
    return authority.trustVersion === roots && authority.fingerprint === rotation.issuing;
  }

  /** Whether all pods of the mesh can have read the roots: their files acknowledge nothing. */
  private filesHold(): boolean {
    const { clock, authority, isDistributed, filesTakeMs = FILES_TAKE_MS } = this.options;
    const holds = isDistributed();
    if (!holds || this.distributed !== authority.trustVersion) this.distributedSince = undefined;
    this.distributed = authority.trustVersion;
    if (!holds) return false;
    this.distributedSince ??= clock.now();
    return clock.now() - this.distributedSince >= filesTakeMs;
  }

  private facts(secret: CaSecret, move: "issue" | "drop"): RotationFacts {
    const { clock, fleet } = this.options;
    const ignored = (annotationOf(secret, OWN_WITHOUT_ANNOTATION) ?? "")
      .split(",")
      .map(name => name.trim())
      .filter(name => name !== "");
    return {
      now: clock.now(),
      fleet: ownFleet(fleet(), move),
      gateway: undefined,
      // Who is away for longer comes with a new certificate, or with a file that the kubelet has kept up to date.
      leafLifeMs: EXTERNAL_VALIDITY_MS,
      trustDomain: "",
      ignored: new Set(ignored),
    };
  }

  /** Writes what has to survive, and with it what is said. */
  private async persist(
    secret: CaSecret,
    { state: rotation, made, text }: RotationStep,
    { own, asked, candidate }: Origin,
  ): Promise<void> {
    const { kube, log } = this.options;
    const added =
      candidate === undefined
        ? {}
        : { [candidate.root.fingerprint]: { keyPem: candidate.keyPem, crossPem: candidate.crossPem } };
    const keys = keysOf({ ...own.keys, ...added }, rotation);
    const record = printOwnRoots({ rotation, keys, asked: candidate === undefined ? own.asked : asked });
    const { resourceVersion } = secret.metadata;
    const over = made?.kind === "drop" ? WITHOUT_NOBODY : {};
    await kube.mergePatch(this.path, {
      metadata: { resourceVersion, annotations: { ...over, [OWN_STATUS_ANNOTATION]: text } },
      data: { [OWN_ROOTS_KEY]: Buffer.from(record, "utf8").toString("base64") },
    });
    if (made === undefined) return;
    log.info(`the control plane's root: ${made.kind}`, {
      fingerprint: made.root.fingerprint,
      without: rotation.made.at(-1)?.without ?? [],
    });
  }

  private async say(secret: CaSecret, text: string): Promise<void> {
    await this.annotate(secret, { [OWN_STATUS_ANNOTATION]: text });
  }

  /** Writes what is otherwise; null: takes it away. */
  private async annotate(secret: CaSecret, wanted: Readonly<Record<string, string | null>>): Promise<void> {
    const others = Object.entries(wanted).filter(
      ([name, text]) => annotationOf(secret, name) !== (text ?? undefined),
    );
    if (others.length === 0) return;
    const annotations = Object.fromEntries(others);
    this.options.log.info("the control plane's root", { text: annotations[OWN_STATUS_ANNOTATION] });
    const { resourceVersion } = secret.metadata;
    await this.options.kube.mergePatch(this.path, { metadata: { resourceVersion, annotations } });
  }
}

function isEnding(pem: string, now: number): boolean {
  const { validFrom, validTo } = new X509Certificate(pem);
  const [begin, end] = [Date.parse(validFrom), Date.parse(validTo)];
  return now > end - (end - begin) * LEFT;
}
