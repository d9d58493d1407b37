/** cert-manager, asked by CertificateRequest: our own request for our own key, deleted when it is answered. */
import { randomBytes } from "node:crypto";
import { IssuerError, type Signer, type SignerAnswer, type SigningRequest } from "../../certificate/issuer";
import type { CertificatePlan } from "../../certificate/plan";
import { KubeError, type KubeClient, type KubeObject } from "../kube";
import { withQuery } from "../kube/client";
import { isForbidden, isNotFound } from "../kube/errors";
import type { Log } from "../ports";

/** Which issuer of cert-manager. */
export interface CertManagerIssuer {
  readonly issuerName: string;
  readonly issuerKind: "ClusterIssuer" | "Issuer";
  readonly issuerGroup: string;
}

/** Where requests are made. */
export interface CertManagerAccess {
  readonly kube: Pick<KubeClient, "get" | "create" | "watch" | "delete">;
  /** Namespace of the requests, and of an `Issuer`. */
  readonly osmNamespace: string;
  readonly log: Log;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

interface CertificateRequest extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly certificate?: string;
    readonly ca?: string;
    readonly conditions?: readonly Condition[];
  };
}

/** What has become of a request so far. */
type Outcome =
  | { readonly kind: "waiting"; readonly message: string }
  | { readonly kind: "issued"; readonly certificatesPem: string }
  | { readonly kind: "no"; readonly message: string };

/** A watch ends by itself after so many seconds and is begun again. */
const WATCH_SECONDS = 30;
/** What is known of a request without any condition. */
const SILENCE = "nobody has answered";
const USAGES: Readonly<Record<Exclude<CertificatePlan["purpose"], "root">, readonly string[]>> = {
  workload: ["digital signature", "server auth", "client auth"],
  serving: ["digital signature", "server auth"],
  "control-plane": ["digital signature", "server auth", "client auth"],
  gateway: ["digital signature", "client auth"],
  external: ["digital signature", "client auth"],
};

function decoded(base64: string | undefined): string {
  return Buffer.from(base64 ?? "", "base64").toString("utf8");
}

/** Reasons of "not ready" that are final. */
const FINAL: readonly (string | undefined)[] = ["Failed", "Denied"];

/** The condition that says the request will never be granted. */
function refusalIn(conditions: readonly Condition[]): Condition | undefined {
  return conditions.find(
    ({ type, status, reason }) =>
      (status === "True" && (type === "Denied" || type === "InvalidRequest")) ||
      (status === "False" && type === "Ready" && FINAL.includes(reason)),
  );
}

/** Reads the conditions; a certificate counts only when the request is said to be ready. */
function outcomeOf({ status }: CertificateRequest): Outcome {
  const conditions = status?.conditions ?? [];
  const refusal = refusalIn(conditions);
  if (refusal !== undefined)
    return { kind: "no", message: [refusal.reason, refusal.message].filter(Boolean).join(": ") };
  const ready = conditions.find(({ type }) => type === "Ready");
  if (ready?.status !== "True") return { kind: "waiting", message: ready?.message ?? SILENCE };
  return { kind: "issued", certificatesPem: [status?.certificate, status?.ca].map(decoded).join("\n") };
}

class Asking {
  private readonly collection: string;
  private readonly path: string;
  readonly name = `osm-${randomBytes(8).toString("hex")}`;
  /** What is known when the time is up. */
  last = SILENCE;

  constructor(
    private readonly issuer: CertManagerIssuer,
    private readonly access: CertManagerAccess,
  ) {
    this.collection = `/apis/cert-manager.io/v1/namespaces/${access.osmNamespace}/certificaterequests`;
    this.path = `${this.collection}/${this.name}`;
  }

  create({ plan, csrPem, lifetimeSeconds }: SigningRequest): Promise<CertificateRequest> {
    const { issuerName: name, issuerKind: kind, issuerGroup: group } = this.issuer;
    return this.access.kube.create<CertificateRequest>(this.collection, {
      apiVersion: "cert-manager.io/v1",
      kind: "CertificateRequest",
      metadata: { name: this.name, namespace: this.access.osmNamespace },
      spec: {
        request: Buffer.from(csrPem, "utf8").toString("base64"),
        duration: `${lifetimeSeconds}s`,
        isCA: false,
        usages: plan.purpose === "root" ? [] : USAGES[plan.purpose],
        issuerRef: { name, kind, group },
      },
    });
  }

  /** Follows the request until it is decided; rejects when the signal aborts. */
  async decision(created: CertificateRequest, signal: AbortSignal): Promise<Outcome> {
    let outcome = outcomeOf(created);
    let version = created.metadata.resourceVersion ?? "";
    while (outcome.kind === "waiting") {
      signal.throwIfAborted();
      const seen = await this.watch(version, signal);
      signal.throwIfAborted();
      // Nothing seen: the watch ended, perhaps because its version is too old; what stands there now decides.
      const now = seen ?? (await this.access.kube.get<CertificateRequest>(this.path));
      version = now.metadata.resourceVersion ?? "";
      outcome = outcomeOf(now);
      if (outcome.kind === "waiting") this.last = outcome.message;
    }
    return outcome;
  }

  /** The next state that says more than "wait"; undefined when the watch ended before. */
  private async watch(version: string, signal: AbortSignal): Promise<CertificateRequest | undefined> {
    const found: CertificateRequest[] = [];
    const stopping = new AbortController();
    const both = AbortSignal.any([signal, stopping.signal]);
    const query = {
      watch: "true",
      fieldSelector: `metadata.name=${this.name}`,
      resourceVersion: version,
      timeoutSeconds: String(WATCH_SECONDS),
    };
    await this.access.kube.watch(
      withQuery(this.collection, query),
      ({ type, object }) => {
        const request = object as CertificateRequest;
        if (type === "ERROR" || type === "DELETED") stopping.abort();
        else if (outcomeOf(request).kind === "waiting") this.note(request);
        else {
          found.push(request);
          stopping.abort();
        }
      },
      both,
    );
    return found[0];
  }

  private note(request: CertificateRequest): void {
    const outcome = outcomeOf(request);
    if (outcome.kind === "waiting") this.last = outcome.message;
  }

  /** Leaves nothing behind; what cannot be deleted holds no secret, and its failure is nobody's but the log's. */
  async remove(): Promise<void> {
    try {
      await this.access.kube.delete(this.path);
    } catch (error) {
      if (!isNotFound(error))
        this.access.log.warn("a CertificateRequest is left behind", {
          name: this.name,
          error: String(error),
        });
    }
  }
}

function troubleWith(title: string, error: unknown, asking: Asking): IssuerError {
  if (error instanceof IssuerError) return error;
  if (isForbidden(error))
    return new IssuerError(
      "refused",
      `${title}: the mesh may not make CertificateRequests: a Role has to allow it`,
    );
  if (error instanceof KubeError && (error.status === 404 || error.status === 422))
    return new IssuerError("refused", `${title}: ${error.message}`);
  if (error instanceof KubeError) return new IssuerError("unavailable", `${title}: ${error.message}`);
  return new IssuerError("unavailable", `${title} has not issued in time: ${asking.last}`);
}

/** Nobody waits for a request of ours for so long, by the API server's clock, milliseconds. */
const LEFT_BEHIND_MS = 10 * 60_000;
/** What {@link Asking} calls its requests. */
const OURS = /^osm-[0-9a-f]{16}$/;

/** What a signer sweeps by. */
interface Sweep {
  /** When requests were last looked through, by the API server's clock, epoch milliseconds. */
  at: number;
  /** Names of its own requests that somebody waits for. */
  readonly inFlight: Set<string>;
}

/**
 * Deletes requests that a process has left behind because it ended before it could: they would pile up. How old they are
 * is told by a request that was made just now, since the API server dates all of them and no clock of ours need agree. To
 * list is a right of its own; without it they stay, which harms nobody. Never rejects.
 */
async function sweep(
  { kube, osmNamespace, log }: CertManagerAccess,
  created: KubeObject,
  last: Sweep,
): Promise<void> {
  const now = Date.parse(created.metadata.creationTimestamp ?? "");
  if (!(now - last.at >= LEFT_BEHIND_MS)) return;
  last.at = now;
  const collection = `/apis/cert-manager.io/v1/namespaces/${osmNamespace}/certificaterequests`;
  try {
    const { items } = await kube.get<{ readonly items: readonly KubeObject[] }>(collection);
    const left = items.filter(({ metadata: { name, creationTimestamp = "" } }) => {
      const isOld = now - Date.parse(creationTimestamp) > LEFT_BEHIND_MS;
      return isOld && OURS.test(name) && !last.inFlight.has(name);
    });
    for (const { metadata } of left)
      await kube.delete(`${collection}/${metadata.name}`).catch(unlessNotFound);
    if (left.length > 0)
      log.info("deleted CertificateRequests that were left behind", { count: left.length });
  } catch (error) {
    log.info("CertificateRequests that were left behind stay", { error: String(error) });
  }
}

function unlessNotFound(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

/** A signer that asks cert-manager. Somebody has to approve the requests; cert-manager does it by default. */
export function certManagerSigner(issuer: CertManagerIssuer, access: CertManagerAccess): Signer {
  const title = `cert-manager ${issuer.issuerKind} ${issuer.issuerName}`;
  const swept: Sweep = { at: -Infinity, inFlight: new Set() };
  const sign = async (request: SigningRequest, signal: AbortSignal): Promise<SignerAnswer> => {
    const asking = new Asking(issuer, access);
    swept.inFlight.add(asking.name);
    try {
      const created = await asking.create(request);
      void sweep(access, created, swept);
      const outcome = await asking.decision(created, signal);
      if (outcome.kind === "issued") return { certificatesPem: outcome.certificatesPem };
      throw new IssuerError("refused", `${title} said no: ${outcome.message}`);
    } catch (error) {
      throw troubleWith(title, error, asking);
    } finally {
      await asking.remove();
      swept.inFlight.delete(asking.name);
    }
  };
  return { title, sign };
}
