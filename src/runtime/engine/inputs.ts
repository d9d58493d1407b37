import type { MeshConfigSpec } from "../../api/mesh-config";
import { externalKey, type Inputs } from "../../catalog/inputs";
import { structurallyEqual } from "../../graph/equality";
import type { Table } from "../../graph/table";
import { createTable } from "../../graph/table";
import type { IngestKind, ModelOf, PolicyOf } from "../../ingest/index";
import type { Compiled, Diagnostic } from "../../model/diagnostic";
import type { MeshPod } from "../../model/workload";
import type { EngineEvent, EngineEventOf } from "./events";

/** Where values of a kind are put. */
interface Store<V> {
  set(key: string, value: V | undefined): unknown;
  reset(values: ReadonlyMap<string, V>): unknown;
}

type Stores = { readonly [K in IngestKind]: Store<ModelOf[K]> };

/** Carries events into the input cells, values and findings apart. */
export interface InputWriter {
  apply(event: EngineEvent): void;
  /** Runs something while a policy object is as it may become; afterwards it is as it was. */
  trying<T>(candidate: EngineEventOf<keyof PolicyOf> & { readonly type: "upsert" }, run: () => T): T;
  /** What ingest found, by kind and key. */
  readonly findings: Table<readonly Diagnostic[], never>;
}

/**
 * Only the mesh's one MeshConfig counts, whatever else is fed. One that is gone or not valid changes nothing: the last
 * good one stays in force, because a mesh must not open (or lose its settings) with an object.
 */
function meshConfigStore({ meshConfig, meshConfigRef }: Inputs): Store<MeshConfigSpec | undefined> {
  const own = `${meshConfigRef.namespace}/${meshConfigRef.name}`;
  const take = (value: MeshConfigSpec | undefined): unknown => value !== undefined && meshConfig.set(value);
  return {
    set: (key, value) => key === own && take(value),
    reset: values => take(values.get(own)),
  };
}

/** Pods and what runs outside of the cluster share a table; a list of one kind says nothing about the other. */
function podStores({ pods }: Inputs): Pick<Stores, "Pod" | "ExternalWorkload"> {
  const besides = (external: boolean): [string, MeshPod][] =>
    [...pods.rows].filter(([, row]) => (row.external !== undefined) !== external);
  return {
    Pod: {
      set: (key, value) => pods.set(key, value),
      reset: rows => pods.reset(new Map([...besides(false), ...rows])),
    },
    ExternalWorkload: {
      set: (key, value) => pods.set(externalKey(key), value),
      reset: values => {
        const rows = new Map(besides(true));
        for (const [key, value] of values) if (value !== undefined) rows.set(externalKey(key), value);
        return pods.reset(rows);
      },
    },
  };
}

/** An object that is void has no row, as if it were not there: its findings tell why. */
function policyStore<V, I extends string>(table: Table<V, I>): Store<V | undefined> {
  return {
    set: (key, value) => table.set(key, value),
    reset: values => {
      const rows = new Map<string, V>();
      for (const [key, value] of values) if (value !== undefined) rows.set(key, value);
      return table.reset(rows);
    },
  };
}

function mapValues<A, B>(map: ReadonlyMap<string, A>, to: (value: A) => B): ReadonlyMap<string, B> {
  return new Map([...map].map(([key, value]) => [key, to(value)] as const));
}

/** Where policy objects are put. */
type PolicyTables = { readonly [K in keyof PolicyOf]: Table<NonNullable<PolicyOf[K]>, string> };

function policyTables(inputs: Inputs): PolicyTables {
  return {
    TrafficTarget: inputs.trafficTargets,
    IdentityBinding: inputs.identityBindings,
    HTTPRouteGroup: inputs.httpRouteGroups,
    TCPRoute: inputs.tcpRoutes,
    UDPRoute: inputs.udpRoutes,
    TrafficSplit: inputs.trafficSplits,
    Egress: inputs.egresses,
    IngressBackend: inputs.ingressBackends,
    Retry: inputs.retries,
    UpstreamTrafficSetting: inputs.upstreamTrafficSettings,
    Telemetry: inputs.telemetries,
    ExtensionService: inputs.extensionServices,
  };
}

function storesOf(inputs: Inputs, policies: PolicyTables): Stores {
  return {
    ...podStores(inputs),
    Namespace: inputs.namespaces,
    Service: inputs.services,
    EndpointSlice: inputs.slices,
    ServiceAccount: inputs.serviceAccounts,
    MeshConfig: meshConfigStore(inputs),
    TrafficTarget: policyStore(policies.TrafficTarget),
    IdentityBinding: policyStore(policies.IdentityBinding),
    HTTPRouteGroup: policyStore(policies.HTTPRouteGroup),
    TCPRoute: policyStore(policies.TCPRoute),
    UDPRoute: policyStore(policies.UDPRoute),
    TrafficSplit: policyStore(policies.TrafficSplit),
    Egress: policyStore(policies.Egress),
    IngressBackend: policyStore(policies.IngressBackend),
    Retry: policyStore(policies.Retry),
    UpstreamTrafficSetting: policyStore(policies.UpstreamTrafficSetting),
    Telemetry: policyStore(policies.Telemetry),
    ExtensionService: policyStore(policies.ExtensionService),
  };
}

/** A writer for some inputs. */
export function createInputWriter(inputs: Inputs): InputWriter {
  const findings = createTable<readonly Diagnostic[]>(inputs.graph, {
    label: "findings",
    equals: structurallyEqual,
    indexes: {},
  });
  const policies = policyTables(inputs);
  const stores = storesOf(inputs, policies);
  const note = (kind: IngestKind, key: string, found: readonly Diagnostic[]): void => {
    findings.set(`${kind}|${key}`, found.length === 0 ? undefined : found);
  };
  const noteAll = (kind: IngestKind, items: ReadonlyMap<string, Compiled<unknown>>): void => {
    for (const row of [...findings.rows.keys()]) {
      if (row.startsWith(`${kind}|`) && !items.has(row.slice(kind.length + 1))) findings.set(row, undefined);
    }
    for (const [key, { diagnostics }] of items) note(kind, key, diagnostics);
  };
  const write = <K extends IngestKind>(event: EngineEventOf<K>): void => {
    const store: Store<ModelOf[K]> = stores[event.kind];
    switch (event.type) {
      case "upsert":
        store.set(event.key, event.compiled.value);
        note(event.kind, event.key, event.compiled.diagnostics);
        return;
      case "delete":
        store.set(event.key, undefined);
        note(event.kind, event.key, []);
        return;
      case "reset":
        store.reset(mapValues(event.items, item => item.value));
        noteAll(event.kind, event.items);
    }
  };
  const trying: InputWriter["trying"] = (candidate, run) => {
    const { key } = candidate;
    const table: Table<unknown, string> = policies[candidate.kind];
    const before = table.rows.get(key);
    try {
      table.set(key, candidate.compiled.value);
      return run();
    } finally {
      table.set(key, before);
    }
  };
  return { apply: write, trying, findings };
}
