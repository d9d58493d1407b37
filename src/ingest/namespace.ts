import type { Compiled } from "../model/diagnostic";
import {
  ANNOTATION_INBOUND_PLAINTEXT,
  ANNOTATION_INJECTION,
  ANNOTATION_METRICS,
  ANNOTATION_PERMISSIVE,
  LABEL_IGNORE,
  LABEL_MONITORED_BY,
} from "../model/mesh-words";
import type { MeshNamespace } from "../model/workload";
import { metaOf } from "./fields";
import { clean } from "./projector";

/** The words of OSM's switches, in any case; undefined when absent or none of them. */
export function switchOf(text: string | undefined): boolean | undefined {
  const word = text?.toLowerCase();
  if (word === "enabled" || word === "yes" || word === "true") return true;
  if (word === "disabled" || word === "no" || word === "false") return false;
  return undefined;
}

/** A Namespace as a mesh of that name sees it. */
export function ingestNamespace(object: unknown, meshName: string): Compiled<MeshNamespace> {
  const { name, labels, annotations } = metaOf(object);
  return clean({
    name,
    meshed: labels[LABEL_MONITORED_BY] === meshName && labels[LABEL_IGNORE] === undefined,
    injection: switchOf(annotations[ANNOTATION_INJECTION]),
    metrics: switchOf(annotations[ANNOTATION_METRICS]) === true,
    permissive: switchOf(annotations[ANNOTATION_PERMISSIVE]),
    plaintext: switchOf(annotations[ANNOTATION_INBOUND_PLAINTEXT]) === true,
  });
}
