import { stringify } from "yaml";
import { apiKind, validateCustomObject } from "../../src/api/kinds";
import type { Diagnostic } from "../../src/model/diagnostic";
import { objectRefKey } from "../../src/model/object-ref";
import type { Leaf } from "../../src/policy/types";
import type { DiagnosticMap } from "../../src/runtime/engine";
import { statusChange } from "../../src/status/object-status";
import type { EncodedResource } from "../../src/xds/resource";
import { resourceJson } from "./envoy-json";
import type { TestObject } from "./objects";
import type { Scene, SceneGroup } from "./scene";
import { keyOf, type SceneStep } from "./scene-step";

/** Sorts before whatever a name consists of, so that order does not depend on what follows the name. */
const SEPARATOR = "\u0000";

/** Things that some groups have, each once, with the groups that have it ("all" when every group does). */
function once<T>(
  groups: readonly SceneGroup[],
  of: (group: SceneGroup) => readonly T[],
  keyOfItem: (item: T) => string,
): readonly { readonly item: T; readonly for: string | readonly string[] }[] {
  const found = new Map<string, { item: T; users: string[] }>();
  for (const group of groups) {
    for (const item of of(group)) {
      const entry = found.get(keyOfItem(item)) ?? { item, users: [] };
      entry.users.push(group.pods[0] ?? "");
      found.set(keyOfItem(item), entry);
    }
  }
  return [...found.keys()].sort().flatMap(key => {
    const entry = found.get(key);
    return entry === undefined
      ? []
      : [{ item: entry.item, for: entry.users.length === groups.length ? "all" : entry.users }];
  });
}

function printLeaf(leaf: Leaf): unknown {
  // Whom a leaf is for and which objects it comes from, in one line each.
  return JSON.parse(
    JSON.stringify(leaf, (key, value: unknown) =>
      key === "origins" ? (value as Leaf["origins"]).map(objectRefKey) : value,
    ),
  ) as unknown;
}

function yaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** `policy.yaml` of a scene: groups, and every leaf once. */
export function printPolicy(scene: Scene): string {
  const groups = scene.groups();
  const leaves = once(
    groups,
    group => group.description.leaves,
    leaf => [leaf.kind, leaf.name, JSON.stringify(leaf)].join(SEPARATOR),
  );
  return yaml({
    groups: groups.map(({ pods, description: { group } }) => ({ pods, ...group })),
    leaves: leaves.map(entry => ({ for: entry.for, leaf: printLeaf(entry.item) })),
  });
}

function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf(".") + 1);
}

/** `envoy.yaml` of a scene: every resource once, as Envoy's own JSON. */
export function printEnvoy(scene: Scene): string {
  const resources = once(
    scene.groups(),
    group => group.resources,
    resource => [resource.typeUrl, resource.name, resource.version].join(SEPARATOR),
  );
  return yaml(
    resources.map(entry => ({
      type: shortType(entry.item.typeUrl),
      name: entry.item.name,
      for: entry.for,
      resource: resourceJson(entry.item),
    })),
  );
}

/** What owners are told, by object: conditions of custom objects, and findings about objects of any kind. */
export type SceneStatus = ReadonlyMap<string, unknown>;

/** The status of every object that has one or about which something was found. */
export function statusOf(scene: Scene): SceneStatus {
  const compiled = scene.world.engine.diagnostics();
  const found = new Map<string, unknown>();
  for (const object of scene.objects) {
    const told = toldAbout(object, compiled);
    if (told !== undefined) found.set(keyOf(object), told);
  }
  for (const [subject, findings] of compiled) {
    // About an object that is not in the scene; its group is left out, as in keys of objects.
    const key = subject.replace(/^([^./]+)\.[^/]+/, "$1");
    if (!found.has(key)) found.set(key, listed(findings));
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function toldAbout(object: TestObject, compiled: DiagnosticMap): object | undefined {
  const row = apiKind(object.kind);
  const { namespace = "", name } = object.metadata;
  const ref = { group: row?.group ?? "", kind: object.kind, namespace, name };
  const findings = [...validateCustomObject(object.kind, object), ...(compiled.get(objectRefKey(ref)) ?? [])];
  if (row !== undefined) return { ...conditions(object, findings), ...listed(findings) };
  return findings.length > 0 ? listed(findings) : undefined;
}

function listed(findings: readonly Diagnostic[]): object {
  if (findings.length === 0) return {};
  // What validation and the compiler both found is told once.
  const unique = new Map(findings.map(finding => [JSON.stringify(finding), finding]));
  return {
    findings: [...unique.values()].map(({ severity, code, field, message }) => ({
      severity,
      code,
      field,
      message,
    })),
  };
}

/** The status as the single writer would write it, without times; how far proxies are is not part of a scene. */
function conditions(object: TestObject, diagnostics: readonly Diagnostic[]): object {
  const facts = { generation: 1, now: 0, diagnostics, progress: undefined };
  const status = statusChange(object.kind, object["status"], facts);
  if (status === undefined) return {};
  const { conditions: all, currentStatus, reason } = status;
  return {
    ...(currentStatus === undefined ? {} : { currentStatus, reason }),
    conditions: all
      .filter(condition => condition.type !== "Programmed")
      .map(({ type, status: value, reason: why, message }) => ({
        type,
        status: value,
        reason: why,
        message,
      })),
  };
}

/** `status.yaml` of a scene; "" when there is nothing to tell anybody. */
export function printStatus(scene: Scene): string {
  const status = statusOf(scene);
  return status.size === 0 ? "" : yaml(Object.fromEntries(status));
}

/** Names of resources by what happens to them. */
interface Delta {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

function deltaOf(before: readonly EncodedResource[], after: readonly EncodedResource[]): Delta {
  const label = ({ typeUrl, name }: EncodedResource): string => `${shortType(typeUrl)} ${name}`;
  const old = new Map(before.map(resource => [label(resource), resource.version]));
  const now = new Map(after.map(resource => [label(resource), resource.version]));
  return {
    added: [...now.keys()].filter(key => !old.has(key)).sort(),
    changed: [...now]
      .flatMap(([key, version]) => (old.has(key) && old.get(key) !== version ? [key] : []))
      .sort(),
    removed: [...old.keys()].filter(key => !now.has(key)).sort(),
  };
}

/** A step that has been made. */
export interface StepReport {
  /** `NN-name.sent.yaml`: what each proxy is sent, whose status changes, how much was encoded for it. */
  readonly text: string;
  /** Pods whose proxies are sent something. */
  readonly sentTo: readonly string[];
}

/** Makes a step and tells exactly what it changes. */
export function makeStep(scene: Scene, step: SceneStep): StepReport {
  const before = new Map(scene.meshed.map(pod => [pod, scene.resources(pod)]));
  const statusBefore = statusOf(scene);
  const encodedBefore = scene.world.engine.stats().encodes;
  scene.apply(step);
  const encoded = scene.world.engine.stats().encodes - encodedBefore;
  const sent = new Map<string, { to: string[]; delta: Delta }>();
  const untouched: string[] = [];
  for (const pod of scene.meshed) {
    const delta = deltaOf(before.get(pod) ?? [], scene.resources(pod));
    if (delta.added.length + delta.changed.length + delta.removed.length === 0) untouched.push(pod);
    else {
      const entry = sent.get(JSON.stringify(delta)) ?? { to: [], delta };
      entry.to.push(pod);
      sent.set(JSON.stringify(delta), entry);
    }
  }
  const nonEmpty = (delta: Delta): object =>
    Object.fromEntries(Object.entries(delta).filter(([, names]) => (names as readonly string[]).length > 0));
  const text = yaml({
    encoded,
    sent: [...sent.values()].map(({ to, delta }) => ({ to, ...nonEmpty(delta) })),
    untouched,
    gone: [...before.keys()].filter(pod => !scene.meshed.includes(pod)),
    status: statusChanges(statusBefore, statusOf(scene)),
  });
  return { text, sentTo: [...sent.values()].flatMap(({ to }) => to) };
}

/** Only what differs; null for objects that have nothing to tell any more. */
function statusChanges(before: SceneStatus, after: SceneStatus): object {
  const changed: Record<string, unknown> = {};
  for (const [key, value] of after) {
    if (JSON.stringify(before.get(key)) !== JSON.stringify(value)) changed[key] = value;
  }
  for (const key of before.keys()) if (!after.has(key)) changed[key] = null;
  return changed;
}
