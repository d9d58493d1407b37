import { CA_ROOT_CONFIGMAP, CA_ROOT_KEY, LABEL_IGNORE, LABEL_MONITORED_BY } from "../model/mesh-words";
import type { InstallSettings } from "./names";
import { meshLabels } from "./names";
import type { InstallObject } from "./object";

/** The namespace of MeshConfig and of the mesh's Secrets; never injected. */
export function controlPlaneNamespace(settings: InstallSettings): InstallObject {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: settings.osmNamespace, labels: { ...meshLabels(settings), [LABEL_IGNORE]: "true" } },
  };
}

/** The root that verifies the ADS server, in one mesh namespace. `rootsPem` may hold several during a rotation. */
export function rootConfigMap(
  settings: InstallSettings,
  namespace: string,
  rootsPem: string,
): InstallObject & { readonly data: Readonly<Record<string, string>> } {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: CA_ROOT_CONFIGMAP, namespace, labels: meshLabels(settings) },
    data: { [CA_ROOT_KEY]: rootsPem },
  };
}

/** What is applied to a namespace to make it a mesh namespace (or, without label, to undo exactly that). */
export function mirroredNamespace(name: string, meshName: string | undefined): InstallObject {
  const labels = meshName === undefined ? {} : { labels: { [LABEL_MONITORED_BY]: meshName } };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, ...labels } };
}
