/** `--osm-chart-path` with a chart's folder, and what Helm has installed: Helm does it. */
import { spawnSync } from "node:child_process";
import { MODULE } from "../../install/names";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { KubeClient, KubeObject } from "../../runtime/kube";
import { getIfThere } from "../../runtime/kube/read";
import type { CliContext } from "../context";
import { CommandError } from "../failure";
import type { Wanted } from "./set-values";

/** A release of Helm's. */
export interface HelmRelease {
  readonly name: string;
  readonly namespace: string;
}

/** The Helm release that installed the control plane; undefined: Helm did not, or there is none. */
export async function helmRelease(kube: KubeClient): Promise<HelmRelease | undefined> {
  const path = `/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/deployments/${MODULE}`;
  const { annotations = {} } = (await getIfThere<KubeObject>(kube, path))?.metadata ?? {};
  const name = annotations["meta.helm.sh/release-name"];
  if (name === undefined) return undefined;
  return { name, namespace: annotations["meta.helm.sh/release-namespace"] ?? "default" };
}

/** Values of the chart that become the control plane's environment. */
const VALUES: Readonly<Record<string, string>> = {
  OSM_MESH_NAME: "meshName",
  OSM_NAMESPACE: "namespace",
  OSM_TRUST_DOMAIN: "trustDomain",
  OSM_ENVOY_IMAGE: "sidecarImage",
  OSM_INIT_IMAGE: "initImage",
  OSM_CPU_REQUEST: "controller.resources.requests.cpu",
  OSM_MEMORY_REQUEST: "controller.resources.requests.memory",
  OSM_CPU_LIMIT: "controller.resources.limits.cpu",
  OSM_MEMORY_LIMIT: "controller.resources.limits.memory",
};

/** What is asked for as Helm's flags; what goes into the MeshConfig is not among it. */
export function helmFlags(wanted: Wanted): readonly string[] {
  const { controllerImage, replicas, imagePullSecrets } = wanted;
  const texts = Object.entries(wanted.environment).flatMap(([variable, text]) => {
    const value = VALUES[variable];
    return value === undefined ? [] : [`${value}=${text.replaceAll(",", "\\,")}`];
  });
  if (controllerImage !== undefined) texts.push(`controllerImage=${controllerImage}`);
  texts.push(...imagePullSecrets.map((name, n) => `imagePullSecrets[${n}].name=${name}`));
  return [
    ...texts.flatMap(text => ["--set-string", `osm.${text}`]),
    ...(replicas === undefined ? [] : ["--set", `osm.controller.replicas=${replicas}`]),
  ];
}

/** Runs Helm in the user's own environment. Throws {@link CommandError} when it is not there or fails. */
export function runHelm(context: CliContext, args: readonly string[]): void {
  const ran = spawnSync("helm", args, { stdio: "inherit", env: { ...context.env } });
  if (ran.error !== undefined)
    throw new CommandError("a chart needs the program helm, which is not in the PATH");
  if (ran.status !== 0) throw new CommandError(`helm ${args[0] ?? ""} ended with ${String(ran.status)}`);
}
