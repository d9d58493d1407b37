import { MESH_CONFIG_NAME } from "../model/mesh-words";
import type { InstallSettings } from "./names";
import { MESH_CONFIG_POLICY, meshLabels } from "./names";
import type { InstallObject } from "./object";

/**
 * Refuses the deletion of the MeshConfig while its namespace stays: a mesh without it has lost what its owner decided. An
 * admission policy and no webhook, so that nothing hangs on pods that are being removed too. Needs Kubernetes 1.30; without
 * it the watcher makes a deleted MeshConfig again as it was.
 */
export function meshConfigPolicy(settings: InstallSettings): InstallObject {
  const { osmNamespace } = settings;
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: MESH_CONFIG_POLICY, labels: meshLabels(settings) },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        matchPolicy: "Equivalent",
        namespaceSelector: {
          matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: [osmNamespace] }],
        },
        objectSelector: {},
        resourceRules: [
          {
            apiGroups: ["config.openservicemesh.io"],
            apiVersions: ["*"],
            operations: ["DELETE"],
            resources: ["meshconfigs"],
            scope: "Namespaced",
          },
        ],
      },
      validations: [
        {
          expression:
            `oldObject.metadata.name != '${MESH_CONFIG_NAME}' || ` +
            "has(namespaceObject.metadata.deletionTimestamp)",
          message:
            `${MESH_CONFIG_NAME} steers the running mesh and cannot be deleted: edit it, or remove the mesh by ` +
            `deleting the namespace ${osmNamespace}`,
          reason: "Forbidden",
        },
      ],
    },
  };
}
