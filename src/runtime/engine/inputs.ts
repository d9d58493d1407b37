import type { MeshConfigSpec } from "../../api/mesh-config";
import type { Inputs } from "../../catalog/inputs";
import { structurallyEqual } from "../../graph/equality";
import type { Table } from "../../graph/table";
import { createTable } from "../../graph/table";
import type { IngestKind, ModelOf } from "../../ingest/index";
import type { Compiled, Diagnostic } from "../../model/diagnostic";
import type { EngineEvent, EngineEventOf } from "./events";

/** Where values of a kind are put. */
interface Store<V> {
  set(key: string, value: V | undefined): unknown;
  reset(values: ReadonlyMap<string, V>): unknown;
}

/** Carries events into the input cells, values and findings apart. */
export interface InputWriter {
  apply(event: EngineEvent): void;
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

/** A writer for some inputs. */
export function createInputWriter(inputs: Inputs): InputWriter {
  const findings = createTable<readonly Diagnostic[]>(inputs.graph, {
    label: "findings",
    equals: structurallyEqual,
    indexes: {},
  });
  const stores: { readonly [K in IngestKind]: Store<ModelOf[K]> } = {
    Namespace: inputs.namespaces,
    Service: inputs.services,
    EndpointSlice: inputs.slices,
    Pod: inputs.pods,
    ServiceAccount: inputs.serviceAccounts,
    MeshConfig: meshConfigStore(inputs),
    TrafficTarget: policyStore(inputs.trafficTargets),
    IdentityBinding: policyStore(inputs.identityBindings),
    HTTPRouteGroup: policyStore(inputs.httpRouteGroups),
    TCPRoute: policyStore(inputs.tcpRoutes),
    UDPRoute: policyStore(inputs.udpRoutes),
    TrafficSplit: policyStore(inputs.trafficSplits),
    Egress: policyStore(inputs.egresses),
    IngressBackend: policyStore(inputs.ingressBackends),
    Retry: policyStore(inputs.retries),
    UpstreamTrafficSetting: policyStore(inputs.upstreamTrafficSettings),
    Telemetry: policyStore(inputs.telemetries),
    ExtensionService: policyStore(inputs.extensionServices),
  };

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
  return { apply: write, findings };
}
