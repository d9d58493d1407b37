import type { GroupVersionKind } from "kubernetes-fluent-client";
import { API_KINDS } from "../src/api/kinds";

/** The object that steers the mesh. */
export const MESH_CONFIG = "MeshConfig";
/** Where the mesh's root comes from. */
export const MESH_ROOT_CERTIFICATE = "MeshRootCertificate";

/**
 * Custom kinds as Pepr wants them, each in one version: the API server converts requests for another one (match policy
 * Equivalent), so one binding sees them all.
 */
export function kindsNamed(isMeant: (kind: string) => boolean): readonly GroupVersionKind[] {
  return API_KINDS.filter(({ kind }) => isMeant(kind)).map(({ group, version, kind, plural }) => ({
    group,
    version,
    kind,
    plural,
  }));
}

/** Kinds of users' policies: all but those that steer the mesh itself. */
export function policyKinds(): readonly GroupVersionKind[] {
  return kindsNamed(kind => kind !== MESH_CONFIG && kind !== MESH_ROOT_CERTIFICATE);
}
