/** A proxy that changes replicas keeps the leaf it has, while that is of the current issuer and not due. */
import { SDS_SERVICE_CERT } from "../../model/mesh-words";
import {
  findResource,
  resourceSet,
  TYPE_URLS,
  type EncodedResource,
  type Layer,
  type ResourceSet,
} from "../../xds/resource";
import { heldLeafDue } from "../secrets/workload-secrets";

/** Secrets of a stream as they are to be compared with what the proxy holds. */
export interface HeldSecrets {
  readonly secrets: ResourceSet;
  /** When the proxy's own leaf is due, epoch milliseconds. */
  readonly until: number;
}

/**
 * The secrets with the leaf named by the version the proxy reports, or undefined when that leaf is not good any more.
 * The report is a claim, but it only decides whether the proxy that makes it is sent a new leaf.
 */
export function keepHeldLeaf(
  secrets: ResourceSet,
  reported: string | undefined,
  now: number,
): HeldSecrets | undefined {
  const leaf = findResource(secrets, SDS_SERVICE_CERT);
  const [fingerprint] = leaf?.version.split(".") ?? [];
  if (leaf === undefined || fingerprint === undefined || reported === undefined) return undefined;
  const until = heldLeafDue(fingerprint, reported);
  const ownDue = heldLeafDue(fingerprint, leaf.version);
  // A leaf cannot be due later than one issued now, give or take the jitter of half a life.
  if (until === undefined || ownDue === undefined || until <= now || until - now > 1.25 * (ownDue - now))
    return undefined;
  const held: EncodedResource = { ...leaf, version: reported };
  const layers = secrets.layers.map(
    (layer): Layer => (layer.has(leaf.name) ? new Map([[leaf.name, held]]) : layer),
  );
  return { secrets: resourceSet(TYPE_URLS.secret, ...layers), until };
}
