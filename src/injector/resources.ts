import type { ResourceRequirements } from "../api/mesh-config";
import { parseQuantity } from "../model/quantity";
import type { ContainerResources, StringMap } from "./pod";

/** Worker threads of a sidecar without a CPU limit: enough for most pods, whatever the size of the node. */
const DEFAULT_THREADS = 2;

/**
 * Resource requirements as the API server stores them: a limit without a request is also the request. Written out so
 * that a second injection sees no difference.
 */
export function sidecarResources(written: ResourceRequirements): ContainerResources {
  const requests = { ...written.limits, ...written.requests };
  return {
    ...(written.limits === undefined ? {} : { limits: written.limits }),
    ...(Object.keys(requests).length === 0 ? {} : { requests }),
  };
}

/** Worker threads: the CPU limit rounded up, else {@link DEFAULT_THREADS}. Envoy's own default is the node's CPUs. */
export function sidecarThreads(written: ResourceRequirements): number {
  const limit = written.limits?.["cpu"];
  const cpus = limit === undefined ? undefined : parseQuantity(limit);
  return cpus === undefined ? DEFAULT_THREADS : Math.max(1, Math.ceil(cpus));
}

/**
 * Our requirements over what is there already: what MeshConfig does not say (a LimitRange's defaults) stays, and an
 * equal quantity keeps the spelling it has, because the API server normalises it.
 */
export function mergeResources(ours: ContainerResources, present: ContainerResources): ContainerResources {
  const merged: Record<string, unknown> = { ...present, ...ours };
  for (const part of ["limits", "requests"] as const) {
    const quantities = mergeQuantities(ours[part] ?? {}, present[part] ?? {});
    if (Object.keys(quantities).length > 0) merged[part] = quantities;
  }
  return merged;
}

function mergeQuantities(ours: StringMap, present: StringMap): StringMap {
  const merged: Record<string, string> = { ...present };
  for (const [name, quantity] of Object.entries(ours)) {
    const there = present[name];
    const equal = there !== undefined && parseQuantity(there) === parseQuantity(quantity);
    merged[name] = equal ? there : quantity;
  }
  return merged;
}
