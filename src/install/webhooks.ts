import type { ApiKind } from "../api/kinds";
import { API_KINDS } from "../api/kinds";
import { LABEL_IGNORE, LABEL_MONITORED_BY, PEPR_NAMESPACE } from "../model/mesh-words";
import type { InstallSettings } from "./names";
import { meshLabels, MODULE, neverMeshed, WEBHOOK_SERVICE } from "./names";
import type { InstallObject } from "./object";

/** How the API server reaches and trusts the webhook server; the same before and after every deploy. */
export interface WebhookMaterial {
  /** PEM of the webhook's own CA; several during its rotation. */
  readonly caPem: string;
  /** Last segment of the path; a caller that does not know it is refused. */
  readonly path: string;
}

/** Seconds the API server waits for an answer; one takes milliseconds. */
const TIMEOUT_SECONDS = 10;

const clientConfig = (material: WebhookMaterial, kind: "mutate" | "validate"): object => ({
  service: {
    name: WEBHOOK_SERVICE,
    namespace: PEPR_NAMESPACE,
    path: `/${kind}/${material.path}`,
    port: 443,
  },
  caBundle: Buffer.from(material.caPem).toString("base64"),
});

/** Opted-in namespaces only: pods of others must never depend on the mesh. */
export function meshNamespaceSelector(settings: InstallSettings): object {
  return {
    matchExpressions: [
      { key: LABEL_MONITORED_BY, operator: "In", values: [settings.meshName] },
      { key: LABEL_IGNORE, operator: "DoesNotExist" },
      { key: "kubernetes.io/metadata.name", operator: "NotIn", values: neverMeshed(settings) },
    ],
  };
}

/** Pods that cannot have a sidecar: of the host's network, and mirrors of static pods (which nobody can change). */
const POD_CONDITIONS = [
  { name: "not-host-network", expression: "!has(object.spec.hostNetwork) || !object.spec.hostNetwork" },
  {
    name: "not-mirror-pod",
    expression:
      "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
  },
];

const POD_RULE = {
  apiGroups: [""],
  apiVersions: ["v1"],
  operations: ["CREATE"],
  resources: ["pods"],
  scope: "Namespaced",
};

/**
 * The rule of a kind, in the one version that Pepr's binding knows: the API server hands on requests of all others as that
 * one (match policy Equivalent). With any version in the rule they would come as they are, and no binding would look.
 */
const rule = ({ group, version, plural }: ApiKind): object => ({
  apiGroups: [group],
  apiVersions: [version],
  operations: ["CREATE", "UPDATE"],
  resources: [plural],
  scope: "Namespaced",
});

/** Kinds that steer the mesh as a whole. */
const CONTROL_PLANE_KINDS: readonly string[] = ["MeshConfig", "MeshRootCertificate"];

const common = { admissionReviewVersions: ["v1"], matchPolicy: "Equivalent", sideEffects: "None" };

/**
 * The whole injection webhook. It has the name of the one that `pepr deploy` applies and replaces it: that one asks about
 * every pod of the cluster, has another certificate after every deploy and lets pods pass when it fails.
 */
export function injectionWebhook(settings: InstallSettings, material: WebhookMaterial): InstallObject {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: MODULE, labels: meshLabels(settings) },
    webhooks: [
      {
        ...common,
        name: "inject.openservicemesh.io",
        clientConfig: clientConfig(material, "mutate"),
        failurePolicy: "Fail",
        reinvocationPolicy: "IfNeeded",
        timeoutSeconds: TIMEOUT_SECONDS,
        namespaceSelector: meshNamespaceSelector(settings),
        objectSelector: {},
        matchConditions: POD_CONDITIONS,
        rules: [POD_RULE],
      },
    ],
  };
}

/** Every CA bundle of a webhook configuration as it was read, PEM; "" for a webhook without one. */
export function caBundlesOf(configuration: object): readonly string[] {
  const { webhooks = [] } = configuration as {
    readonly webhooks?: readonly { readonly clientConfig?: { readonly caBundle?: string } }[];
  };
  return webhooks.map(({ clientConfig }) =>
    Buffer.from(clientConfig?.caBundle ?? "", "base64").toString("utf8"),
  );
}

/** The whole validation webhook; see {@link injectionWebhook} for why it has Pepr's name. */
export function validationWebhook(settings: InstallSettings, material: WebhookMaterial): InstallObject {
  const base = {
    ...common,
    clientConfig: clientConfig(material, "validate"),
    timeoutSeconds: TIMEOUT_SECONDS,
    objectSelector: {},
  };
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: MODULE, labels: meshLabels(settings) },
    webhooks: [
      {
        ...base,
        name: "control-plane.openservicemesh.io",
        // A wrong MeshConfig reaches every proxy, so nothing passes unseen.
        failurePolicy: "Fail",
        namespaceSelector: {
          matchExpressions: [
            { key: "kubernetes.io/metadata.name", operator: "In", values: [settings.osmNamespace] },
          ],
        },
        rules: API_KINDS.filter(({ kind }) => CONTROL_PLANE_KINDS.includes(kind)).map(rule),
      },
      {
        ...base,
        name: "policy.openservicemesh.io",
        // The compiler judges these again, so an outage of the webhook must not stop a deployment of applications.
        failurePolicy: "Ignore",
        namespaceSelector: meshNamespaceSelector(settings),
        rules: API_KINDS.filter(({ kind }) => !CONTROL_PLANE_KINDS.includes(kind)).map(rule),
      },
      {
        ...base,
        name: "pods.openservicemesh.io",
        // Says why a pod is refused where the cluster has no ValidatingAdmissionPolicy.
        failurePolicy: "Fail",
        namespaceSelector: meshNamespaceSelector(settings),
        matchConditions: POD_CONDITIONS,
        rules: [POD_RULE],
      },
    ],
  };
}
