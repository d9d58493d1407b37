/** Objects of OSM's policy kinds as the API server would deliver them, short to write. */
import type { TestObject } from "./objects";

type Spec = Readonly<Record<string, unknown>>;

function policyObject(kind: string): (key: string, spec: Spec, created?: string) => TestObject {
  return (key, spec, created) => {
    const [namespace = "", name = ""] = key.split("/");
    const metadata = { namespace, name, ...(created === undefined ? {} : { creationTimestamp: created }) };
    return { apiVersion: "policy.openservicemesh.io/v1alpha1", kind, metadata, spec };
  };
}

/** `namespace/account` as a source. */
export function account(key: string): Spec {
  const [namespace, name] = key.split("/");
  return { kind: "ServiceAccount", namespace, name };
}

/** By `namespace/name`. */
export const egress = policyObject("Egress");
/** By `namespace/name`. */
export const ingressBackend = policyObject("IngressBackend");
/** By `namespace/name`. */
export const retry = policyObject("Retry");
/** By `namespace/name`. */
export const upstreamSetting = policyObject("UpstreamTrafficSetting");
/** By `namespace/name`. */
export const telemetry = policyObject("Telemetry");

/** An ExtensionService. */
export function extensionService(key: string, spec: Spec): TestObject {
  return { ...policyObject("ExtensionService")(key, spec), apiVersion: "config.openservicemesh.io/v1alpha2" };
}
