import type { Catalog } from "../catalog/index";
import type { Inputs } from "../catalog/inputs";
import type { NodeGroup, View } from "../catalog/node-groups";
import { nodeGroupKey, viewKey } from "../catalog/node-groups";
import { sameElements, structurallyEqual } from "../graph/equality";
import type { Cell, Family, Read } from "../graph/graph";
import type { Diagnostic } from "../model/diagnostic";
import type { MeshService } from "../model/workload";
import type { Sources } from "./findings";
import { createFindings } from "./findings";
import { groupLeaves } from "./inbound";
import type { Transport } from "./outbound";
import {
  podListeners,
  serviceClusters,
  serviceEndpoints,
  serviceListeners,
  serviceRouteTables,
} from "./outbound";
import type { Settings } from "./settings";
import { createSettings } from "./settings";
import type { Traffic } from "./traffic";
import { createTraffic } from "./traffic";
import type { Leaf } from "./types";

/** What a leaf becomes. Parts of a view are kept apart so that a change of one kind never touches another. */
export type Part = "cluster" | "endpoint" | "route" | "listener";
/** All parts. */
export const PARTS: readonly Part[] = ["cluster", "endpoint", "route", "listener"];

const PART_OF: Readonly<Record<Leaf["kind"], Part>> = {
  "upstream-cluster": "cluster",
  "local-cluster": "cluster",
  "caller-cluster": "cluster",
  "passthrough-cluster": "cluster",
  "external-cluster": "cluster",
  "endpoint-set": "endpoint",
  "route-table": "route",
  "outbound-listener": "listener",
  "outbound-catch-all": "listener",
  "inbound-listener": "listener",
  "caller-gate": "listener",
};

/** The part a leaf belongs to. */
export function partOf(leaf: Leaf): Part {
  return PART_OF[leaf.kind];
}

/** The intermediate representation as cells. */
export interface Policy {
  /** Keys of the Services that a view shows, sorted. */
  readonly services: Family<View, readonly string[]>;
  /** Keys of the pods that a view shows, sorted. */
  readonly pods: Family<View, readonly string[]>;
  /** Leaves of one Service, by part and Service key. */
  readonly ofService: Readonly<Record<Part, Family<string, readonly Leaf[]>>>;
  /** Leaves of one pod's addresses (listeners only), by pod key. */
  readonly ofPod: Family<string, readonly Leaf[]>;
  /** Leaves of a node group's own, all parts. */
  readonly own: Family<NodeGroup, readonly Leaf[]>;
  /** Findings about the objects of the whole mesh, by `objectRefKey`; each list sorted, without duplicates. */
  readonly diagnostics: Cell<ReadonlyMap<string, readonly Diagnostic[]>>;
}

/** The policy of a catalog. */
export function createPolicy(inputs: Inputs, catalog: Catalog): Policy {
  const settings = createSettings(inputs);
  const traffic = createTraffic(inputs, catalog, settings);
  return {
    services: shownBy(inputs, "visibleServices", catalog.membership.services),
    pods: shownBy(inputs, "visiblePods", catalog.membership.pods),
    ofService: serviceLeaves({ inputs, catalog, settings, traffic }),
    ofPod: podLeaves(inputs, catalog, settings),
    own: ownLeaves(inputs, settings, traffic),
    diagnostics: createFindings({ inputs, catalog, settings, traffic }),
  };
}

function shownBy(
  { graph }: Inputs,
  label: string,
  all: Cell<readonly string[]>,
): Family<View, readonly string[]> {
  return graph.family<View, readonly string[]>({
    label,
    keyOf: viewKey,
    compute: read => read(all),
    equals: sameElements,
  });
}

function transportOf(read: Read, settings: Settings): Transport {
  return { trustDomain: read(settings.trustDomain), tls: read(settings.tls) };
}

function serviceLeaves({ inputs, catalog, settings, traffic }: Sources): Policy["ofService"] {
  const { endpoints, owners } = catalog;
  type Compile = (read: Read, service: MeshService, key: string) => readonly Leaf[];
  const family = (part: Part, compile: Compile): Family<string, readonly Leaf[]> =>
    inputs.graph.family({
      label: `service.${part}`,
      keyOf: (key: string) => key,
      compute: (read, key) => {
        const service = read(inputs.services.row(key));
        return service === undefined ? [] : compile(read, service, key);
      },
      equals: structurallyEqual,
    });
  return {
    cluster: family("cluster", (read, service, key) =>
      serviceClusters(service, read(endpoints.standing(key)), transportOf(read, settings)),
    ),
    endpoint: family("endpoint", (read, service, key) =>
      serviceEndpoints(service, read(endpoints.standing(key)), read(endpoints.backing(key)).endpoints),
    ),
    route: family("route", (read, service, key) =>
      serviceRouteTables(service, read(endpoints.standing(key)), {
        trustDomain: read(settings.trustDomain),
        splits: read(traffic.splits(key)).value,
      }),
    ),
    listener: family("listener", (read, service, key) => {
      const addresses = service.addresses.filter(address => read(owners.service(address)) === key);
      return serviceListeners(service, read(endpoints.standing(key)), {
        addresses,
        tracing: read(settings.tracing),
        splits: read(traffic.splits(key)).value,
      });
    }),
  };
}

function podLeaves(inputs: Inputs, catalog: Catalog, settings: Settings): Policy["ofPod"] {
  const compute = (read: Read, key: string): readonly Leaf[] => {
    const pod = read(inputs.pods.row(key));
    const served = read(catalog.nodeGroups.served(key)).map(port => ({
      ...port,
      candidates: port.frontends.flatMap(frontend => {
        const service = read(inputs.services.row(frontend.service));
        if (service === undefined) return [];
        return [{ frontend, service, standing: read(catalog.endpoints.standing(frontend.service)) }];
      }),
    }));
    const addresses = pod?.ips.filter(address => read(catalog.owners.pod(address)) === key) ?? [];
    return addresses.flatMap(address => podListeners(address, served, read(settings.tracing)));
  };
  return inputs.graph.family({
    label: "pod.listener",
    keyOf: key => key,
    compute,
    equals: structurallyEqual,
  });
}

function ownLeaves(inputs: Inputs, settings: Settings, traffic: Traffic): Policy["own"] {
  return inputs.graph.family({
    label: "own",
    keyOf: nodeGroupKey,
    compute: (read, group) =>
      groupLeaves(group, {
        meshConfig: settings.origin,
        transport: transportOf(read, settings),
        egress: read(settings.egress),
        tracing: read(settings.tracing),
        authorization: read(settings.authorization).value,
        targets: group.targets.flatMap(key => read(traffic.target(key))?.value ?? []),
        service: key => read(inputs.services.row(key)),
      }),
    equals: structurallyEqual,
  });
}
