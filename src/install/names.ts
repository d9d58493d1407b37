import { PEPR_NAMESPACE } from "../model/mesh-words";

/** Name of Pepr's Deployment, Services, webhook configurations and ServiceAccount: `pepr-` and the module's uuid. */
export const MODULE = "pepr-osm";
/** Name of Pepr's watcher Deployment. */
export const WATCHER = `${MODULE}-watcher`;
/**
 * Field manager of objects that `pepr deploy` applies too. Sharing Pepr's own name means that neither side meets a
 * conflict; the price is that such objects must always be applied in full (a partial apply would drop fields).
 */
export const MANAGER_PEPR = "pepr";
/** Field manager of objects that only the mesh applies. */
export const MANAGER_MESH = "osm-pepr";
/** Field manager of add-ons that the osm command applied: what it applied, an uninstallation takes back. */
export const MANAGER_ADD_ONS = "osm";
/** Field manager of the label mirrored from a namespace's annotation: what it alone owns, it may take away again. */
export const MANAGER_MIRROR = "osm-pepr-mirror";

/** Service in front of the webhook server of the admission pods. */
export const WEBHOOK_SERVICE = "osm-webhook";
/** The only folder that a control-plane pod writes to while it runs. */
export const TEMPORARY_PATH = "/tmp";
/** Port of Pepr's HTTPS server in every pod. */
export const WEBHOOK_PORT = 3000;
/** Secret with the webhook's own CA, serving certificate and path; in the control-plane namespace. */
export const WEBHOOK_SECRET = "osm-webhook-cert";
/** Name of the ValidatingAdmissionPolicy and of its binding. */
export const SIDECAR_POLICY = "osm-sidecar-required";
/** Name of the ValidatingAdmissionPolicy that keeps the MeshConfig, and of its binding. */
export const MESH_CONFIG_POLICY = "osm-mesh-config-kept";
/** PodDisruptionBudget of the admission pods. */
export const DISRUPTION_BUDGET = "osm-controller";

/** Labels of the pods that serve ADS and the webhooks. */
export const ADMISSION_PODS: Readonly<Record<string, string>> = {
  app: MODULE,
  "pepr.dev/controller": "admission",
};
/** Labels of the pod that is the single writer. */
export const WATCHER_PODS: Readonly<Record<string, string>> = {
  app: WATCHER,
  "pepr.dev/controller": "watcher",
};

/** DNS names of the webhook server's certificate. */
export const WEBHOOK_DNS_NAMES: readonly string[] = [
  `${WEBHOOK_SERVICE}.${PEPR_NAMESPACE}.svc`,
  `${MODULE}.${PEPR_NAMESPACE}.svc`,
];

/** What the pure objects depend on. */
export interface InstallSettings {
  readonly meshName: string;
  readonly osmNamespace: string;
}

/** Labels that OSM's tools find the mesh's objects by. */
export function meshLabels(settings: InstallSettings): Readonly<Record<string, string>> {
  return {
    "app.kubernetes.io/name": "openservicemesh.io",
    "app.kubernetes.io/instance": settings.meshName,
    "app.kubernetes.io/part-of": "osm-pepr",
  };
}

/** Namespaces that are never meshed: the cluster's own and those of the control plane. */
export function neverMeshed(settings: InstallSettings): readonly string[] {
  return ["kube-system", "kube-public", "kube-node-lease", PEPR_NAMESPACE, settings.osmNamespace];
}
