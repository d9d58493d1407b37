import type { MeshConfigSpec } from "../api/mesh-config";
import { CLOSED_MESH_CONFIG, completeMeshConfig } from "../api/mesh-config";
import { validateMeshConfig } from "../api/mesh-config-rules";
import type { Compiled } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import type { Json } from "./fields";
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

/** Fields whose loss could open the mesh: a mesh with a fault in one of them is closed rather than guessed at. */
const DECISIVE = [
  "spec.traffic.enableEgress",
  "spec.traffic.enablePermissiveTrafficPolicyMode",
  "spec.traffic.inboundExternalAuthorization",
];

/**
 * What a process that has never seen a good MeshConfig makes of the one there is: itself when it is valid; without the
 * fields that are not (a release may ask for more than the one that accepted the object); a closed mesh when there is
 * none, when it cannot be read, or when it is not known what it decides.
 */
export function firstMeshConfig(object: unknown): MeshConfigSpec {
  if (object === undefined) return CLOSED_MESH_CONFIG;
  let rest: unknown = object;
  // What needs a field that is left out goes with it: each round takes away one level more.
  for (let above = 0; above < DEEPEST; above += 1) {
    const { value, diagnostics } = ingestMeshConfig(rest);
    if (value !== undefined) return value;
    const faults = diagnostics
      .flatMap(({ severity, field }) => (severity === "error" ? [partsOf(field ?? "")] : []))
      .map(parts => parts.slice(0, parts.length - above));
    if (faults.some(isDecisive)) return CLOSED_MESH_CONFIG;
    rest = faults.reduce<unknown>(without, rest);
  }
  return CLOSED_MESH_CONFIG;
}

/** Levels of fields that a MeshConfig has. */
const DEEPEST = 6;

/** Whether a fault lies in a decisive field, or in something that holds one. */
function isDecisive(parts: readonly string[]): boolean {
  const field = parts.map(part => `${part}.`).join("");
  return DECISIVE.some(name => field.startsWith(`${name}.`) || `${name}.`.startsWith(field));
}

/** `spec.ports[2].number` in parts. */
function partsOf(field: string): readonly string[] {
  return field.replaceAll(/\[(\d+)\]/g, ".$1").split(".");
}

/** A copy without what lies there. A list with a bad entry goes as a whole: its entries may belong together. */
function without(value: unknown, [part, ...rest]: readonly string[]): unknown {
  if (part === undefined || Array.isArray(value)) return undefined;
  const { [part]: inner, ...others }: Json = asObject(value);
  const left = without(inner, rest);
  return left === undefined ? others : { ...others, [part]: left };
}
