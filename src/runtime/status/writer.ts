import { apiKind } from "../../api/kinds";
import type { Diagnostic } from "../../model/diagnostic";
import { isRelapse, type ProxyProgress, type StatusFacts } from "../../status/conditions";
import { conditionsIn, statusChange } from "../../status/object-status";
import { KeyedWorker } from "../control-plane/keyed-worker";
import type { KubeClient, KubeObject } from "../kube";
import { isNotFound } from "../kube/errors";
import type { Clock, Log } from "../ports";

/** Which custom object. */
export interface StatusSubject {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What a status writer works with. */
export interface StatusWriterOptions {
  readonly kube: KubeClient;
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  readonly log: Log;
  /** All findings about an object as it stands: its own fields' and the compiler's. */
  readonly findings: (subject: StatusSubject, object: KubeObject) => readonly Diagnostic[];
  /** False: the compiler has not seen this generation yet; whoever knows touches the object again. Default: it has. */
  readonly isJudged?: (subject: StatusSubject, object: KubeObject) => boolean;
  /** How far the proxies are with what comes from the object; undefined: not counted. Default: not counted. */
  readonly progress?: (subject: StatusSubject, object: KubeObject) => ProxyProgress | undefined;
  /** Fields of the status besides conditions that only this kind has. Default: none. */
  readonly fields?: (subject: StatusSubject) => object | undefined;
  /** Told after a status changed from accepted to not, or to another reason. */
  readonly onRefusal?: (subject: StatusSubject, object: KubeObject, findings: readonly Diagnostic[]) => void;
  /** Told after a status was written that names what a proxy refused. */
  readonly onRefused?: (subject: StatusSubject, object: KubeObject, progress: ProxyProgress) => void;
}

/** The only writer of status in the mesh (it runs in the watcher). */
export interface StatusWriter {
  /** Look at this object soon. Cheap; any number of calls while one is outstanding cost one more look. */
  touch(subject: StatusSubject): void;
  /** Looks outstanding, failed ones included. */
  readonly pending: number;
  readonly counts: { readonly looks: number; readonly writes: number };
  stop(): void;
}

/** An object is looked at no more often than this, however fast its findings or its proxies change. */
const MIN_INTERVAL_MS = 500;
/** A look waits this long, so that a change which proxies acknowledge at once costs one write. */
const SETTLE_MS = 100;
/** `Programmed` falls back for the same generation only after this time: pods come and go, replicas roll. */
const RELAPSE_MS = 5_000;

/**
 * Keeps the status of custom objects: reads the object as it is now, judges it, and writes only what differs, with the
 * resource version it read, so that a concurrent writer means once more, never a lost status. Failures are tried
 * again with back-off for as long as it takes.
 */
export function createStatusWriter(options: StatusWriterOptions): StatusWriter {
  const counts = { looks: 0, writes: 0 };
  const lastLook = new Map<string, number>();
  const delayed = new Map<string, { cancel(): void }>();
  const relapsedAt = new Map<string, number>();
  const worker = new KeyedWorker({
    ...options,
    log: options.log.child("status"),
    work: async key => {
      const subject = subjectOf(key);
      counts.looks += 1;
      lastLook.set(key, options.clock.now());
      const outcome = await writeStatus(subject, options, () => lasts(key));
      if (outcome === "written") counts.writes += 1;
      if (outcome === "relapsing") later(key, RELAPSE_MS / 4);
      else relapsedAt.delete(key);
    },
  });
  /** Whether a relapse has lasted long enough to be told. */
  const lasts = (key: string): boolean => {
    const since = relapsedAt.get(key) ?? options.clock.now();
    relapsedAt.set(key, since);
    return options.clock.now() - since >= RELAPSE_MS;
  };
  const later = (key: string, ms: number): void => {
    if (delayed.has(key)) return;
    const timer = options.clock.setTimeout(() => {
      delayed.delete(key);
      worker.enqueue(key);
    }, ms);
    delayed.set(key, timer);
  };
  return {
    touch: subject => {
      if (apiKind(subject.kind) === undefined) return;
      const key = keyOf(subject);
      const since = options.clock.now() - (lastLook.get(key) ?? -Infinity);
      later(key, since >= 0 && since < MIN_INTERVAL_MS ? MIN_INTERVAL_MS - since : SETTLE_MS);
      forgetOld(lastLook, options.clock.now());
    },
    get pending() {
      return worker.pending + delayed.size;
    },
    counts,
    stop: () => {
      worker.stop();
      for (const timer of delayed.values()) timer.cancel();
      delayed.clear();
    },
  };
}

/** Times are needed for half a second only; deleted objects must not be remembered for ever. */
function forgetOld(lastLook: Map<string, number>, now: number): void {
  if (lastLook.size < 1_000) return;
  for (const [key, at] of lastLook) if (now - at > MIN_INTERVAL_MS || now < at) lastLook.delete(key);
}

type StatusedObject = KubeObject & { readonly status?: unknown };
type Outcome = "written" | "same" | "gone" | "early" | "relapsing";

async function writeStatus(
  subject: StatusSubject,
  options: StatusWriterOptions,
  relapseLasts: () => boolean,
): Promise<Outcome> {
  const path = pathOf(subject);
  if (path === undefined) return "gone";
  try {
    const object = await options.kube.get<StatusedObject>(path);
    if (options.isJudged?.(subject, object) === false) return "early";
    const facts = factsOf(subject, object, options);
    const relapsing = isRelapse({ ...facts, existing: conditionsIn(object.status) }) && !relapseLasts();
    const status = statusChange(subject.kind, object.status, { ...facts, keepProgrammed: relapsing });
    if (status !== undefined) {
      const { resourceVersion } = object.metadata;
      await options.kube.mergePatch(`${path}/status`, { metadata: { resourceVersion }, status });
      tell({ subject, object, facts }, options);
    }
    if (relapsing) return "relapsing";
    return status === undefined ? "same" : "written";
  } catch (error) {
    if (isNotFound(error)) return "gone";
    throw error;
  }
}

interface Written {
  readonly subject: StatusSubject;
  readonly object: KubeObject;
  readonly facts: Facts;
}

function tell({ subject, object, facts }: Written, { onRefusal, onRefused }: StatusWriterOptions): void {
  const { diagnostics, progress } = facts;
  if (diagnostics.some(finding => finding.severity === "error")) onRefusal?.(subject, object, diagnostics);
  if (progress !== undefined && progress.refused > 0) onRefused?.(subject, object, progress);
}

type Facts = Omit<StatusFacts, "existing">;

function factsOf(subject: StatusSubject, object: KubeObject, options: StatusWriterOptions): Facts {
  return {
    generation: object.metadata.generation ?? 0,
    now: options.clock.now(),
    diagnostics: options.findings(subject, object),
    progress: options.progress?.(subject, object),
    fields: options.fields?.(subject) ?? {},
  };
}

function keyOf({ kind, namespace, name }: StatusSubject): string {
  return `${kind}/${namespace}/${name}`;
}

function subjectOf(key: string): StatusSubject {
  const [kind = "", namespace = "", name = ""] = key.split("/");
  return { kind, namespace, name };
}

function pathOf({ kind, namespace, name }: StatusSubject): string | undefined {
  const row = apiKind(kind);
  if (row === undefined) return undefined;
  return `/apis/${row.group}/${row.version}/namespaces/${namespace}/${row.plural}/${name}`;
}
