import {
  ANNOTATION_INJECTION,
  ANNOTATION_REFUSED,
  INIT_CONTAINER,
  LABEL_IGNORE,
  LABEL_MONITORED_BY,
  SIDECAR_CONTAINER,
  SIDECAR_UID,
  TOKEN_AUDIENCE,
} from "../model/mesh-words";
import type { InstallSettings } from "./names";
import { meshLabels, neverMeshed, SIDECAR_POLICY } from "./names";
import type { InstallObject } from "./object";

const OFF = "['disabled', 'no', 'false']";

/** CEL: an annotation or label of an object, "" when absent. */
const read = (object: string, map: "labels" | "annotations", key: string): string =>
  `${object}.metadata.?${map}[?'${key}'].orValue('')`;

const sidecarIn = (list: string): string =>
  `object.spec.?${list}.orValue([]).exists(c, c.name == '${SIDECAR_CONTAINER}' && ` +
  `c.?securityContext.?runAsUser.orValue(0) == ${SIDECAR_UID})`;

/**
 * CEL variables in order of use. They say the same as the injector's decision (osm.md §2.2) with one difference: an
 * annotation that is not understood counts as "wanted", because refusing is the safe reading.
 */
function variables(settings: InstallSettings): { name: string; expression: string }[] {
  return [
    { name: "mesh", expression: read("namespaceObject", "labels", LABEL_MONITORED_BY) },
    {
      name: "namespaceMark",
      expression: `${read("namespaceObject", "annotations", ANNOTATION_INJECTION)}.lowerAscii()`,
    },
    { name: "podMark", expression: `${read("object", "annotations", ANNOTATION_INJECTION)}.lowerAscii()` },
    {
      name: "namespaceWants",
      expression: `variables.namespaceMark != '' && !(variables.namespaceMark in ${OFF})`,
    },
    {
      name: "wanted",
      expression:
        `variables.podMark == '' ? variables.namespaceWants : (!(variables.podMark in ${OFF}) && ` +
        `(variables.mesh == '${settings.meshName}' || variables.namespaceWants))`,
    },
    {
      name: "ours",
      // The annotation alone is a way in: until the label follows, pods wait rather than start bare.
      expression:
        `variables.mesh in ['${settings.meshName}', ''] && ` +
        `!('${LABEL_IGNORE}' in namespaceObject.metadata.?labels.orValue({}))`,
    },
    {
      name: "excepted",
      expression:
        "object.spec.?hostNetwork.orValue(false) || object.spec.?os.?name.orValue('') == 'windows' || " +
        "object.spec.?nodeSelector[?'kubernetes.io/os'].orValue('') == 'windows' || " +
        "'kubernetes.io/config.mirror' in object.metadata.?annotations.orValue({})",
    },
    {
      name: "meshed",
      expression:
        `(${sidecarIn("initContainers")} || ${sidecarIn("containers")}) && ` +
        `object.spec.?initContainers.orValue([]).exists(c, c.name == '${INIT_CONTAINER}') && ` +
        "object.spec.?volumes.orValue([]).exists(v, v.?projected.?sources.orValue([]).exists(s, " +
        `s.?serviceAccountToken.?audience.orValue('') == '${TOKEN_AUDIENCE}'))`,
    },
    { name: "refusal", expression: read("object", "annotations", ANNOTATION_REFUSED) },
  ];
}

/**
 * The last word on pods: one that should have a sidecar and has none is refused by the API server itself, whatever
 * happens to webhooks, their configuration or the control plane. Needs Kubernetes 1.30.
 */
export function sidecarPolicy(settings: InstallSettings): InstallObject {
  const missing =
    `'pod has no sidecar of mesh ${settings.meshName} though its namespace asks for one ` +
    `(the injector did not answer, or the namespace has only just been marked); try again, or set the annotation ` +
    `${ANNOTATION_INJECTION}: disabled on the pod'`;
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: SIDECAR_POLICY, labels: meshLabels(settings) },
    spec: {
      failurePolicy: "Fail",
      matchConstraints: {
        matchPolicy: "Equivalent",
        namespaceSelector: {
          matchExpressions: [
            { key: "kubernetes.io/metadata.name", operator: "NotIn", values: neverMeshed(settings) },
          ],
        },
        objectSelector: {},
        resourceRules: [
          {
            apiGroups: [""],
            apiVersions: ["v1"],
            operations: ["CREATE"],
            resources: ["pods"],
            scope: "Namespaced",
          },
        ],
      },
      variables: variables(settings),
      validations: [
        {
          expression: "!variables.ours || variables.excepted || !variables.wanted || variables.meshed",
          messageExpression: `variables.refusal != '' ? variables.refusal : ${missing}`,
          message: `pod has no sidecar of mesh ${settings.meshName}`,
          reason: "Forbidden",
        },
      ],
    },
  };
}
