/** Values of the control plane's own pods: how many, how large, and where. */
import { DEFAULT_AFFINITY, DEFAULT_POD_SIZE } from "../../src/install/deployments";
import { ADMISSION_PODS } from "../../src/install/names";
import { AFFINITY, LABELS, PERCENT, POD_LABELS, RESOURCES, SPREAD, TOLERATIONS } from "./schemas";
import type { Value } from "./value";

const size = DEFAULT_POD_SIZE;
const replicas = { type: "integer", minimum: 1, maximum: 10 };
type Row = readonly [path: string, initial: unknown, schema: object, comment: string];

const ROWS: readonly Row[] = [
  [
    "replicas",
    2,
    replicas,
    "Pods that inject and configure proxies (Open Service Mesh: 1); without effect where autoScale is enabled.",
  ],
  [
    "resources",
    {
      requests: { cpu: size.cpuRequest, memory: size.memoryRequest },
      limits: { cpu: size.cpuLimit, memory: size.memoryLimit },
    },
    RESOURCES,
    "Size of every control-plane pod, measured: 165 MB and 12m with the bookstore, 200m while it starts, 720 MB with 1,000 proxies (docs/guides/sizing-and-limits.md). Open Service Mesh: 500m and 128M, at most 1500m and 1G, and as much CPU with 64M for an injector beside it.",
  ],
  [
    "autoScale.enable",
    false,
    { type: "boolean" },
    "A HorizontalPodAutoscaler for the pods that inject and configure proxies. Proxies stay with the pod they are connected to, so a new one helps new connections only.",
  ],
  ["autoScale.minReplicas", 2, replicas, "Fewest pods of the autoscaler."],
  ["autoScale.maxReplicas", 5, replicas, "Most pods of the autoscaler."],
  [
    "autoScale.cpu.targetAverageUtilization",
    80,
    { ...PERCENT, minimum: 1 },
    "CPU in percent of the request that the autoscaler keeps to.",
  ],
  [
    "autoScale.memory.targetAverageUtilization",
    0,
    PERCENT,
    "The same of memory; 0 leaves memory out, which does not fall when proxies leave.",
  ],
  ["podLabels", {}, POD_LABELS, "More labels for the control plane's pods."],
  [
    "priorityClassName",
    "system-node-critical",
    { type: "string", maxLength: 253 },
    'Priority class of the control plane\'s pods; "" for none. Pods cannot start in a mesh whose control plane was evicted.',
  ],
  [
    "nodeSelector",
    { "kubernetes.io/os": "linux" },
    LABELS,
    "Labels of the nodes that the control plane may run on.",
  ],
  ["tolerations", [], TOLERATIONS, "Taints that the control plane tolerates."],
  [
    "affinity",
    DEFAULT_AFFINITY,
    AFFINITY,
    "Affinity of the control plane's pods, beside this one: on other nodes than each other, as far as there are some; podAntiAffinity: null takes it away.",
  ],
  [
    "topologySpreadConstraints",
    [
      {
        maxSkew: 1,
        topologyKey: "topology.kubernetes.io/zone",
        whenUnsatisfiable: "ScheduleAnyway",
        labelSelector: { matchLabels: ADMISSION_PODS },
      },
    ],
    SPREAD,
    "How the pods that inject and configure proxies spread; the watcher is one pod and has none.",
  ],
];

/** Values below `osm.controller`, in the order of values.yaml. */
export const POD_VALUES: readonly Value[] = ROWS.map(([name, initial, schema, comment]) => ({
  path: ["osm", "controller", ...name.split(".")],
  default: initial,
  schema,
  comment,
}));
