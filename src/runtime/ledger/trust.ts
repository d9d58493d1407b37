/** The sum over all replicas: whom the live proxies trust, and whose certificates they have. */
import type { FleetTrust } from "../../certificate/root-proof";
import { GIVEN } from "./rows";
import type { FleetView } from "./sum";

/** What proves a move of the root's rotation; a replica of an older release, which says nothing about trust, proves none. */
export function fleetTrust({ replicas, complete, missing }: FleetView): FleetTrust {
  const given = replicas.flatMap(rows => rows.given.get(GIVEN) ?? []);
  return {
    complete: complete && given.length === replicas.length,
    replicas: given,
    proxies: replicas.flatMap(rows => [...rows.trust.values()]),
    absent: missing,
  };
}
