import { apiKind } from "../../src/api/kinds";
import { objectRefKey, originsWithin } from "../../src/model/object-ref";
import type { Engine } from "../../src/runtime/engine";

/** Keys of the custom objects that a pod's configuration comes from, sorted: by all leaves that describe it. */
export function describedShapers(engine: Engine, podUid: string): readonly string[] {
  const origins = (engine.describe(podUid)?.leaves ?? []).flatMap(originsWithin);
  const custom = origins.filter(({ kind, group }) => apiKind(kind)?.group === group);
  return [...new Set(custom.map(objectRefKey))].sort();
}
