import type { KubeClient } from "../kube";
import { isNotFound } from "./errors";

/** Reads an object; undefined when there is none. Rejects for every other failure. */
export async function getIfThere<T>(kube: Pick<KubeClient, "get">, path: string): Promise<T | undefined> {
  try {
    return await kube.get<T>(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A label selector that asks for each of the labels (Kubernetes API, equality-based requirements). */
export function labelSelector(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}
