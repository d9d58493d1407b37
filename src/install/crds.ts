import type { InstallObject } from "./object";
import { CRD_DOCUMENTS } from "./crds.generated";

/**
 * The definitions of all kinds the mesh reads: OSM's own, its policies and SMI's, every version served. Made from
 * `crds/`; to be applied before anything watches them.
 */
export const EMBEDDED_CRDS: readonly InstallObject[] = CRD_DOCUMENTS.map(
  document => JSON.parse(document) as InstallObject,
);
