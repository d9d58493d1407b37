import { CA_ROOT_CONFIGMAP, CA_ROOT_KEY } from "../../model/mesh-words";
import { isMeshNamespace, mirroring } from "../../install/namespace-facts";
import type { InstallSettings } from "../../install/names";
import { MANAGER_MESH, MANAGER_MIRROR, meshLabels } from "../../install/names";
import { mirroredNamespace, rootConfigMap } from "../../install/namespaces";
import { objectPath } from "../../install/object";
import type { KubeObject } from "../kube";
import { isNotFound } from "../kube/errors";
import { startInformer } from "../kube/informer";
import type { KeeperOptions } from "../ownership";
import { applyObject } from "../ownership";
import { KeyedWorker } from "./keyed-worker";
import type { Namespaces } from "./namespaces";

/** What mesh namespaces are kept with. */
export interface MeshNamespaceOptions extends KeeperOptions {
  readonly settings: InstallSettings;
  readonly namespaces: Namespaces;
  /** PEM of the roots that verify the ADS server, as they are now. */
  readonly rootsPem: () => string;
}

/** Duty of the watcher: every mesh namespace has its label and the ConfigMap with the control plane's roots. */
export interface MeshNamespaceKeeper {
  /** To be called when the roots have changed. */
  rootsChanged(): void;
  stop(): void;
}

/** Starts keeping labels and root ConfigMaps of mesh namespaces. */
export function keepMeshNamespaces(options: MeshNamespaceOptions): MeshNamespaceKeeper {
  const { namespaces, settings, kube, rootsPem } = options;
  /** Namespaces whose mirrored label has been withdrawn already; the withdrawal is not repeated at every event. */
  const withdrawn = new Set<string>();

  const keepLabel = async (name: string): Promise<void> => {
    const facts = namespaces.get(name);
    const next = facts === undefined ? "keep" : mirroring(facts, settings);
    if (next !== "withdraw") withdrawn.delete(name);
    if (next === "keep" || (next === "withdraw" && withdrawn.has(name))) return;
    const wanted = mirroredNamespace(name, next === "add" ? settings.meshName : undefined);
    await applyObject(kube, { object: wanted, manager: MANAGER_MIRROR });
    if (next === "withdraw") withdrawn.add(name);
  };
  const configMaps = startInformer<string>({
    ...options,
    source: {
      kind: "ConfigMap",
      path: "/api/v1/configmaps",
      fieldSelector: `metadata.name=${CA_ROOT_CONFIGMAP}`,
      key: object => object.metadata.namespace ?? "",
      project: object => ownRoots(object, settings),
    },
    onChange: change => {
      if (change.type === "reset") enqueueAll();
      else worker.enqueue(change.key);
    },
  });
  const keepRoots = async (name: string): Promise<void> => {
    const facts = namespaces.get(name);
    if (facts === undefined || facts.terminating) return;
    const wanted = rootConfigMap(settings, name, rootsPem());
    const live = configMaps.get(name);
    if (isMeshNamespace(facts, settings)) {
      if (live !== rootsPem()) await applyObject(kube, { object: wanted, manager: MANAGER_MESH });
      return;
    }
    if (live === undefined) return;
    await kube.delete(objectPath(wanted)).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  };
  const worker = new KeyedWorker({
    ...options,
    work: async name => {
      await keepLabel(name);
      await keepRoots(name);
    },
  });
  const enqueueAll = (): void => {
    for (const name of namespaces.all().keys()) worker.enqueue(name);
  };
  namespaces.onChange(name => {
    worker.enqueue(name);
  });
  void Promise.all([namespaces.synced, configMaps.synced]).then(enqueueAll);
  return {
    rootsChanged: enqueueAll,
    stop: () => {
      configMaps.stop();
      worker.stop();
    },
  };
}

/** The roots in one of our ConfigMaps; undefined for one of somebody else, which is never deleted. */
function ownRoots(object: KubeObject, settings: InstallSettings): string | undefined {
  const labels = object.metadata.labels ?? {};
  const ours = Object.entries(meshLabels(settings)).every(([key, value]) => labels[key] === value);
  if (!ours) return undefined;
  const roots = (object as { data?: Readonly<Record<string, unknown>> }).data?.[CA_ROOT_KEY];
  return typeof roots === "string" ? roots : "";
}
