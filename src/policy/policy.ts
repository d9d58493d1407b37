import { partyOf } from "../catalog/endpoints";
import type { Catalog } from "../catalog/index";
import type { Inputs } from "../catalog/inputs";
import { selectorKey } from "../catalog/inputs";
import type { NodeGroup, View } from "../catalog/node-groups";
import { nodeGroupKey, viewKey } from "../catalog/node-groups";
import type { TelemetryKeys } from "../catalog/telemetry";
import { structurallyEqual } from "../graph/equality";
import type { Cell, Family, Read } from "../graph/graph";
import type { Diagnostic } from "../model/diagnostic";
import { oldestFirst } from "../model/age";
import { identityKey } from "../model/identity";
import type { MeshService } from "../model/workload";
import { workloadAuthorization } from "./authorization";
import type { PolicyFindings, Sources } from "./findings";
import { createFindings } from "./findings";
import { egressParts } from "./egress";
import type { EgressMode } from "./inbound";
import { groupLeaves } from "./inbound";
import type { Transport } from "./outbound";
import type { DirectPort } from "./outbound";
import {
  directPorts,
  podListeners,
  serviceClusters,
  serviceEndpoints,
  serviceListeners,
  serviceRouteTables,
} from "./outbound";
import type { Settings } from "./settings";
import { createSettings } from "./settings";
import { joined, tracedAs, type Logging } from "./telemetry";
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
  /** The Services that a view shows, in order of their keys. */
  readonly services: Family<{ readonly view: View; readonly part: Part }, readonly Shown[]>;
  /** The pods that a view shows, in order of their keys. */
  readonly pods: Family<View, readonly Shown[]>;
  /** Leaves of one Service, by part. */
  readonly ofService: Readonly<Record<Part, Family<Shown, readonly Leaf[]>>>;
  /** Leaves of one pod's addresses (listeners only). */
  readonly ofPod: Family<Shown, readonly Leaf[]>;
  /** Leaves of a node group's own, all parts. */
  readonly own: Family<NodeGroup, readonly Leaf[]>;
  /** Findings about the objects of the whole mesh, by `objectRefKey`; each list sorted, without duplicates. */
  readonly diagnostics: Cell<ReadonlyMap<string, readonly Diagnostic[]>>;
  /** Findings about one policy object, which refers to others. */
  readonly diagnosticsOf: PolicyFindings["of"];
}

/** The policy of a catalog. */
export function createPolicy(inputs: Inputs, catalog: Catalog): Policy {
  const settings = createSettings(inputs);
  const traffic = createTraffic(inputs, catalog, settings);
  const findings = createFindings({ inputs, catalog, settings, traffic });
  const dialled = createDialled(inputs, catalog);
  return {
    ...shownBy(inputs, catalog, traffic),
    ofService: serviceLeaves({ inputs, catalog, settings, traffic }, dialled.services),
    ofPod: podLeaves({ inputs, catalog, settings, traffic }, dialled.pods),
    own: ownLeaves({ inputs, catalog, settings, traffic }),
    diagnostics: findings.all,
    diagnosticsOf: findings.of,
  };
}

/** A Service or a pod as some clients are told of it: what differs between clients of its parts that they see. */
export interface Shown {
  /** Key of the Service or the pod. */
  readonly key: string;
  /** Key of the clients' Retry; routes only. */
  readonly retry?: string;
  /** Keys of the clients' Telemetries; listeners only. */
  readonly telemetry?: TelemetryKeys;
  /** The clients can call every pod by its own address, see {@link View.direct}; clusters and pods only. */
  readonly direct?: true;
}

/** Map key. */
export function shownKey({ key, retry, telemetry, direct }: Shown): string {
  if (retry === undefined && telemetry === undefined && direct === undefined) return key;
  return `${key}|${retry ?? ""}|${telemetry?.logs ?? ""}|${telemetry?.traces ?? ""}|${direct === true ? "direct" : ""}`;
}

function shownBy({ graph }: Inputs, catalog: Catalog, traffic: Traffic): Pick<Policy, "services" | "pods"> {
  const loggedAs = (keys: readonly string[], { telemetry }: View): readonly Shown[] =>
    keys.map(key => (telemetry === undefined ? { key } : { key, telemetry }));
  const calledAs = (keys: readonly string[], { direct }: View): readonly Shown[] =>
    keys.map(key => (direct === undefined ? { key } : { key, direct }));
  return {
    services: graph.family({
      label: "visibleServices",
      keyOf: ({ view, part }) => `${part}|${viewKey(view)}`,
      compute: (read, { view, part }) => {
        const keys =
          view.scope === undefined
            ? read(catalog.membership.services)
            : read(catalog.scopes(view.scope)).services;
        if (part === "listener") return loggedAs(keys, view);
        if (part === "cluster") return calledAs(keys, view);
        if (part !== "route") return keys.map(key => ({ key }));
        const retries = read(traffic.retries(view));
        return keys.map((key): Shown => {
          const retry = retries[key];
          return retry === undefined ? { key } : { key, retry };
        });
      },
      equals: structurallyEqual,
    }),
    pods: graph.family({
      label: "visiblePods",
      keyOf: viewKey,
      compute: (read, view) => {
        const { scope, direct } = view;
        if (scope !== undefined) return loggedAs(read(catalog.scopes(scope)).pods, view);
        if (direct === undefined) return loggedAs(read(catalog.podAddresses.picked), view);
        return loggedAs(read(catalog.membership.pods), view).map(shown => ({ ...shown, direct }));
      },
      equals: structurallyEqual,
    }),
  };
}

function transportOf(read: Read, settings: Settings): Transport {
  return { trustDomain: read(settings.trustDomain), tls: read(settings.tls) };
}

/** What clients dial. */
interface Dialled {
  /** Addresses and ports of a pod, by its key. */
  readonly pods: Family<
    string,
    { readonly addresses: readonly string[]; readonly ports: readonly DirectPort[] }
  >;
  /** Numbers of a Service's ports: all where it has an address of its own; where it has none, those its pods are called by. */
  readonly services: Family<string, readonly number[]>;
}

function createDialled(inputs: Inputs, catalog: Catalog): Dialled {
  const { graph } = inputs;
  const byKey = (key: string): string => key;
  const pods: Dialled["pods"] = graph.family({
    label: "dialledPod",
    keyOf: byKey,
    compute: (read, key: string) => {
      const ips = read(inputs.pods.row(key))?.ips ?? [];
      const addresses = ips.filter(address => read(catalog.owners.pod(address)) === key);
      return {
        addresses,
        ports: addresses.length === 0 ? [] : directPortsOf(read, inputs, { catalog, key }),
      };
    },
    equals: structurallyEqual,
  });
  const services: Dialled["services"] = graph.family({
    label: "dialledService",
    keyOf: byKey,
    compute: (read, key: string) => {
      const service = read(inputs.services.row(key));
      if (service === undefined) return [];
      if (service.kind !== "headless") {
        const own = service.addresses.some(address => read(catalog.owners.service(address)) === key);
        return own ? service.ports.map(({ port }) => port) : [];
      }
      const ports = selectorKey(service)
        .flatMap(label => read(inputs.pods.by("label", label)))
        .flatMap(pod => read(pods(pod)).ports)
        .flatMap(({ frontend }) => (frontend.service === key ? [frontend.port] : []));
      return [...new Set(ports)].sort((a, b) => a - b);
    },
    equals: structurallyEqual,
  });
  return { pods, services };
}

function directPortsOf(
  read: Read,
  inputs: Inputs,
  { catalog, key }: { readonly catalog: Catalog; readonly key: string },
): readonly DirectPort[] {
  const served = read(catalog.nodeGroups.served(key)).map(port => ({
    ...port,
    candidates: port.frontends.flatMap(frontend => {
      const service = read(inputs.services.row(frontend.service));
      if (service === undefined) return [];
      const standing = read(catalog.endpoints.standing(frontend.service));
      return [{ frontend, service, standing, carriedBytes: read(inputs.carriedBytes.row(frontend.service)) }];
    }),
  }));
  return directPorts(served);
}

function serviceLeaves(
  { inputs, catalog, settings, traffic }: Sources,
  dialled: Dialled["services"],
): Policy["ofService"] {
  const { endpoints, owners } = catalog;
  type Compile = (read: Read, service: MeshService, shown: Shown) => readonly Leaf[];
  const family = (part: Part, compile: Compile): Family<Shown, readonly Leaf[]> =>
    inputs.graph.family({
      label: `service.${part}`,
      keyOf: shownKey,
      compute: (read, shown) => {
        const service = read(inputs.services.row(shown.key));
        return service === undefined ? [] : compile(read, service, shown);
      },
      equals: structurallyEqual,
    });
  return {
    cluster: family("cluster", (read, service, { key, direct }) =>
      serviceClusters(service, read(endpoints.standing(key)), {
        transport: transportOf(read, settings),
        direct: direct === true,
        setting: read(traffic.setting(key)).value,
      }),
    ),
    endpoint: family("endpoint", (read, service, { key }) =>
      serviceEndpoints(service, read(endpoints.standing(key)), read(endpoints.backing(key)).endpoints),
    ),
    route: family("route", (read, service, { key, retry }) =>
      serviceRouteTables(service, read(endpoints.standing(key)), {
        trustDomain: read(settings.trustDomain),
        splits: read(traffic.splits(key)).value,
        setting: read(traffic.setting(key)).value,
        reading: read(settings.pathReading),
        retry: retry === undefined ? undefined : read(inputs.retries.row(retry)),
        dialled: read(dialled(key)),
      }),
    ),
    listener: family("listener", (read, service, { key, telemetry }) => {
      const addresses = service.addresses.filter(address => read(owners.service(address)) === key);
      const logging = loggingOf(read, traffic, telemetry);
      return serviceListeners(service, read(endpoints.standing(key)), {
        addresses,
        tracing: tracedAs(read(settings.tracing), logging),
        escapedSlashes: read(settings.escapedSlashes),
        splits: read(traffic.splits(key)).value,
        setting: read(traffic.setting(key)).value,
        logging,
        carriedBytes: read(inputs.carriedBytes.row(key)),
      });
    }),
  };
}

function loggingOf(read: Read, traffic: Traffic, { logs, traces }: TelemetryKeys = {}): Logging | undefined {
  const of = (key: string | undefined): Logging | undefined =>
    key === undefined ? undefined : read(traffic.logging(key))?.value;
  return joined(of(logs), of(traces));
}

function podLeaves({ inputs, settings, traffic }: Sources, dialled: Dialled["pods"]): Policy["ofPod"] {
  const compute = (read: Read, { key, telemetry, direct }: Shown): readonly Leaf[] => {
    const pod = read(inputs.pods.row(key));
    const { addresses, ports: all } = read(dialled(key));
    const ports = direct === true ? all : all.filter(({ service }) => service.kind === "headless");
    const logging = loggingOf(read, traffic, telemetry);
    const context = {
      tracing: tracedAs(read(settings.tracing), logging),
      escapedSlashes: read(settings.escapedSlashes),
      logging,
      ...(pod === undefined ? {} : { party: partyOf(pod) }),
    };
    return addresses.flatMap(address => podListeners(address, ports, context));
  };
  return inputs.graph.family({
    label: "pod.listener",
    keyOf: shownKey,
    compute,
    equals: structurallyEqual,
  });
}

function ownLeaves(sources: Sources): Policy["own"] {
  const { inputs, settings, traffic } = sources;
  return inputs.graph.family({
    label: "own",
    keyOf: nodeGroupKey,
    compute: (read, group) => {
      const logging = loggingOf(read, traffic, group.view.telemetry);
      return groupLeaves(group, {
        meshConfig: settings.origin,
        transport: transportOf(read, settings),
        callerDomain: read(settings.callerDomain),
        egress: egressOf(read, sources, group),
        tracing: tracedAs(read(settings.tracing), logging),
        escapedSlashes: read(settings.escapedSlashes),
        authorization: workloadAuthorization(
          group.externalAuthorization,
          read(settings.authorization).value,
          key => read(inputs.extensionServices.row(key)),
        ),
        targets: group.targets.flatMap(key => read(traffic.target(key))?.value ?? []),
        service: key => read(inputs.services.row(key)),
        logging,
        carriedBytes: key => read(inputs.carriedBytes.row(key)) ?? [],
        setting: key => read(traffic.setting(key)).value,
        reading: read(settings.pathReading),
        ingress: (port, services) => read(traffic.ingress({ port, services })),
      });
    },
    equals: structurallyEqual,
  });
}

/** What leads out of the mesh: everything, or what the Egresses of the identity open. */
function egressOf(read: Read, { inputs, settings, traffic }: Sources, { identity }: NodeGroup): EgressMode {
  if (read(settings.egress)) return { kind: "all" };
  const keys = read(inputs.egresses.by("source", identityKey(identity)));
  const egresses = keys.flatMap(key => read(inputs.egresses.row(key)) ?? []);
  return {
    kind: "some",
    ...egressParts(oldestFirst(egresses), {
      group: key => read(traffic.group(key)),
      setting: key => read(inputs.upstreamTrafficSettings.row(key)),
      trustDomain: read(settings.trustDomain),
      escapedSlashes: read(settings.escapedSlashes),
    }),
  };
}
