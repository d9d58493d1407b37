import { createHash } from "node:crypto";
import type { IngestKind, ModelOf } from "../../src/ingest/index";
import { createProjectors, POLICY_KINDS } from "../../src/ingest/index";
import { objectKey } from "../../src/ingest/fields";
import type { Compiled } from "../../src/model/diagnostic";
import type { Leaf } from "../../src/policy/types";
import type { Engine, EngineEvent, EngineOptions } from "../../src/runtime/engine";
import { createEngine } from "../../src/runtime/engine";
import type { AuthenticatedProxy, Clock, Log } from "../../src/runtime/ports";
import type { EncodedResource, Snapshot, TypeUrl } from "../../src/xds/resource";
import { resourcesOf, TYPE_URLS } from "../../src/xds/resource";
import { partOf } from "../../src/policy/policy";
import type { TestObject } from "./objects";
import { watchedLog } from "./told-errors";

/** Kinds that the engine takes. */
export const KINDS: readonly IngestKind[] = [
  "Namespace",
  "Service",
  "EndpointSlice",
  "Pod",
  "ServiceAccount",
  "MeshConfig",
  "ExternalWorkload",
  ...POLICY_KINDS,
];

const projectors = createProjectors("osm");

/** A log that drops everything but remembers errors, which fail a test that does not expect them. */
export function quietLog(errors: string[] = []): Log {
  const log: Log = {
    ...watchedLog,
    error: (message, fields) => {
      errors.push(`${message} ${JSON.stringify(fields ?? {})}`);
      watchedLog.error(message, fields);
    },
    child: () => log,
  };
  return log;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (run, ms) => {
    const timer = setTimeout(run, ms);
    return {
      cancel: () => {
        clearTimeout(timer);
      },
    };
  },
};

/** An encoding that shows the leaf: JSON bytes and their hash. For tests of the compiler alone. */
export function encodeAsJson(leaf: Leaf): EncodedResource {
  const body = Buffer.from(JSON.stringify(leaf));
  const version = createHash("sha256").update(body).digest("hex").slice(0, 16);
  return {
    typeUrl: TYPE_URLS[partOf(leaf)],
    name: leaf.name,
    version,
    body,
    fragment: body,
    origins: leaf.origins,
  };
}

/** The proxy of a pod made by `pod()`. */
export function proxyOf(target: TestObject): AuthenticatedProxy {
  const { namespace = "", name } = target.metadata;
  const account = (target["spec"] as { serviceAccountName: string }).serviceAccountName;
  const { uid = "" } = target.metadata;
  return {
    identity: { namespace, serviceAccount: account },
    podUid: uid,
    podName: name,
    expiresAt: Number.MAX_SAFE_INTEGER,
  };
}

function isKind(kind: string): kind is IngestKind {
  return (KINDS as readonly string[]).includes(kind);
}

function kindOf(object: TestObject): IngestKind {
  if (!isKind(object.kind)) throw new Error(`the engine takes no ${object.kind}`);
  return object.kind;
}

/** The event of an object that was added or changed. */
export function upsert(object: TestObject): EngineEvent {
  const kind = kindOf(object);
  return {
    kind,
    type: "upsert",
    key: objectKey(object),
    compiled: projectors[kind].project(object),
  } as EngineEvent;
}

/** The event of an object that was deleted. */
export function remove(object: TestObject): EngineEvent {
  return { kind: kindOf(object), type: "delete", key: objectKey(object) } as EngineEvent;
}

/** The event of a list of one kind. */
export function relist(kind: IngestKind, objects: readonly TestObject[]): EngineEvent {
  const items = new Map<string, Compiled<ModelOf[IngestKind]>>();
  for (const object of objects) items.set(objectKey(object), projectors[kind].project(object));
  return { kind, type: "reset", items } as unknown as EngineEvent;
}

/** An engine under a test's control: nothing happens until `flush`. */
export interface World {
  readonly engine: Engine;
  /** What the engine logged as errors. */
  readonly errors: readonly string[];
  /** Feeds objects as one change each and flushes. */
  feed(...objects: readonly TestObject[]): void;
  drop(...objects: readonly TestObject[]): void;
  /** Both in one flush, deletions first. */
  change(changes: {
    readonly upserts: readonly TestObject[];
    readonly removals: readonly TestObject[];
  }): void;
  /** Subscribes the proxy of a pod. */
  connect(target: TestObject): Connection;
}

/** A connected proxy with all snapshots it was given. */
export interface Connection {
  readonly snapshots: readonly Snapshot[];
  /** The last snapshot; throws when there is none. */
  latest(): Snapshot;
  close(): void;
}

/** Makes a world. */
export function createWorld(
  encode: (leaf: Leaf) => EncodedResource = encodeAsJson,
  more: Partial<EngineOptions> = {},
): World {
  const errors: string[] = [];
  const log = quietLog(errors);
  const engine = createEngine({ log, clock: systemClock, encode, soon: () => undefined, ...more });
  return {
    engine,
    errors,
    feed: (...objects) => {
      for (const object of objects) engine.apply(upsert(object));
      engine.flush();
    },
    drop: (...objects) => {
      for (const object of objects) engine.apply(remove(object));
      engine.flush();
    },
    change: ({ upserts, removals }) => {
      for (const object of removals) engine.apply(remove(object));
      for (const object of upserts) engine.apply(upsert(object));
      engine.flush();
    },
    connect: target => {
      const snapshots: Snapshot[] = [];
      const subscription = engine.subscribe(proxyOf(target), snapshot => snapshots.push(snapshot));
      return {
        snapshots,
        latest: () => {
          const last = snapshots.at(-1);
          if (last === undefined) throw new Error(`no snapshot for ${target.metadata.name}`);
          return last;
        },
        close: () => {
          subscription.close();
        },
      };
    },
  };
}

/** Names of a snapshot's resources of one type, sorted. */
export function namesIn(snapshot: Snapshot, typeUrl: TypeUrl): readonly string[] {
  const set = snapshot.get(typeUrl);
  return set === undefined ? [] : [...resourcesOf(set)].map(resource => resource.name).sort();
}

/** A snapshot as text: type, name, version and bytes of every resource, in order of names. */
export function printSnapshot(snapshot: Snapshot): string {
  const lines: string[] = [];
  for (const [typeUrl, set] of snapshot) {
    for (const resource of resourcesOf(set)) {
      lines.push(
        `${typeUrl}|${resource.name}|${resource.version}|${Buffer.from(resource.fragment).toString("base64")}`,
      );
    }
  }
  return lines.sort().join("\n");
}
