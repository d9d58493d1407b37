import type { IngestKind, ModelOf } from "../../ingest/index";
import type { Compiled } from "../../model/diagnostic";

/** A projected value, and of which `metadata.generation` of the object it is. */
export type Ingested<V> = Compiled<V> & { readonly generation?: number };

interface Upsert<K extends IngestKind> {
  readonly kind: K;
  readonly type: "upsert";
  /** As the kind's projector gives it. */
  readonly key: string;
  readonly compiled: Ingested<ModelOf[K]>;
}

interface Delete<K extends IngestKind> {
  readonly kind: K;
  readonly type: "delete";
  readonly key: string;
}

/** The result of a list: everything there is, as one step. */
interface Reset<K extends IngestKind> {
  readonly kind: K;
  readonly type: "reset";
  readonly items: ReadonlyMap<string, Ingested<ModelOf[K]>>;
}

/** A change of one kind, already projected. */
export type EngineEventOf<K extends IngestKind> = Upsert<K> | Delete<K> | Reset<K>;
/** A change of any kind. */
export type EngineEvent = { [K in IngestKind]: EngineEventOf<K> }[IngestKind];
