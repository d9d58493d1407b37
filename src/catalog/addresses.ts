import type { Family, Read } from "../graph/graph";
import type { Inputs } from "./inputs";
import type { Membership } from "./mesh";

/** Who answers at an address. Two owners of one would be two listeners of one address, which no proxy accepts. */
export interface AddressOwners {
  /** Key of the Service that owns a cluster address. */
  readonly service: Family<string, string | undefined>;
  /** Key of the pod that owns a pod address: for a moment the one before may still be seen with it. */
  readonly pod: Family<string, string | undefined>;
}

function namespaceOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

/** Owners as cells. */
export function createAddressOwners(inputs: Inputs, membership: Membership): AddressOwners {
  const { graph, services, pods } = inputs;
  const meshed = (read: Read, keys: readonly string[]): readonly string[] =>
    keys.filter(key => read(membership.isMeshed(namespaceOf(key))));
  return {
    service: graph.family({
      label: "addressOwner",
      keyOf: (address: string) => address,
      compute: (read, address) => meshed(read, read(services.by("address", address)))[0],
    }),
    pod: graph.family({
      label: "podAddressOwner",
      keyOf: (address: string) => address,
      compute: (read, address) => {
        const keys = meshed(read, read(pods.by("ip", address)));
        return keys.find(key => read(pods.row(key))?.terminating === false) ?? keys[0];
      },
    }),
  };
}
