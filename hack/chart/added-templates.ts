/** Objects that only the chart has, because only a user can decide them: both are off by default. */
import { ADMISSION_PODS, MODULE, WATCHER, WEBHOOK_PORT } from "../../src/install/names";
import { ADS_PORT, LABEL_MONITORED_BY, PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { HEALTH_PORT } from "../../src/runtime/http-endpoints";
import { LEDGER_PORT } from "../../src/runtime/ledger/transport";

const SCALE = ".Values.osm.controller.autoScale";
const POLICY = ".Values.osm.networkPolicy";

const resource = (name: string): string => `  {{- with ${SCALE}.${name}.targetAverageUtilization }}
    - type: Resource
      resource:
        name: ${name}
        target: { type: Utilization, averageUtilization: {{ . }} }
  {{- end }}
`;

const AUTOSCALER = `{{- if ${SCALE}.enable }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: ${MODULE}
  namespace: ${PEPR_NAMESPACE}
  labels: { app.kubernetes.io/part-of: osm-pepr }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: ${MODULE} }
  minReplicas: {{ ${SCALE}.minReplicas }}
  maxReplicas: {{ ${SCALE}.maxReplicas }}
  metrics:
${resource("cpu")}${resource("memory")}{{- end }}
`;

/** A rule for one port; without peers it is open. */
const open = (port: number, peers: string): string => `    - ports: [{ port: ${port} }]
  {{- with ${peers} }}
      from:
        {{- toYaml . | nindent 8 }}
  {{- end }}
`;

const NETWORK_POLICY = `{{- if ${POLICY}.enable }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: ${MODULE}
  namespace: ${PEPR_NAMESPACE}
  labels: { app.kubernetes.io/part-of: osm-pepr }
spec:
  podSelector:
    matchExpressions: [{ key: app, operator: In, values: [${MODULE}, ${WATCHER}] }]
  policyTypes: [Ingress]
  ingress:
    - ports: [{ port: ${ADS_PORT} }]
      from:
        - namespaceSelector: { matchLabels: { ${LABEL_MONITORED_BY}: {{ .Values.osm.meshName | quote }} } }
  {{- with ${POLICY}.proxies }}
        {{- toYaml . | nindent 8 }}
  {{- end }}
    - ports: [{ port: ${LEDGER_PORT} }]
      from:
        - podSelector:
            matchExpressions: [{ key: app, operator: In, values: [${ADMISSION_PODS["app"] ?? ""}, ${WATCHER}] }]
${open(WEBHOOK_PORT, `${POLICY}.apiServer`)}${open(HEALTH_PORT, `${POLICY}.metrics`)}{{- end }}
`;

/** Name in the chart and text. */
export const ADDED_TEMPLATES: readonly (readonly [string, string])[] = [
  ["templates/horizontalpodautoscaler.yaml", AUTOSCALER],
  ["templates/networkpolicy.yaml", NETWORK_POLICY],
];
