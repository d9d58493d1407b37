import { fieldsOf, textOf } from "../../api/field";
import { roleOf, type MeshRootCertificateSpec, type RootRole } from "../../api/mesh-root-certificate";
import { parseDuration } from "../../model/duration";
import type { TrustedRoot } from "../../certificate/root-rotation";
import { countedRequests, type RootRequest } from "../../certificate/wanted-roots";
import type { OpenIssuer } from "../issuers/issuer";
import type { KubeObject } from "../kube";
import { Backoff } from "../kube/backoff";
import type { Clock } from "../ports";

/** Annotation of a MeshRootCertificate: proxies (`namespace/pod`, by commas) that its rotation does not wait for; `*`: all. */
export const WAIT_NOT_ANNOTATION = "openservicemesh.io/rotation-without";

/** A MeshRootCertificate as the rotation sees it. */
export interface RootObject {
  readonly name: string;
  readonly generation: number;
  readonly createdAt: string;
  readonly role: RootRole;
  readonly trustDomain: string;
  readonly provider: MeshRootCertificateSpec["provider"];
  /** From one CA to the next, milliseconds; undefined: its owner makes them. */
  readonly rotateEveryMs?: number;
  /** Whom not to wait for. */
  readonly ignored: readonly string[];
}

/** OSM's default. */
const DEFAULT_TRUST_DOMAIN = "cluster.local";

/** Reads an object that the API server has validated. */
export function readRootObject(object: KubeObject): RootObject {
  const { metadata } = object;
  const spec = fieldsOf((object as { readonly spec?: unknown }).spec);
  const annotations = fieldsOf(fieldsOf(metadata)["annotations"]);
  const every = parseDuration(textOf(fieldsOf(spec["rotation"])["every"]) ?? "");
  return {
    ...(every === undefined ? {} : { rotateEveryMs: every }),
    name: metadata.name,
    generation: metadata.generation ?? 0,
    createdAt: textOf(fieldsOf(metadata)["creationTimestamp"]) ?? "",
    role: roleOf(spec as Pick<MeshRootCertificateSpec, "role" | "intent">),
    trustDomain: textOf(spec["trustDomain"]) ?? DEFAULT_TRUST_DOMAIN,
    provider: fieldsOf(spec["provider"]) as MeshRootCertificateSpec["provider"],
    ignored: (textOf(annotations[WAIT_NOT_ANNOTATION]) ?? "")
      .split(",")
      .map(name => name.trim())
      .filter(name => name !== ""),
  };
}

/**
 * Whom a move does not wait for: what is said on the roots that count, and on the one whose root the move is about (one that
 * is dropped is inactive). An annotation forgotten on any other says nothing, or one `*` would switch off every later proof.
 */
export function ignoredFor(owner: string | undefined, objects: readonly RootObject[]): ReadonlySet<string> {
  const { counted } = countedRequests(objects.map(object => ({ ...object, root: undefined })));
  const heard = new Set([owner, ...counted.map(({ name }) => name)]);
  return new Set(objects.flatMap(({ name, ignored }) => (heard.has(name) ? ignored : [])));
}

/** What is known of a provider. */
interface Opened {
  /** Of which provider and trust domain, as text. */
  readonly provider: string;
  readonly root: TrustedRoot | undefined;
  /** Why there is no root, or none that is newer; undefined: there is one. */
  readonly error: string | undefined;
  /** When to ask again, epoch milliseconds. */
  readonly again: number;
  readonly backoff: Backoff;
}

/** A CA in a Secret is read so often, so that one that is replaced is noticed, milliseconds. */
const READ_AGAIN_MS = 60_000;
/** An issuer elsewhere signs a certificate each time it is asked whether its root is still that one: milliseconds. */
const PROBE_AGAIN_MS = 600_000;
/** One that could not be asked is asked again, milliseconds. Leaves do not wait for this: they have tries of their own. */
const RETRY = { minMs: 5_000, maxMs: 60_000 };

/** An issuer that is well has answered within this time, milliseconds. */
const MOMENT_MS = 500;

/** By which one request is known from another. */
function printed({ provider, trustDomain }: Pick<RootObject, "provider" | "trustDomain">): string {
  return JSON.stringify([provider, trustDomain]);
}

/** What providers are asked with. */
export interface RootResolverOptions {
  readonly openIssuer: OpenIssuer;
  /** Of the mesh. */
  readonly trustDomain: string;
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
}

/** The roots behind MeshRootCertificates, found by opening their issuers. */
export class RootResolver {
  private readonly opened = new Map<string, Opened>();
  /** Who has been asked and has not answered yet, of which provider. */
  private readonly asking = new Map<string, { readonly provider: string }>();

  constructor(private readonly options: RootResolverOptions) {}

  /**
   * Asks those that are due. Waits for those of which nothing is known yet, and for a moment for the others: an issuer that
   * does not answer holds up nothing else, what it says in the end is known then, and until then what it said before. Never
   * rejects.
   */
  async look(objects: readonly RootObject[]): Promise<void> {
    const names = new Set(objects.map(({ name }) => name));
    for (const name of [...this.opened.keys()]) if (!names.has(name)) this.opened.delete(name);
    for (const name of [...this.asking.keys()]) if (!names.has(name)) this.asking.delete(name);
    const due = objects.filter(object => this.isDue(object));
    const isKnown = (object: RootObject): boolean =>
      this.opened.get(object.name)?.provider === printed(object);
    const known = due.filter(isKnown).map(object => this.open(object));
    const unknown = due.filter(object => !isKnown(object)).map(object => this.open(object));
    await Promise.all([...unknown, this.forAMoment(Promise.all(known))]);
  }

  private isDue(object: RootObject): boolean {
    const text = printed(object);
    if (this.asking.get(object.name)?.provider === text) return false;
    const known = this.opened.get(object.name);
    return known?.provider !== text || known.again <= this.options.clock.now();
  }

  private async forAMoment(answers: Promise<unknown>): Promise<void> {
    let timer: { cancel(): void } | undefined;
    const moment = new Promise<void>(resolve => {
      timer = this.options.clock.setTimeout(resolve, MOMENT_MS);
    });
    await Promise.race([answers, moment]);
    timer?.cancel();
  }

  /** Has an object's issuer asked again next time. */
  forget(name: string): void {
    this.opened.delete(name);
    this.asking.delete(name);
  }

  /** What an object asks for. */
  requestOf({ name, role, createdAt }: RootObject): RootRequest {
    return { name, role, createdAt, root: this.opened.get(name)?.root };
  }

  /** Why nothing is known of an object's root; undefined: it is known. */
  errorOf(name: string): string | undefined {
    return this.opened.get(name)?.error;
  }

  private async open({ name, provider, trustDomain }: RootObject): Promise<void> {
    const { openIssuer, clock } = this.options;
    const text = printed({ provider, trustDomain });
    const backoff = this.backoffOf(name, text);
    const mine = { provider: text };
    this.asking.set(name, mine);
    const take = (opened: Opened): void => {
      // Asked again meanwhile, or not wanted any more.
      if (this.asking.get(name) !== mine) return;
      this.asking.delete(name);
      this.opened.set(name, opened);
    };
    try {
      const { fingerprint, anchorsPem } = await openIssuer(provider, trustDomain);
      const domain = trustDomain === this.options.trustDomain ? {} : { trustDomain };
      const root = { fingerprint, anchorsPem, owner: name, provider, ...domain };
      backoff.succeeded();
      const again = clock.now() + (provider.tresor === undefined ? PROBE_AGAIN_MS : READ_AGAIN_MS);
      take({ provider: text, root, error: undefined, again, backoff });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const again = clock.now() + backoff.failed();
      // A provider that cannot be asked now must not be issued from; what is trusted of it stays.
      take({ provider: text, root: undefined, error: message, again, backoff });
    }
  }

  private backoffOf(name: string, provider: string): Backoff {
    const known = this.opened.get(name);
    return known?.provider === provider ? known.backoff : new Backoff(this.options.random, RETRY);
  }
}
