import { ADS_PORT, ADS_SERVICE, PEPR_NAMESPACE, VIEWER_ACCOUNT } from "../model/mesh-words";
import type { InstallSettings } from "./names";
import { ADMISSION_PODS, DISRUPTION_BUDGET, meshLabels, WEBHOOK_PORT, WEBHOOK_SERVICE } from "./names";
import type { InstallObject } from "./object";

function service(settings: InstallSettings, name: string, port: object): InstallObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: PEPR_NAMESPACE, labels: meshLabels(settings) },
    spec: { type: "ClusterIP", selector: ADMISSION_PODS, ports: [port] },
  };
}

/** Service that proxies find the ADS server by. It stands beside the pods it selects, in Pepr's namespace. */
export function adsService(settings: InstallSettings): InstallObject {
  return service(settings, ADS_SERVICE, {
    name: "ads",
    port: ADS_PORT,
    targetPort: ADS_PORT,
    protocol: "TCP",
  });
}

/** Service that the webhook configurations name. */
export function webhookService(settings: InstallSettings): InstallObject {
  return service(settings, WEBHOOK_SERVICE, {
    name: "webhook",
    port: 443,
    targetPort: WEBHOOK_PORT,
    protocol: "TCP",
  });
}

/**
 * Whoever may create a token of this account may read the mesh's state, and nothing else with it: nobody binds a role to it,
 * and no pod runs as it.
 */
export function viewerAccount(settings: InstallSettings): InstallObject {
  return {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: VIEWER_ACCOUNT, namespace: PEPR_NAMESPACE, labels: meshLabels(settings) },
    automountServiceAccountToken: false,
  };
}

/**
 * Voluntary disruptions take one admission pod at a time, so that pods can start and proxies can be configured. A single replica may
 * go: a node that can never be emptied helps nobody.
 */
export function disruptionBudget(settings: InstallSettings): InstallObject {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: { name: DISRUPTION_BUDGET, namespace: PEPR_NAMESPACE, labels: meshLabels(settings) },
    spec: { maxUnavailable: 1, selector: { matchLabels: ADMISSION_PODS } },
  };
}
