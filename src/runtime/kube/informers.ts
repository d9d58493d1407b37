import type { KubeClient, KubeObject } from "../kube";
import type { Clock, Log } from "../ports";
import { startInformer, type Informer, type InformerSource } from "./informer";
import type { EngineEvent } from "../engine/events";
import type { Change } from "./watch-state";

/** One row of the table of kinds that are followed (`src/ingest` makes it). */
export interface KindProjector {
  readonly kind: string;
  /** Collection over all namespaces, like `/api/v1/pods`. */
  readonly apiPath: string;
  key(object: unknown): string;
  /** What is kept of an object. */
  project(object: unknown): unknown;
}

/** What a set of informers works with. */
export interface InformersOptions {
  readonly kube: KubeClient;
  readonly projectors: Iterable<KindProjector>;
  /** Kinds of which only one object counts; it is watched by name, so that no right on the others is needed. */
  readonly only?: Readonly<Record<string, { readonly namespace: string; readonly name: string }>>;
  /** The engine's; called synchronously, per kind in the order of the API server. */
  readonly apply: (event: EngineEvent) => void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** Running informers of several kinds. */
export interface Informers {
  /** Resolves when every kind has been listed once. */
  readonly synced: Promise<void>;
  /** Kinds that are not listed yet, for messages about a slow start. */
  readonly waitingFor: () => readonly string[];
  readonly byKind: ReadonlyMap<string, Informer<unknown>>;
  /** See {@link Informer.relist}; for every kind. */
  relist(): void;
  stop(): void;
}

/** Starts one informer per row. */
export function startInformers(options: InformersOptions): Informers {
  const byKind = new Map<string, Informer<unknown>>();
  for (const projector of options.projectors) {
    const { kind } = projector;
    byKind.set(
      kind,
      startInformer({
        ...options,
        source: sourceOf(projector, options.only?.[kind]),
        onChange: change => {
          options.apply(engineEvent(kind, change));
        },
      }),
    );
  }
  const all = [...byKind.values()];
  return {
    synced: Promise.all(all.map(informer => informer.synced)).then(() => undefined),
    waitingFor: () => all.filter(informer => !informer.isSynced).map(informer => informer.kind),
    byKind,
    relist: () => {
      for (const informer of all) informer.relist();
    },
    stop: () => {
      for (const informer of all) informer.stop();
    },
  };
}

/** The row's projector made the value for its kind, so kind and value belong together. */
function engineEvent(kind: string, change: Change<unknown>): EngineEvent {
  switch (change.type) {
    case "upsert":
      return { kind, type: "upsert", key: change.key, compiled: change.value } as EngineEvent;
    case "delete":
      return { kind, type: "delete", key: change.key } as EngineEvent;
    case "reset":
      return { kind, type: "reset", items: change.entries } as EngineEvent;
  }
}

/** A projected value with the generation it is of; kinds without generations have none. */
function stamped(value: unknown, { metadata }: KubeObject): unknown {
  const { generation } = metadata;
  return typeof value === "object" && value !== null && generation !== undefined
    ? { ...value, generation }
    : value;
}

function sourceOf(
  projector: KindProjector,
  only: { readonly namespace: string; readonly name: string } | undefined,
): InformerSource<unknown> {
  const { kind, apiPath } = projector;
  const base = {
    kind,
    path: apiPath,
    key: (object: unknown) => projector.key(object),
    project: (object: KubeObject) => stamped(projector.project(object), object),
  };
  if (only === undefined) return base;
  const path = apiPath.replace(/\/([^/]+)$/, `/namespaces/${only.namespace}/$1`);
  return { ...base, path, fieldSelector: `metadata.name=${only.name}` };
}

/**
 * The source of one named object, like a Secret: a list and watch by name, which RBAC can allow for just that name.
 * `collection` is the path of the collection in its namespace.
 */
export function namedSource<V>(
  source: Pick<InformerSource<V>, "kind" | "project"> & {
    readonly collection: string;
    readonly name: string;
  },
): InformerSource<V> {
  const { kind, collection, name, project } = source;
  return {
    kind,
    path: collection,
    fieldSelector: `metadata.name=${name}`,
    project: object => project(object),
  };
}
