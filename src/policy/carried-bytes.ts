/** What becomes of connections that carry bytes when their port becomes HTTP, at the server. */
import type { ServedPort } from "../catalog/node-groups";
import { identityKey } from "../model/identity";
import type { WorkloadAuthorization } from "./authorization";
import type { AppProtocol, Grant } from "./types";

/** What is to be known of a mesh for it. */
export interface CarriedBytes {
  readonly authorization: WorkloadAuthorization;
  /** Ports of a Service that carried bytes a while ago, by its key. Absent: none. */
  readonly carriedBytes?: (key: string) => readonly number[];
}

/** Whether connections may be open that began as bytes: not spared where somebody is to be asked about requests. */
export function carriedBytes(
  { protocol, frontends }: Pick<ServedPort, "frontends"> & { readonly protocol: AppProtocol },
  { carriedBytes, authorization }: CarriedBytes,
): boolean {
  if (protocol === "tcp" || authorization.mode.kind !== "off") return false;
  return frontends.some(({ service, port }) => carriedBytes?.(service).includes(port) === true);
}

/**
 * Whether all who are granted anything at a port are granted any bytes: a caller's gate does not tell what goes through it,
 * and who is granted some requests must not go on with bytes.
 */
export function grantsNoMore(requests: readonly Grant[], bytes: readonly Grant[]): boolean {
  const allowed = new Set(bytes.flatMap(({ identities }) => identities.map(identityKey)));
  return requests.every(({ identities }) => identities.every(identity => allowed.has(identityKey(identity))));
}
