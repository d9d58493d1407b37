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

/** A selector as objects such as Deployments write it. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/**
 * The same as text for a list, set-based requirements included; empty for one that asks for nothing. An operator that Kubernetes
 * does not have makes a text that the API server refuses.
 */
export function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const sets = matchExpressions.map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return key;
    if (operator === "DoesNotExist") return `!${key}`;
    return `${key} ${operator.toLowerCase()} (${values.join(",")})`;
  });
  return [labelSelector(matchLabels), ...sets].filter(text => text !== "").join(",");
}
