/** What the owners of objects should know, gathered from all that reads them. */
import type { Catalog } from "../catalog/index";
import type { Inputs } from "../catalog/inputs";
import type { NodeGroup } from "../catalog/node-groups";
import { nodeGroupKey } from "../catalog/node-groups";
import { sameElements, structurallyEqual } from "../graph/equality";
import type { Cell, Family, Read } from "../graph/graph";
import type { Diagnostic } from "../model/diagnostic";
import type { ServiceIdentity } from "../model/identity";
import { objectRefKey } from "../model/object-ref";
import type { SubjectSelector } from "../model/traffic";
import { targetEffects } from "./access-findings";
import { accountFindings } from "./account-findings";
import { portConflicts, servedAs } from "./inbound";
import { serviceDiagnostics } from "./outbound";
import { createTermsFindings } from "./terms-findings";
import type { Settings } from "./settings";
import type { Traffic } from "./traffic";

/** What policies are computed from. */
export interface Sources {
  readonly inputs: Inputs;
  readonly catalog: Catalog;
  readonly settings: Settings;
  readonly traffic: Traffic;
}

type Found = readonly Diagnostic[];

/** Which policy object is meant. */
export interface PolicyName {
  readonly kind: string;
  /** `namespace/name`. */
  readonly key: string;
}

/** What the owners of objects should know. */
export interface PolicyFindings {
  /** About the objects of the whole mesh, by {@link objectRefKey}; each list sorted, without duplicates. */
  readonly all: Cell<ReadonlyMap<string, Found>>;
  /** About one policy object: nothing that does not concern it is computed. */
  readonly of: Family<PolicyName, Found>;
}

/** Findings as cells. */
export function createFindings(sources: Sources): PolicyFindings {
  const { inputs, catalog, settings, traffic } = sources;
  const { graph } = inputs;
  const ofService = findings(inputs, "serviceDiagnostics", (read, key) => {
    const service = read(inputs.services.row(key));
    return service === undefined ? [] : serviceDiagnostics(service);
  });
  const ofPod = podFindings(sources);
  const ofTarget = findings(inputs, "targetDiagnostics", (read, key) => targetFindings(read, sources, key));
  const ofTerms = createTermsFindings(sources);
  const roots = graph.derive<readonly string[]>(
    "splitRoots",
    read => {
      const splits = read(inputs.trafficSplits.keys).map(key => read(inputs.trafficSplits.row(key)));
      return [...new Set(splits.flatMap(split => split?.root ?? []))].sort();
    },
    sameElements,
  );
  const of = graph.family<PolicyName, Found>({
    label: "findingsOf",
    keyOf: ({ kind, key }) => `${kind}|${key}`,
    compute: (read, { kind, key }) => {
      const ofKind = ofTerms.of[kind];
      if (ofKind !== undefined) return read(ofKind(key));
      if (kind === "TrafficTarget") return read(ofTarget(key));
      const split = kind === "TrafficSplit" ? read(inputs.trafficSplits.row(key)) : undefined;
      if (split === undefined) return [];
      const subject = objectRefKey(split.ref);
      return read(traffic.splits(split.root)).diagnostics.filter(
        found => objectRefKey(found.subject) === subject,
      );
    },
    equals: structurallyEqual,
  });
  const all = graph.derive(
    "diagnostics",
    read =>
      bySubject([
        ...read(settings.authorization).diagnostics,
        ...read(settings.scopeFindings),
        ...read(catalog.membership.services).flatMap(key => read(ofService(key))),
        ...read(catalog.membership.pods).flatMap(key => read(ofPod(key))),
        ...read(inputs.trafficTargets.keys).flatMap(key => read(ofTarget(key))),
        ...read(roots).flatMap(key => read(traffic.splits(key)).diagnostics),
        ...read(ofTerms.all),
      ]),
    structurallyEqual,
  );
  return { all, of };
}

function findings(
  { graph }: Inputs,
  label: string,
  compute: (read: Read, key: string) => Found,
): Family<string, Found> {
  return graph.family<string, Found>({ label, keyOf: key => key, compute, equals: structurallyEqual });
}

function podFindings({ inputs, catalog }: Sources): Family<string, Found> {
  const ofGroup = inputs.graph.family<NodeGroup, Found>({
    label: "groupDiagnostics",
    keyOf: nodeGroupKey,
    compute: (read, group) => portConflicts(group, key => read(inputs.services.row(key))),
    equals: structurallyEqual,
  });
  return inputs.graph.family<string, Found>({
    label: "podDiagnostics",
    keyOf: key => key,
    compute: (read, key) => {
      const group = read(catalog.nodeGroups.group(key));
      return group === undefined ? [] : read(ofGroup(group));
    },
    equals: sameElements,
  });
}

function targetFindings(read: Read, { inputs, catalog, traffic }: Sources, key: string): Found {
  const target = read(inputs.trafficTargets.row(key));
  const compiled = read(traffic.target(key));
  if (target === undefined || compiled === undefined) return [];
  const pods = read(catalog.access.pods(target.destination));
  const ports = pods.flatMap(pod =>
    read(catalog.nodeGroups.served(pod)).map(served => ({
      served,
      ...servedAs(served, service => read(inputs.services.row(service))),
    })),
  );
  return [
    ...compiled.diagnostics,
    ...accountFindings(read, inputs, target.ref, [
      { field: "spec.destination", accounts: identitiesOf([target.destination]) },
      { field: "spec.sources", accounts: identitiesOf(target.sources) },
    ]),
    ...targetEffects(compiled.value, { pods: pods.length, ports }),
  ];
}

function identitiesOf(selectors: readonly SubjectSelector[]): readonly ServiceIdentity[] {
  return selectors.flatMap(selector => (selector.kind === "identity" ? [selector.identity] : []));
}

/** Findings by subject, each once, in an order that does not depend on where they were found. */
export function bySubject(found: readonly Diagnostic[]): ReadonlyMap<string, readonly Diagnostic[]> {
  const unique = new Map(found.map(diagnostic => [JSON.stringify(diagnostic), diagnostic] as const));
  const result = new Map<string, Diagnostic[]>();
  for (const key of [...unique.keys()].sort()) {
    const diagnostic = unique.get(key);
    if (diagnostic === undefined) continue;
    const subject = objectRefKey(diagnostic.subject);
    result.set(subject, [...(result.get(subject) ?? []), diagnostic]);
  }
  return result;
}
