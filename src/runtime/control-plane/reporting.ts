import { apiKind, validateCustomObject } from "../../api/kinds";
import type { Diagnostic } from "../../model/diagnostic";
import { MESH_CONFIG_NAME } from "../../model/mesh-words";
import { objectRefKey } from "../../model/object-ref";
import type { DiagnosticMap, Engine } from "../engine";
import type { KubeObject } from "../kube";
import type { KeeperOptions } from "../ownership";
import type { Settings } from "../settings";
import type { EventWriter } from "../status/events";
import { createEventWriter } from "../status/events";
import type { StatusSubject } from "../status/writer";
import { createStatusWriter } from "../status/writer";
import type { ObjectName } from "./actions";
import { ensureMeshConfig } from "./bootstrap";
import { KeyedWorker } from "./keyed-worker";

/** What the writer of status and events works with. */
export interface ReportingOptions extends KeeperOptions {
  readonly settings: Settings;
  readonly engine: Engine;
}

/** Tells owners about their objects; runs in the single writer. */
export interface Reporting {
  readonly events: EventWriter;
  /** Pepr's level trigger. Without it no status is ever written, nor is a deleted MeshConfig made again. */
  reconcile(object: ObjectName): void;
  stop(): void;
}

/** Version of the core kinds that findings can be about. */
const CORE_VERSION = "v1";

function ownFindings(engine: Engine, subject: StatusSubject, object: KubeObject): readonly Diagnostic[] {
  const group = apiKind(subject.kind)?.group ?? "";
  const compiled = engine.diagnostics().get(objectRefKey({ group, ...subject })) ?? [];
  return [...validateCustomObject(subject.kind, object), ...compiled];
}

/** Starts reporting. */
export function startReporting(options: ReportingOptions): Reporting {
  const { engine, settings } = options;
  // The API refuses an event whose reporter has no name.
  const instance = settings.podName === "" ? "outside-the-cluster" : settings.podName;
  const events = createEventWriter({ ...options, instance });
  const status = createStatusWriter({
    ...options,
    findings: (subject, object) => ownFindings(engine, subject, object),
    onRefusal: (subject, object, findings) => {
      const row = apiKind(subject.kind);
      if (row === undefined) return;
      const { uid } = object.metadata;
      const regarding = {
        ...subject,
        group: row.group,
        apiVersion: `${row.group}/${row.version}`,
        ...(uid === undefined ? {} : { uid }),
      };
      for (const finding of findings.filter(({ severity }) => severity === "error")) {
        events.emit({ regarding, type: "Warning", reason: finding.code, note: finding.message });
      }
    },
  });
  const defaults = new KeyedWorker({ ...options, work: () => ensureMeshConfig(options) });
  /** Objects that Pepr has triggered; their status also follows what the compiler finds later. */
  const triggered = new Map<string, ObjectName>();
  const subscription = engine.onDiagnostics(changed => {
    follow(changed, {
      triggered,
      events,
      touch: subject => {
        status.touch(subject);
      },
    });
  });
  return {
    events,
    reconcile(object) {
      const group = apiKind(object.kind)?.group ?? "";
      triggered.set(objectRefKey({ group, ...object }), object);
      status.touch(object);
      if (object.kind === "MeshConfig" && object.name === MESH_CONFIG_NAME) defaults.enqueue(object.name);
    },
    stop: () => {
      subscription.close();
      status.stop();
      defaults.stop();
    },
  };
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
