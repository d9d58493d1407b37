import type { InstallObject } from "./object";

/** Puts a ValidatingAdmissionPolicy into force for the whole cluster, under the policy's own name and labels: what it finds is refused. */
export function bindingOf({ metadata }: InstallObject): InstallObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata,
    spec: { policyName: metadata.name, validationActions: ["Deny"] },
  };
}
