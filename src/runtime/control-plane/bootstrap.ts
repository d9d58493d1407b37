import { guards } from "../../install/owned";
import { MANAGER_MESH } from "../../install/names";
import { defaultMeshConfig } from "../../install/mesh-config";
import { controlPlaneNamespace } from "../../install/namespaces";
import type { InstallObject } from "../../install/object";
import { objectPath } from "../../install/object";
import { isAsWanted } from "../../install/covers";
import type { KubeClient } from "../kube";
import { isConflict, isNotFound } from "../kube/errors";
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

/** Reads an object; undefined when there is none. */
async function read<T>(kube: KubeClient, path: string): Promise<T | undefined> {
  try {
    return await kube.get<T>(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
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
  const live = await read<Definition>(kube, objectPath(wanted));
  if (live === undefined || (mayChange && !isAsWanted(live, wanted))) {
    await applyObject(kube, { object: wanted, manager: MANAGER_MESH });
  }
  if (established(live)) return;
  await until(clock, 100, async () => established(await read<Definition>(kube, objectPath(wanted))));
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

/** The control plane's namespace, and the policy that refuses bare pods before anything else can go wrong. */
export async function ensureGuards(options: BootstrapOptions): Promise<void> {
  const { kube, settings, log } = options;
  const namespace = controlPlaneNamespace(settings);
  if ((await read(kube, objectPath(namespace))) === undefined) await createIfAbsent(kube, namespace);
  for (const guard of guards(settings)) {
    try {
      if ((await read(kube, objectPath(guard.object))) === undefined) await applyObject(kube, guard);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      log.warn(
        "this cluster has no ValidatingAdmissionPolicy (Kubernetes 1.30): webhooks alone guard injection",
      );
      return;
    }
  }
}

/**
 * The default MeshConfig, where there is none. Looks before it creates: a creation asks the validating webhook, which may
 * be these very pods. A failure is no reason not to start, because an absent MeshConfig means the defaults.
 */
export async function ensureMeshConfig(options: Omit<BootstrapOptions, "mayChange">): Promise<void> {
  const { kube, settings, log } = options;
  const wanted = defaultMeshConfig(settings, settings.preset);
  try {
    if ((await read(kube, objectPath(wanted))) !== undefined) return;
    if (await createIfAbsent(kube, wanted)) log.info("created the default MeshConfig");
  } catch (error) {
    log.warn("no MeshConfig yet, defaults apply", { error: String(error) });
  }
}

/** Creates an object, or reads the one that somebody else created first. */
export async function createOrRead<T extends InstallObject>(
  kube: KubeClient,
  make: () => T,
  at: T,
): Promise<T> {
  const path = objectPath(at);
  for (;;) {
    const live = await read<T>(kube, path);
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
