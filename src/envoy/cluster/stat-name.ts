import type { Cluster } from "../api/generated/envoy/config/cluster/v3/cluster";

/**
 * How a cluster is called in Envoy's metrics. Envoy takes what stands before the first dot for the cluster's name and the rest for
 * the metric's, so that each host or identity with a dot in it would give metrics of its own: dots become underscores there.
 */
export function statName(name: string): Pick<Cluster, "altStatName"> {
  return name.includes(".") ? { altStatName: name.replaceAll(".", "_") } : {};
}
