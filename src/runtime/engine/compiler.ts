import type { Catalog } from "../../catalog/index";
import { createCatalog } from "../../catalog/index";
import type { Inputs, InputSettings } from "../../catalog/inputs";
import { createInputs } from "../../catalog/inputs";
import type { NodeGroup } from "../../catalog/node-groups";
import { structurallyEqual } from "../../graph/equality";
import type { Cell, Family, Read } from "../../graph/graph";
import { createGraph } from "../../graph/graph";
import type { Diagnostic } from "../../model/diagnostic";
import type { Policy } from "../../policy/policy";
import { bySubject } from "../../policy/findings";
import { createPolicy, PARTS } from "../../policy/policy";
import type { Leaf } from "../../policy/types";
import type { Snapshot } from "../../xds/resource";
import type { Log } from "../ports";
import type { InputWriter } from "./inputs";
import { createInputWriter } from "./inputs";
import { createShapers, type Shapers } from "./shapers";
import type { Encode } from "./snapshots";
import { createSnapshots } from "./snapshots";

/** Findings by object ({@link objectRefKey}). */
export type DiagnosticMap = ReadonlyMap<string, readonly Diagnostic[]>;

/** What a pod's proxy must do, in words, for people. */
export interface PolicyDescription {
  readonly group: NodeGroup;
  readonly leaves: readonly Leaf[];
}

/** All stages joined, from events to snapshots; without time, subscribers or callbacks. */
export interface Compiler {
  readonly inputs: Inputs;
  readonly catalog: Catalog;
  readonly writer: InputWriter;
  readonly snapshot: Family<NodeGroup, Snapshot>;
  readonly findings: Cell<DiagnosticMap>;
  /** Findings about one policy object, those of its own fields apart. */
  readonly findingsOf: Policy["diagnosticsOf"];
  /** By pod uid. */
  readonly description: Family<string, PolicyDescription | undefined>;
  readonly shapers: Shapers;
  /** By pod address. */
  readonly descriptionAt: Family<string, PolicyDescription | undefined>;
}

/** Joins the stages over empty inputs; `log` is told of what cannot be computed, by default nobody is. */
export function createCompiler(settings: InputSettings, encode: Encode, log?: Log): Compiler {
  const graph = createGraph();
  const inputs = createInputs(graph, settings);
  const catalog = createCatalog(inputs);
  const policy = createPolicy(inputs, catalog);
  const writer = createInputWriter(inputs);
  return {
    inputs,
    catalog,
    writer,
    snapshot: createSnapshots(graph, policy, encode, log),
    findings: graph.derive<DiagnosticMap>(
      "findings",
      read =>
        bySubject([
          ...[...read(policy.diagnostics).values()].flat(),
          ...read(writer.findings.keys).flatMap(key => read(writer.findings.row(key)) ?? []),
        ]),
      structurallyEqual,
    ),
    findingsOf: policy.diagnosticsOf,
    description: graph.family({
      label: "description",
      keyOf: (podUid: string) => podUid,
      compute: (read, podUid) => describe(read, read(inputs.pods.by("uid", podUid))[0]),
    }),
    shapers: createShapers(inputs, catalog, policy),
    descriptionAt: graph.family({
      label: "descriptionAt",
      keyOf: (address: string) => address,
      compute: (read, address) => describe(read, read(catalog.owners.pod(address))),
    }),
  };

  function describe(read: Read, podKey: string | undefined): PolicyDescription | undefined {
    const group = podKey === undefined ? undefined : read(catalog.nodeGroups.group(podKey));
    return group === undefined ? undefined : { group, leaves: leavesOf(read, policy, group) };
  }
}

/** Every leaf of a group, what it shares with others first. */
function leavesOf(read: Read, policy: Policy, group: NodeGroup): readonly Leaf[] {
  const { view } = group;
  return [
    ...PARTS.flatMap(part =>
      read(policy.services({ view, part })).flatMap(shown => read(policy.ofService[part](shown))),
    ),
    ...read(policy.pods(view)).flatMap(shown => read(policy.ofPod(shown))),
    ...read(policy.own(group)),
  ];
}

/** The objects whose findings differ; an empty list means none are left. */
export function changedFindings(before: DiagnosticMap, after: DiagnosticMap): DiagnosticMap {
  const changed = new Map<string, readonly Diagnostic[]>();
  for (const [subject, found] of after) {
    if (!structurallyEqual(before.get(subject), found)) changed.set(subject, found);
  }
  for (const subject of before.keys()) if (!after.has(subject)) changed.set(subject, []);
  return changed;
}
