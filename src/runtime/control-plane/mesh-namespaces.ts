import { CA_ROOT_CONFIGMAP, CA_ROOT_KEY, PEPR_NAMESPACE } from "../../model/mesh-words";
import { isMeshNamespace, mirroring } from "../../install/namespace-facts";
import type { InstallSettings } from "../../install/names";
import { MANAGER_MESH, MANAGER_MIRROR, meshLabels } from "../../install/names";
import { mirroredNamespace, rootConfigMap } from "../../install/namespaces";
import { objectPath } from "../../install/object";
import type { KubeObject } from "../kube";
import { isNotFound } from "../kube/errors";
import type { Informer } from "../kube/informer";
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

/** The roots in one of our ConfigMaps; undefined for one of somebody else, which is never deleted. */
function ownRoots(object: KubeObject, settings: InstallSettings): string | undefined {
  const labels = object.metadata.labels ?? {};
  const ours = Object.entries(meshLabels(settings)).every(([key, value]) => labels[key] === value);
  if (!ours) return undefined;
  const roots = (object as { data?: Readonly<Record<string, unknown>> }).data?.[CA_ROOT_KEY];
  return typeof roots === "string" ? roots : "";
}

/** Duty of the watcher: every mesh namespace has its label and the ConfigMap with the control plane's roots. */
export class MeshNamespaceKeeper {
  /** Namespaces whose mirrored label has been withdrawn already; the withdrawal is not repeated at every event. */
  private readonly withdrawn = new Set<string>();
  /** Roots in our ConfigMaps, by namespace. */
  private readonly configMaps: Informer<string>;
  private readonly worker: KeyedWorker;

  constructor(private readonly options: MeshNamespaceOptions) {
    const { namespaces, settings } = options;
    this.worker = new KeyedWorker({ ...options, work: name => this.keepNamespace(name) });
    this.configMaps = startInformer<string>({
      ...options,
      source: {
        kind: "ConfigMap",
        path: "/api/v1/configmaps",
        fieldSelector: `metadata.name=${CA_ROOT_CONFIGMAP}`,
        key: object => object.metadata.namespace ?? "",
        project: object => ownRoots(object, settings),
      },
      onChange: change => {
        if (change.type === "reset") this.lookAtAll();
        else this.worker.enqueue(change.key);
      },
    });
    namespaces.onChange(name => {
      this.worker.enqueue(name);
    });
    void Promise.all([namespaces.synced, this.configMaps.synced]).then(() => {
      this.lookAtAll();
    });
  }

  /** To be called when the roots have changed. */
  lookAtAll(): void {
    for (const name of this.options.namespaces.all().keys()) this.worker.enqueue(name);
  }

  /** Whether every namespace of the mesh has the roots as they are now. */
  isDone(): boolean {
    const { namespaces, settings, rootsPem } = this.options;
    const roots = rootsPem();
    return [...namespaces.all()].every(
      ([name, facts]) =>
        facts.terminating || !isMeshNamespace(facts, settings) || this.configMaps.get(name) === roots,
    );
  }

  stop(): void {
    this.configMaps.stop();
    this.worker.stop();
  }

  private async keepNamespace(name: string): Promise<void> {
    await this.keepLabel(name);
    await this.keepRoots(name);
  }

  private async keepLabel(name: string): Promise<void> {
    const { namespaces, settings, kube, log } = this.options;
    const facts = namespaces.get(name);
    const next = facts === undefined ? "keep" : mirroring(facts, settings);
    if (next !== "withdraw") this.withdrawn.delete(name);
    if (next === "keep" || (next === "withdraw" && this.withdrawn.has(name))) return;
    const object = mirroredNamespace(name, next === "add" ? settings.meshName : undefined);
    await applyObject(kube, { object, manager: MANAGER_MIRROR });
    if (next === "withdraw") this.withdrawn.add(name);
    else log.info("namespace joined the mesh by its annotation", { namespace: name });
  }

  private async keepRoots(name: string): Promise<void> {
    const { namespaces, settings, kube, rootsPem } = this.options;
    const facts = namespaces.get(name);
    if (facts === undefined || facts.terminating) return;
    const object = rootConfigMap(settings, name, rootsPem());
    const live = this.configMaps.get(name);
    // Beside the control plane it is for those who ask the read-only API.
    if (isMeshNamespace(facts, settings) || name === PEPR_NAMESPACE) {
      if (live !== rootsPem()) await applyObject(kube, { object, manager: MANAGER_MESH });
      return;
    }
    if (live === undefined) return;
    await kube.delete(objectPath(object)).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}
