import type { Access } from "./access";
import { createAccess } from "./access";
import type { AddressOwners } from "./addresses";
import { createAddressOwners } from "./addresses";
import type { EndpointCatalog } from "./endpoints";
import { createEndpointCatalog } from "./endpoints";
import type { Family } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import type { Inputs } from "./inputs";
import type { Membership } from "./mesh";
import { createMembership } from "./mesh";
import type { Scope } from "./scope";
import { createScopes } from "./scope";
import type { NodeGroups } from "./node-groups";
import { createNodeGroups } from "./node-groups";
import type { PodAddresses } from "./pod-addresses";
import { createPodAddresses } from "./pod-addresses";
import { createTelemetryOf, type TelemetryKeys } from "./telemetry";
import { createViews } from "./views";

/** Relations between the objects of the mesh, as cells. */
export interface Catalog {
  readonly membership: Membership;
  readonly endpoints: EndpointCatalog;
  readonly owners: AddressOwners;
  readonly access: Access;
  readonly nodeGroups: NodeGroups;
  readonly podAddresses: PodAddresses;
  /** Which Telemetries say how a pod's proxy logs and traces, by pod key. */
  readonly telemetryOf: Family<string, TelemetryKeys | undefined>;
  /** What a client that is told only of what it may call is told of. */
  readonly scopes: Family<ServiceIdentity, Scope>;
}

/** The catalog of some inputs. */
export function createCatalog(inputs: Inputs): Catalog {
  const membership = createMembership(inputs);
  const access = createAccess(inputs);
  const telemetryOf = createTelemetryOf(inputs);
  const viewOf = createViews(inputs, telemetryOf);
  const nodeGroups = createNodeGroups(inputs, { membership, access, viewOf });
  const podAddresses = createPodAddresses(inputs, membership, nodeGroups);
  return {
    membership,
    endpoints: createEndpointCatalog(inputs),
    owners: createAddressOwners(inputs, membership),
    access,
    nodeGroups,
    podAddresses,
    scopes: createScopes(inputs, { membership, access, nodeGroups, podAddresses }),
    telemetryOf,
  };
}
