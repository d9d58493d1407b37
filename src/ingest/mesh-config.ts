import type { MeshConfigSpec } from "../api/mesh-config";
import { completeMeshConfig } from "../api/mesh-config";
import { validateMeshConfig } from "../api/mesh-config-rules";
import type { Compiled } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import { asObject, metaOf } from "./fields";

/** API group of the mesh's own configuration. */
export const CONFIG_GROUP = "config.openservicemesh.io";

/**
 * The mesh configuration with every default filled in; undefined when the object is not valid, so that the last good one
 * stays in force as a whole: half of a configuration is not what its owner wrote.
 */
export function ingestMeshConfig(object: unknown): Compiled<MeshConfigSpec | undefined> {
  const { namespace, name } = metaOf(object);
  const subject: ObjectRef = { group: CONFIG_GROUP, kind: "MeshConfig", namespace, name };
  const diagnostics = validateMeshConfig(subject, asObject(object));
  const valid = diagnostics.every(({ severity }) => severity !== "error");
  return { value: valid ? completeMeshConfig(asObject(object)["spec"]) : undefined, diagnostics };
}
