import { apiKind, validateCustomObject } from "../../api/kinds";
import { createProjectors } from "../../ingest/index";
import type { Diagnostic } from "../../model/diagnostic";
import { MESH_CONFIG_NAME } from "../../model/mesh-words";
import { objectRefKey } from "../../model/object-ref";
import type { DiagnosticMap, Engine } from "../engine";
import type { KubeObject } from "../kube";
import type { Fleet } from "../ledger/fleet";
import type { RefusedRow } from "../ledger/rows";
import { refusalText } from "../ledger/sum";
import type { KeeperOptions } from "../ownership";
import type { Settings } from "../settings";
import type { EventWriter, MeshEvent } from "../status/events";
import { createEventWriter } from "../status/events";
import type { StatusSubject, StatusWriter } from "../status/writer";
import { createStatusWriter } from "../status/writer";
import type { ObjectName } from "./actions";
import { makeMeshConfig } from "./bootstrap";
import { KeyedWorker } from "./keyed-worker";
import type { RootKeeper } from "./root-keeper";
import { rootFields, rootFindings, rootProgress } from "./root-reports";
import type { Progress } from "./progress";
import { followProgress, subjectKey } from "./progress";

/** What the writer of status and events works with. */
export interface ReportingOptions extends KeeperOptions {
  readonly settings: Settings;
  readonly engine: Engine;
  /** What all replicas know of their proxies; undefined: nobody is asked, and nothing is ever counted. */
  readonly fleet: Fleet | undefined;
  /** The rotation of roots, which MeshRootCertificates are told about; undefined: they are judged by their fields. */
  readonly roots?: RootKeeper;
}

/** Tells owners about their objects; runs in the single writer. */
export interface Reporting {
  readonly events: EventWriter;
  /** Pepr's level trigger. Without it no status is ever written, nor is a deleted MeshConfig made again. */
  reconcile(object: ObjectName): void;
  /** How far the proxies are with an object; undefined: nobody counts. */
  readonly progress: Progress["of"];
  stop(): void;
}

/** Version of the core kinds that findings can be about. */
const CORE_VERSION = "v1";
/** Reason of events, and of the condition, when a proxy did not take what comes from an object. */
const REFUSED_BY_PROXY = "RefusedByProxy";

function ownFindings(
  { engine, settings, roots }: ReportingOptions,
  subject: StatusSubject,
  object: KubeObject,
): readonly Diagnostic[] {
  const group = apiKind(subject.kind)?.group ?? "";
  const ref = { group, ...subject };
  const compiled = engine.diagnostics().get(objectRefKey(ref)) ?? [];
  const rotated = isRoot(subject) && roots !== undefined ? rootFindings(ref, roots.view, settings) : [];
  return [...validateCustomObject(subject.kind, object), ...compiled, ...rotated];
}

const isRoot = ({ kind }: StatusSubject): boolean => kind === "MeshRootCertificate";

const READ = new Set(Object.keys(createProjectors("")));

function isRootSeen({ view }: RootKeeper, name: string, generation = 0): boolean {
  return view?.objects.some(object => object.name === name && object.generation >= generation) ?? false;
}

/** Whether what the compiler found is about the object as it is now; kinds that it does not read are judged by their fields. */
function isJudged(options: ReportingOptions, subject: StatusSubject, { metadata }: KubeObject): boolean {
  const { engine, settings, roots } = options;
  if (isRoot(subject) && subject.namespace === settings.osmNamespace)
    return roots === undefined || isRootSeen(roots, subject.name, metadata.generation);
  const stray = subject.kind === "MeshConfig" && subject.name !== MESH_CONFIG_NAME;
  if (stray || !READ.has(subject.kind)) return true;
  return (engine.generations().get(subjectKey(subject)) ?? -1) >= (metadata.generation ?? 0);
}

/** The object of an event about a custom object. */
function regardingOf(subject: StatusSubject, object: KubeObject): MeshEvent["regarding"] | undefined {
  const row = apiKind(subject.kind);
  if (row === undefined) return undefined;
  const { uid } = object.metadata;
  const regarding = { ...subject, group: row.group, apiVersion: `${row.group}/${row.version}` };
  return uid === undefined ? regarding : { ...regarding, uid };
}

/** The writer of status, which tells owners of refusals by an event as well. */
function openWriter(
  options: ReportingOptions,
  events: EventWriter,
  progress: () => Progress | undefined,
): StatusWriter {
  const warn = (
    subject: StatusSubject,
    object: KubeObject,
    about: { reason: string; note: string },
  ): void => {
    const regarding = regardingOf(subject, object);
    if (regarding !== undefined) events.emit({ regarding, type: "Warning", ...about });
  };
  return createStatusWriter({
    ...options,
    isJudged: (subject, object) => isJudged(options, subject, object),
    findings: (subject, object) => ownFindings(options, subject, object),
    progress: (subject, object) =>
      isRoot(subject)
        ? rootProgress(subject.name, options.roots?.view)
        : progress()?.of(subject, object.metadata.generation ?? 0),
    fields: subject => (isRoot(subject) ? rootFields(subject.name, options.roots?.view) : undefined),
    onRefusal: (subject, object, findings) => {
      for (const { code, message } of findings.filter(({ severity }) => severity === "error")) {
        warn(subject, object, { reason: code, note: message });
      }
    },
    onRefused: (subject, object, { refusal = "" }) => {
      warn(subject, object, { reason: REFUSED_BY_PROXY, note: refusal });
    },
  });
}

/** Objects of Kubernetes itself have no status of ours: an event tells what a proxy refused of what they shape. */
function tellRefusal(events: EventWriter, row: RefusedRow): void {
  for (const origin of row.origins.filter(({ group }) => group === "")) {
    const regarding = { ...origin, apiVersion: CORE_VERSION };
    events.emit({ regarding, type: "Warning", reason: REFUSED_BY_PROXY, note: refusalText(row) });
  }
}

/** Starts reporting. */
export function startReporting(options: ReportingOptions): Reporting {
  const { engine, settings, fleet, clock, log } = options;
  // The API refuses an event whose reporter has no name.
  const instance = settings.podName === "" ? "outside-the-cluster" : settings.podName;
  const events = createEventWriter({ ...options, instance });
  /** Objects that Pepr has triggered; their status also follows what the compiler and the proxies say later. */
  const triggered = new Map<string, ObjectName>();
  const status = openWriter(options, events, () => progress);
  const touch = (subject: StatusSubject): void => {
    if (triggered.has(subjectKey(subject))) status.touch(subject);
  };
  const progress = fleet && followProgress({ engine, fleet, clock, log, touch });
  const refusals = fleet?.onRefusal(row => {
    tellRefusal(events, row);
  });
  followRootViews(options, touch);
  const defaults = new KeyedWorker({ ...options, work: () => makeMeshConfig(options) });
  const subscription = engine.onDiagnostics(changed => {
    follow(changed, { triggered, events, touch });
  });
  const ends = engine.onCompiled(changed => {
    for (const key of changed) if (!engine.generations().has(key)) triggered.delete(key);
  });
  return {
    events,
    progress: (subject, generation) => progress?.of(subject, generation),
    reconcile(object) {
      triggered.set(subjectKey(object), object);
      touch(object);
      if (object.kind === "MeshConfig" && object.name === MESH_CONFIG_NAME) defaults.enqueue(object.name);
    },
    stop: () => {
      for (const part of [subscription, refusals, ends]) part?.close();
      for (const part of [progress, status, defaults]) part?.stop();
    },
  };
}

/** Roots are told whenever what is said of them changes. */
function followRootViews(
  { roots, settings: { osmNamespace: namespace } }: ReportingOptions,
  touch: (subject: StatusSubject) => void,
): void {
  const told = new Map<string, string>();
  roots?.onView(view => {
    for (const { name, generation } of view.objects) {
      const said = [generation, view.errors.get(name), rootProgress(name, view), rootFields(name, view)];
      const text = JSON.stringify(said);
      if (told.get(name) === text) continue;
      told.set(name, text);
      touch({ kind: "MeshRootCertificate", namespace, name });
    }
  });
}

interface Followers {
  readonly triggered: ReadonlyMap<string, ObjectName>;
  readonly events: EventWriter;
  readonly touch: (subject: StatusSubject) => void;
}

/** New findings go to the status of custom objects; objects of Kubernetes itself are told by an event. */
function follow(changed: DiagnosticMap, { triggered, events, touch }: Followers): void {
  for (const [key, findings] of changed) {
    // Also when no finding is left: that is what makes a status good again.
    const custom = triggered.get(key);
    if (custom !== undefined) touch(custom);
    for (const { subject, code, message } of findings) {
      if (subject.group !== "") continue;
      const regarding = { ...subject, apiVersion: CORE_VERSION };
      events.emit({ regarding, type: "Warning", reason: code, note: message });
    }
  }
}
