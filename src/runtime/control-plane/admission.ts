import { validateCustomObject } from "../../api/kinds";
import type { MeshConfigSpec } from "../../api/mesh-config";
import type { InjectorSettings } from "../../injector/inject";
import { inject } from "../../injector/inject";
import type { PodJson } from "../../injector/pod";
import { ADS_PORT, ADS_SAN } from "../../model/mesh-words";
import type { Diagnostic } from "../../model/diagnostic";
import { tellContained } from "../contained";
import type { KubeClient } from "../kube";
import type { Log } from "../ports";
import type { Settings } from "../settings";
import type { AdmittedObject, Judgement, PodRequest, PodVerdict } from "./actions";
import type { Namespaces } from "./namespaces";
import type { World } from "./world";

/** Kubernetes 1.29 starts init containers with `restartPolicy: Always` before the application and ends them after it. */
const NATIVE_SIDECAR_MINOR = 29;
/** Longest wait for news of a namespace that has just been labelled; well below the webhook's own time. */
const NAMESPACE_PATIENCE_MS = 2_000;

/** What the cluster offers to pods, found out once at the start. */
export async function injectorSettings(
  kube: KubeClient,
  settings: Settings,
  podIps: readonly string[],
): Promise<InjectorSettings> {
  const version = await kube.get<{ major: string; minor: string }>("/version");
  const minor = Number.parseInt(version.minor, 10);
  return {
    meshName: settings.meshName,
    osmNamespace: settings.osmNamespace,
    trustDomain: settings.trustDomain,
    images: settings.images,
    // A name, not the Service's address: that would change when the Service is deleted and made again.
    adsAddress: `${ADS_SAN}:${ADS_PORT}`,
    nativeSidecar: Number(version.major) > 1 || minor >= NATIVE_SIDECAR_MINOR,
    ipv6: podIps.some(address => address.includes(":")),
  };
}

/** Addresses of the pod we run in; none outside a cluster. They tell whether pods get IPv6. */
export async function ownAddresses(
  kube: KubeClient,
  pod: { readonly namespace: string; readonly name: string },
): Promise<readonly string[]> {
  if (pod.name === "") return [];
  interface Pod {
    readonly metadata: { readonly name: string };
    readonly status?: { readonly podIPs?: readonly { readonly ip: string }[] };
  }
  const found = await kube.get<Pod>(`/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`);
  return (found.status?.podIPs ?? []).map(({ ip }) => ip);
}

/** What {@link podAdmission} decides with. */
export interface PodAdmissionOptions {
  readonly settings: InjectorSettings;
  readonly meshConfig: () => MeshConfigSpec;
  readonly namespaces: Namespaces;
}

/** The injector with its inputs: what happens to a new pod. Calls no API. */
export function podAdmission(options: PodAdmissionOptions): (request: PodRequest) => Promise<PodVerdict> {
  const { settings, meshConfig, namespaces } = options;
  return async request => {
    const facts = await namespaces.labelled(request.namespace, NAMESPACE_PATIENCE_MS);
    if (facts === undefined) return { kind: "leave" };
    const result = inject({
      pod: request.pod as PodJson,
      uid: request.uid,
      namespace: facts,
      meshConfig: meshConfig(),
      settings,
    });
    switch (result.kind) {
      case "inject":
        return { kind: "inject", pod: { ...result.pod } };
      case "skip":
        return { kind: "leave" };
      case "refuse":
        return { kind: "refuse", reason: result.message };
    }
  };
}

/**
 * Judges a custom object by its own fields, and warns of what is found about it beside the others that are there: never a
 * fault, because manifests may be applied in any order.
 */
export function judgeInWorld(
  world: Pick<World, "foresee">,
  log: Log,
): (kind: string, object: AdmittedObject, before?: AdmittedObject) => Judgement {
  return (kind, object, before) => {
    const judgement = judgeObject(kind, object, before);
    if (judgement.faults.length > 0) return judgement;
    try {
      const found = world.foresee(kind, object).map(finding => sentenceOf(finding));
      return { faults: [], warnings: atMost([...new Set([...judgement.warnings, ...found])]) };
    } catch (error) {
      // A warning that is missing harms nobody; an object that cannot be stored does.
      const fields = { kind, error: String(error) };
      tellContained(log, "an object was admitted without a look at the others", fields);
      return judgement;
    }
  };
}

/** The API server passes on 4 KiB of warnings in all, and would cut the last ones short. */
const MOST_WARNINGS = 10;

function atMost(warnings: readonly string[]): readonly string[] {
  const more = warnings.length - MOST_WARNINGS;
  return more <= 0 ? warnings : [...warnings.slice(0, MOST_WARNINGS), `and ${more} more; see its status`];
}

/** With the field, where the message does not name it. */
function sentenceOf({ field, message }: Diagnostic): string {
  return field === undefined || message.includes(field) ? message : `${field}: ${message}`;
}

/**
 * Judges a custom object by its own fields; what depends on other objects is the compiler's to find. Faults that the object
 * had `before` are told as warnings: it was stored while nobody judged, and has to stay changeable, if only to be deleted.
 */
export function judgeObject(kind: string, object: AdmittedObject, before?: AdmittedObject): Judgement {
  const found = validateCustomObject(kind, object);
  const messages = (of: typeof found, severity: "error" | "warning"): string[] =>
    of.filter(finding => finding.severity === severity).map(finding => finding.message);
  const faults = messages(found, "error");
  const warnings = messages(found, "warning");
  const old = new Set(before === undefined ? [] : messages(validateCustomObject(kind, before), "error"));
  return faults.every(fault => old.has(fault))
    ? { faults: [], warnings: [...faults, ...warnings] }
    : { faults, warnings };
}
