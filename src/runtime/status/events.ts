import type { ObjectRef } from "../../model/object-ref";
import { redactText } from "../log/redact";
import type { KubeClient } from "../kube";
import type { Clock, Log } from "../ports";

/** Something worth telling the owner of an object. */
export interface MeshEvent {
  /** The object it is about, with `uid` where known (kubectl describe finds events by it). */
  readonly regarding: ObjectRef & { readonly apiVersion: string; readonly uid?: string };
  readonly type: "Normal" | "Warning";
  /** Upper camel case, like `InjectionSkipped`. */
  readonly reason: string;
  readonly note: string;
}

/** What an event writer works with. */
export interface EventWriterOptions {
  readonly kube: KubeClient;
  readonly clock: Clock;
  /** Numbers in [0, 1), for names. */
  readonly random: () => number;
  readonly log: Log;
  /** Name of this pod. */
  readonly instance: string;
  /** Events per second in the long run. Default 1. */
  readonly perSecond?: number;
  /** Events at once. Default 25. */
  readonly burst?: number;
}

/** Writes events, at a bounded rate, each sentence about an object once in ten minutes. */
export interface EventWriter {
  /** Never throws and never waits; an event that cannot be written is dropped. */
  emit(event: MeshEvent): void;
  readonly counts: { readonly written: number; readonly repeated: number; readonly dropped: number };
}

const REPEAT_MS = 600_000;
/** Kubernetes refuses longer notes; bytes of UTF-8. */
const MAX_NOTE = 1_024;
const REMEMBERED = 5_000;
/** `reportingController` of our events. */
const CONTROLLER = "openservicemesh.io/osm-pepr";

/** Makes the event writer of one process. */
export function createEventWriter(options: EventWriterOptions): EventWriter {
  const { clock } = options;
  const burst = options.burst ?? 25;
  const perMs = (options.perSecond ?? 1) / 1_000;
  const counts = { written: 0, repeated: 0, dropped: 0 };
  const recent = new Map<string, number>();
  let tokens = burst;
  let filled = clock.now();

  const allowed = (): boolean => {
    const now = clock.now();
    tokens = Math.min(burst, tokens + Math.max(0, now - filled) * perMs);
    filled = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };
  const repeats = (event: MeshEvent): boolean => {
    const { kind, namespace, name, uid } = event.regarding;
    const key = [kind, namespace, name, uid, event.reason, event.note].join("\u0000");
    const now = clock.now();
    const before = recent.get(key);
    if (before !== undefined && now - before < REPEAT_MS && now >= before) return true;
    recent.delete(key);
    recent.set(key, now);
    const [oldest] = recent.keys();
    if (recent.size > REMEMBERED && oldest !== undefined) recent.delete(oldest);
    return false;
  };
  return {
    counts,
    emit: event => {
      if (repeats(event)) counts.repeated += 1;
      else if (!allowed()) counts.dropped += 1;
      else void write(event, options, counts);
    },
  };
}

/** As much of a text as a note may hold. */
function cut(text: string): string {
  const bytes = Buffer.from(text, "utf8");
  if (bytes.length <= MAX_NOTE) return text;
  const most = bytes.subarray(0, MAX_NOTE - Buffer.byteLength("…"));
  // Streaming: a character that is cut in two is kept back.
  return `${new TextDecoder().decode(most, { stream: true })}…`;
}

async function write(
  event: MeshEvent,
  options: EventWriterOptions,
  counts: { written: number; dropped: number },
): Promise<void> {
  const { apiVersion, kind, namespace, name, uid } = event.regarding;
  // Events of cluster-scoped objects live in the default namespace.
  const home = namespace === "" ? "default" : namespace;
  const suffix = Math.floor(options.random() * 2 ** 48).toString(16);
  const note = redactText(event.note);
  try {
    await options.kube.create(`/apis/events.k8s.io/v1/namespaces/${home}/events`, {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: `${name.slice(0, 200)}.${suffix}`, namespace: home },
      // Microseconds are part of the format.
      eventTime: new Date(options.clock.now()).toISOString().replace("Z", "000Z"),
      type: event.type,
      reason: event.reason,
      action: "Reconcile",
      note: cut(note),
      reportingController: CONTROLLER,
      reportingInstance: options.instance,
      regarding: {
        apiVersion,
        kind,
        name,
        ...(namespace === "" ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
      },
    });
    counts.written += 1;
  } catch (error) {
    counts.dropped += 1;
    options.log.debug("event not written", { reason: event.reason, error: String(error) });
  }
}
