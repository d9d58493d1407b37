import { DEFAULT_OSM_NAMESPACE, MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import { until, type Log } from "../cluster/progress";
import { repositoryRoot } from "../cluster/settings";
import { run } from "../cluster/shell";
import { IMAGES, PUBLISHED_CONTROLLER } from "../images/names";
import type { Kubectl } from "./kubectl";

/** `pepr deploy` waits for ever for a Deployment that cannot become ready. */
const DEPLOY_MS = 600_000;

/** What `pepr deploy` prints when it has done its work; its exit code can be 0 without. */
const SUCCESS = "Module deployed successfully";

/**
 * The very command that anybody would type; with a registry of the user's own (`OSM_REGISTRY`) it names the control plane's
 * image there.
 */
export function deployCommand(): readonly string[] {
  const image = IMAGES.controller === PUBLISHED_CONTROLLER ? [] : ["-i", IMAGES.controller];
  return ["pepr", "deploy", "-y", ...image];
}

/**
 * Runs {@link deployCommand} in `folder` (default: this repository). Throws with the end of its output
 * when it does not succeed.
 */
export async function deploy(kubectl: Kubectl, note: Log, folder = repositoryRoot()): Promise<void> {
  const env = kubectl.kubeconfig === undefined ? {} : { KUBECONFIG: kubectl.kubeconfig };
  const options = { cwd: folder, env, timeoutMs: DEPLOY_MS, onLine: note };
  const result = await run("npx", deployCommand(), options);
  const text = `${result.stdout}\n${result.stderr}`;
  if (result.code === 0 && text.includes(SUCCESS)) return;
  const why = result.code === -1 ? `not done after ${DEPLOY_MS / 1000} s` : `exit code ${result.code}`;
  const tail = text.trim().split("\n").slice(-15).join("\n");
  throw new Error(`npx ${deployCommand().join(" ")}: ${why}, and no "${SUCCESS}"\n${tail}`);
}

/** One switch of the MeshConfig. */
export interface Switch {
  readonly group: "traffic";
  readonly field: "enableEgress" | "enablePermissiveTrafficPolicyMode";
}

const meshConfig = ["-n", DEFAULT_OSM_NAMESPACE, "meshconfig", MESH_CONFIG_NAME];

/** The object's address on kubectl's command line, for those who want to look by themselves. */
export const MESH_CONFIG_PLACE = meshConfig.join(" ");

interface MeshConfigObject {
  readonly spec: { readonly traffic?: Readonly<Partial<Record<Switch["field"], boolean>>> };
}

/** Waits until the MeshConfig is there and gives how the switches stand (OSM's default, on, where it does not say). */
export function readSwitches(kubectl: Kubectl): Promise<Record<Switch["field"], boolean>> {
  return until("the MeshConfig", 60_000, async () => {
    const { spec } = await kubectl.json<MeshConfigObject>(["get", ...meshConfig]);
    return {
      enableEgress: spec.traffic?.enableEgress ?? true,
      enablePermissiveTrafficPolicyMode: spec.traffic?.enablePermissiveTrafficPolicyMode ?? true,
    };
  });
}

/** Merges a change into the MeshConfig's spec, as `kubectl patch` does. Gives the API server's words when it is refused. */
export async function tryPatchMeshConfig(kubectl: Kubectl, spec: object): Promise<string | undefined> {
  const result = await kubectl.attempt([
    "patch",
    ...meshConfig,
    "--type=merge",
    "-p",
    JSON.stringify({ spec }),
  ]);
  return result.code === 0 ? undefined : result.stderr.trim() || `kubectl ended with ${result.code}`;
}

/** Like {@link tryPatchMeshConfig}, and throws when it is refused. */
export async function patchMeshConfig(kubectl: Kubectl, spec: object): Promise<void> {
  const refusal = await tryPatchMeshConfig(kubectl, spec);
  if (refusal !== undefined)
    throw new Error(`the MeshConfig did not take ${JSON.stringify(spec)}: ${refusal}`);
}

/** Tells a cluster of the user's own which sidecar images were pushed for it (`OSM_REGISTRY`). */
export function useOwnImages(kubectl: Kubectl): Promise<void> {
  const sidecar = { envoyImage: IMAGES.envoy, initContainerImage: IMAGES.init };
  return patchMeshConfig(kubectl, { sidecar });
}
