import { X509Certificate } from "node:crypto";
import { BACKDATE_MS } from "../../certificate/plan";
import { nextRotationAt, scheduleStep, type KeptCa, type KeptCas } from "../../certificate/root-schedule";
import type { RotationState } from "../../certificate/root-rotation";
import { CA_SECRET_NAME } from "../../model/mesh-words";
import { fingerprintIn } from "../issuers/open";
import { casOf, NEXT_CA } from "../issuers/secret";
import type { KubeClient, KubeObject } from "../kube";
import { isForbidden } from "../kube/errors";
import { getIfThere } from "../kube/read";
import type { Clock, Log } from "../ports";
import { createRoot, type Authority } from "../secrets/authority";
import { CA_CERT_KEY, CA_PRIVATE_KEY } from "../secrets/ca-secret";
import type { RootObject } from "./root-objects";

/** What scheduled rotations work with. */
export interface RootScheduleOptions {
  readonly kube: Pick<KubeClient, "get" | "create" | "mergePatch">;
  /** The control plane's namespace: no other Secret is touched. */
  readonly osmNamespace: string;
  /** Of the mesh. */
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** The Secrets are looked at so often, milliseconds. */
const LOOK_MS = 15_000;

interface Looked {
  /** When it was looked at, epoch milliseconds. */
  readonly at: number;
  /** When to look again, epoch milliseconds. */
  readonly again: number;
  /** When the next CA is due, epoch milliseconds; undefined: not known. */
  readonly next: number | undefined;
  readonly error: string | undefined;
}

/** When a Secret is due. A CA that was due already waits for something else, which no look each second would hasten. */
function dueOf({ at, again, next = Infinity }: Looked): number {
  return next > at ? Math.min(again, next) : again;
}

interface CaSecret extends KubeObject {
  readonly data?: Readonly<Record<string, string | null>>;
}

const encode = (text: string): string => Buffer.from(text, "utf8").toString("base64");

/**
 * Makes the CAs of MeshRootCertificates with a `rotation`, each beside the one before it in the same Secret, which is made
 * where there is none. That a CA is new is all that is done here; the rotation follows from it. One write is all that a step
 * needs, over the version that was read, so a writer that dies leaves nothing half done.
 */
export class RootSchedule {
  private readonly looked = new Map<string, Looked>();

  constructor(private readonly options: RootScheduleOptions) {}

  /** Does what is due; answers the objects whose CA is another by now. Never rejects. */
  async look(objects: readonly RootObject[], state: RotationState): Promise<readonly string[]> {
    const kept = objects.filter(
      ({ role, rotateEveryMs }) => role === "active" && rotateEveryMs !== undefined,
    );
    const names = new Set(kept.map(({ name }) => name));
    for (const name of [...this.looked.keys()]) if (!names.has(name)) this.looked.delete(name);
    const now = this.options.clock.now();
    const changed: string[] = [];
    for (const object of kept) {
      const looked = this.looked.get(object.name);
      if (looked !== undefined && now < dueOf(looked)) continue;
      if (await this.lookAt(object, state)) changed.push(object.name);
    }
    return changed;
  }

  /** When an object's next CA is due, epoch milliseconds; undefined: never, or it is not known. */
  nextOf(name: string): number | undefined {
    return this.looked.get(name)?.next;
  }

  /** Why the CA of an object cannot be kept; undefined: it can. */
  errorOf(name: string): string | undefined {
    return this.looked.get(name)?.error;
  }

  private async lookAt(object: RootObject, state: RotationState): Promise<boolean> {
    const { clock, log } = this.options;
    const { name } = object;
    const at = clock.now();
    const again = at + LOOK_MS;
    try {
      const { next, changed } = await this.keep(object, state);
      this.looked.set(name, { at, again, next, error: undefined });
      return changed;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const message = isForbidden(error)
        ? `the mesh may not keep the CA of ${name} in its Secret: a Role has to allow "get" and "patch" on it`
        : text;
      if (this.errorOf(name) === undefined)
        log.warn("a root is not rotated as scheduled", { root: name, error: text });
      this.looked.set(name, { at, again, next: undefined, error: message });
      return false;
    }
  }

  private async keep(object: RootObject, state: RotationState): Promise<Kept> {
    const { kube, osmNamespace, clock } = this.options;
    const { rotateEveryMs: everyMs = Infinity } = object;
    const place = this.placeOf(object);
    const path = `/api/v1/namespaces/${osmNamespace}/secrets/${place.name}`;
    const secret = await getIfThere<CaSecret>(kube, path);
    if (secret === undefined) return this.makeFirst(object, place);
    const cas = this.casIn(secret, object);
    const now = clock.now();
    const step = scheduleStep(cas, state, { now, everyMs });
    if (step === undefined) return { next: nextRotationAt(cas, everyMs), changed: false };
    await this.write(secret, step === "make" ? nextCa(now) : promoted(secret));
    this.say(
      step === "make" ? "made the next CA of a root" : "removed the CA before the present one",
      object,
    );
    return step === "make"
      ? { next: now + everyMs, changed: true }
      : { next: nextRotationAt(cas, everyMs), changed: false };
  }

  /** Throws where the Secret is not one that this root may have to itself. */
  private placeOf({ provider }: RootObject): { readonly name: string } {
    const { osmNamespace } = this.options;
    const place = provider.tresor?.ca.secretRef;
    if (place?.namespace !== osmNamespace || place.name === CA_SECRET_NAME)
      throw new Error(`the Secret of a root with a rotation must be one of its own in ${osmNamespace}`);
    return place;
  }

  private async makeFirst(object: RootObject, place: { readonly name: string }): Promise<Kept> {
    const { kube, osmNamespace, clock } = this.options;
    const now = clock.now();
    const { certPem, keyPem } = createRoot(now);
    const data = { [CA_CERT_KEY]: encode(certPem), [CA_PRIVATE_KEY]: encode(keyPem) };
    const metadata = { name: place.name, namespace: osmNamespace };
    const made = { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data };
    await kube.create<object>(`/api/v1/namespaces/${osmNamespace}/secrets`, made);
    this.say("made the CA of a root", object);
    return { next: now + (object.rotateEveryMs ?? Infinity), changed: true };
  }

  /** Throws an IssuerError when there is no usable CA. */
  private casIn(secret: CaSecret, { trustDomain }: RootObject): KeptCas {
    const { newest, others } = casOf(`Secret ${secret.metadata.name}`, valuesOf(secret));
    const keptOf = (authority: Authority): KeptCa => ({
      fingerprint: fingerprintIn(trustDomain, authority.fingerprint, this.options),
      madeAt: Date.parse(new X509Certificate(authority.certPem).validFrom) + BACKDATE_MS,
    });
    const [before] = others;
    return { current: keptOf(before ?? newest), next: before && keptOf(newest) };
  }

  /** Over the version that was read: what somebody else has written meanwhile is looked at again. */
  private async write({ metadata }: CaSecret, data: CaSecret["data"]): Promise<void> {
    const { kube, osmNamespace } = this.options;
    const { name, resourceVersion } = metadata;
    const path = `/api/v1/namespaces/${osmNamespace}/secrets/${name}`;
    await kube.mergePatch(path, { metadata: { resourceVersion }, data });
  }

  private say(what: string, { name }: RootObject): void {
    this.options.log.info(what, { root: name });
  }
}

interface Kept {
  /** When the next CA is due, epoch milliseconds. */
  readonly next: number;
  /** Whether there is a new CA. */
  readonly changed: boolean;
}

function valuesOf({ data }: CaSecret): (key: string) => string | undefined {
  return key => {
    const value = data?.[key];
    return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : undefined;
  };
}

function nextCa(now: number): Readonly<Record<string, string>> {
  const { certPem, keyPem } = createRoot(now);
  return { [NEXT_CA.cert]: encode(certPem), [NEXT_CA.key]: encode(keyPem) };
}

/** The next CA in the place of the present one, under OSM's keys; whatever named the old one goes. */
function promoted({ data }: CaSecret): Readonly<Record<string, string | null>> {
  return {
    [CA_CERT_KEY]: data?.[NEXT_CA.cert] ?? null,
    [CA_PRIVATE_KEY]: data?.[NEXT_CA.key] ?? null,
    "tls.crt": null,
    "tls.key": null,
    [NEXT_CA.cert]: null,
    [NEXT_CA.key]: null,
  };
}
