import { guards } from "../../install/owned";
import { MANAGER_MESH } from "../../install/names";
import { defaultMeshConfig, meshConfigOf } from "../../install/mesh-config";
import { controlPlaneNamespace } from "../../install/namespaces";
import type { InstallObject } from "../../install/object";
import { objectPath } from "../../install/object";
import type { MeshConfigSpec } from "../../api/mesh-config";
import { CLOSED_MESH_CONFIG } from "../../api/mesh-config";
import { CA_SECRET_NAME } from "../../model/mesh-words";
import { firstMeshConfig } from "../../ingest/mesh-config";
import { isAsWanted } from "../../install/covers";
import type { KubeClient } from "../kube";
import { isConflict, isNotFound } from "../kube/errors";
import { getIfThere } from "../kube/read";
import { applyObject, createIfAbsent } from "../ownership";
import type { Clock, Log } from "../ports";
import type { Settings } from "../settings";
import { until } from "./bounded";

/** What the first steps of a start need. */
export interface BootstrapOptions {
  readonly kube: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: Settings;
  /** Whether this process may change what exists (the single writer); others only create what is missing. */
  readonly mayChange: boolean;
}

interface Definition extends InstallObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

const established = (definition: Definition | undefined): boolean =>
  definition?.status?.conditions?.some(c => c.type === "Established" && c.status === "True") ?? false;

async function ensureDefinition(options: BootstrapOptions, wanted: InstallObject): Promise<void> {
  const { kube, clock, mayChange } = options;
  const live = await getIfThere<Definition>(kube, objectPath(wanted));
  if (live === undefined || (mayChange && !isAsWanted(live, wanted))) {
    await applyObject(kube, { object: wanted, manager: MANAGER_MESH });
  }
  if (established(live)) return;
  await until(clock, 100, async () => established(await getIfThere<Definition>(kube, objectPath(wanted))));
}

/**
 * The custom resource definitions: created by whichever pod comes first (applying the same twice does no harm), changed
 * by the single writer only, and waited for until the API server serves them.
 */
export async function ensureDefinitions(
  options: BootstrapOptions,
  definitions: readonly InstallObject[],
): Promise<void> {
  await Promise.all(definitions.map(wanted => ensureDefinition(options, wanted)));
}

/** The control plane's namespace. */
export async function ensureNamespace({ kube, settings }: BootstrapOptions): Promise<void> {
  const namespace = controlPlaneNamespace(settings);
  if ((await getIfThere(kube, objectPath(namespace))) === undefined) await createIfAbsent(kube, namespace);
}

/** The policy that refuses bare pods before anything else can go wrong. */
export async function ensureGuards(options: BootstrapOptions): Promise<void> {
  const { kube, settings, log } = options;
  for (const guard of guards(settings)) {
    try {
      if ((await getIfThere(kube, objectPath(guard.object))) === undefined) await applyObject(kube, guard);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      log.warn(
        "this cluster has no ValidatingAdmissionPolicy (Kubernetes 1.30): webhooks alone guard injection",
      );
      return;
    }
  }
}

/** What {@link ensureMeshConfig} works with. */
export interface MeshConfigOptions extends Omit<BootstrapOptions, "mayChange"> {
  /** Where the configuration in force is known; absent at the start of a process. */
  readonly engine?: { meshConfig(): MeshConfigSpec };
}

/**
 * A MeshConfig, where there is none: the installer's presets in a fresh installation, what is in force where one was
 * deleted under a running mesh, and a closed mesh where it was deleted while nobody looked. A deletion never opens a mesh.
 * Looks before it creates: a creation asks the validating webhook, which may be these very pods.
 */
export async function makeMeshConfig(options: MeshConfigOptions): Promise<void> {
  const { kube, settings, log, engine } = options;
  const preset = defaultMeshConfig(settings, settings.preset);
  if ((await getIfThere(kube, objectPath(preset))) !== undefined) return;
  const installed = engine !== undefined || (await isInstalled(kube, settings));
  const wanted = installed ? meshConfigOf(settings, engine?.meshConfig() ?? CLOSED_MESH_CONFIG) : preset;
  if (!(await createIfAbsent(kube, wanted))) return;
  if (!installed) log.info("created the default MeshConfig");
  else log.warn("the MeshConfig was gone and is made again", { asInForce: engine !== undefined });
}

/** The root's Secret is made after the first MeshConfig, so where there is one the mesh is no fresh installation. */
async function isInstalled(kube: KubeClient, settings: Settings): Promise<boolean> {
  const { osmNamespace: namespace } = settings;
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: CA_SECRET_NAME, namespace } };
  return (await getIfThere(kube, objectPath(secret))) !== undefined;
}

/** {@link makeMeshConfig}, whose failure is no reason not to start: without a MeshConfig the mesh is closed. */
export async function ensureMeshConfig(options: MeshConfigOptions): Promise<void> {
  try {
    await makeMeshConfig(options);
  } catch (error) {
    options.log.warn("no MeshConfig yet, the mesh is closed or stays as it was", { error: String(error) });
  }
}

/** The MeshConfig to begin with; see {@link firstMeshConfig}. */
export async function readMeshConfig(kube: KubeClient, settings: Settings): Promise<MeshConfigSpec> {
  return firstMeshConfig(await getIfThere(kube, objectPath(defaultMeshConfig(settings, {}))));
}

/** Creates an object, or reads the one that somebody else created first. */
export async function createOrRead<T extends InstallObject>(
  kube: KubeClient,
  make: () => T,
  at: T,
): Promise<T> {
  const path = objectPath(at);
  for (;;) {
    const live = await getIfThere<T>(kube, path);
    if (live !== undefined) return live;
    try {
      const { apiVersion, kind, metadata } = at;
      const made = make();
      await createIfAbsent(kube, { ...made, apiVersion, kind, metadata });
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
}
