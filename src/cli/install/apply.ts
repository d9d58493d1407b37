/** Puts the mesh into a cluster, and waits until it serves. */
import { apiKind } from "../../api/kinds";
import { MANAGER_ADD_ONS, MANAGER_PEPR, MODULE, WATCHER } from "../../install/names";
import { collectionPath, objectPath, type InstallObject } from "../../install/object";
import { DEFAULT_OSM_NAMESPACE, MESH_CONFIG_NAME, PEPR_NAMESPACE } from "../../model/mesh-words";
import type { KubeClient, KubeObject } from "../../runtime/kube";
import { isNotFound } from "../../runtime/kube/errors";
import { CommandError, failureWords } from "../failure";
import type { ListOf } from "../mesh-found";
import type { Wanted } from "./set-values";
import { removeControlPlane } from "./uninstall";

/** What an installation works with. */
export interface Installer {
  readonly kube: KubeClient;
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** Progress, one line. */
  readonly say: (line: string) => void;
  /** Until when everything must be done; milliseconds since 1970. */
  readonly deadline: number;
}

const LOOK_AGAIN_MS = 500;
/** So often progress is told although nothing has changed. */
const TELL_MS = 10_000;

/** Applies objects in their order; puts those that were not there before into `made`, the last first, before each is made. */
export async function applyObjects(
  { kube, say }: Installer,
  objects: readonly InstallObject[],
  made: InstallObject[],
): Promise<void> {
  for (const object of objects) {
    const isNew = await kube.get(objectPath(object)).then(
      () => false,
      (error: unknown) => {
        if (isNotFound(error)) return true;
        throw error;
      },
    );
    // An answer that never comes may have made it.
    if (isNew) made.unshift(object);
    await kube.apply(objectPath(object), object as KubeObject, MANAGER_PEPR);
    say(`  ${object.kind} ${object.metadata.name} ${isNew ? "created" : "applied"}`);
  }
}

interface Deployment extends KubeObject {
  readonly spec: { readonly replicas?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly replicas?: number;
  };
}

function isSettled({ metadata, status = {} }: Deployment, wanted: number): boolean {
  if ((status.observedGeneration ?? 0) < (metadata.generation ?? 0)) return false;
  const counts = [status.updatedReplicas, status.availableReplicas, status.replicas];
  return counts.every(count => (count ?? 0) === wanted);
}

function progressOf(deployment: Deployment): string | undefined {
  const { replicas: wanted = 1 } = deployment.spec;
  if (isSettled(deployment, wanted)) return undefined;
  const { updatedReplicas = 0, availableReplicas = 0 } = deployment.status ?? {};
  const ready = Math.min(updatedReplicas, availableReplicas);
  return `${deployment.metadata.name}: ${ready} of ${wanted} new pods are ready`;
}

interface Pod extends KubeObject {
  readonly status?: {
    readonly containerStatuses?: readonly {
      readonly state?: { readonly waiting?: { readonly reason?: string; readonly message?: string } };
    }[];
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
}

/** Why pods of the control plane do not run, in words. */
async function troubles(kube: KubeClient): Promise<string> {
  const { items } = await kube.get<ListOf<Pod>>(`/api/v1/namespaces/${PEPR_NAMESPACE}/pods`);
  const words = items.flatMap(({ metadata, status }) => {
    const waiting = status?.containerStatuses?.flatMap(({ state }) => state?.waiting ?? []) ?? [];
    const scheduled = status?.conditions?.filter(
      ({ type, status: is }) => type === "PodScheduled" && is === "False",
    );
    const why = [
      ...waiting.map(({ reason, message }) => message ?? reason),
      ...(scheduled ?? []).map(one => one.message),
    ];
    return why.flatMap(one => (one === undefined ? [] : [`pod ${metadata.name}: ${one}`]));
  });
  return words.length === 0 ? `kubectl -n ${PEPR_NAMESPACE} get pods says more` : words.join("; ");
}

/** Looks again and again until `look` finds nothing more to wait for. */
async function waitUntil(installer: Installer, look: () => Promise<string | undefined>): Promise<void> {
  let told = { line: "", at: 0 };
  for (;;) {
    const waiting = await look();
    if (waiting === undefined) return;
    const now = installer.now();
    if (now >= installer.deadline)
      throw new CommandError(`not done in time: ${waiting}; ${await troubles(installer.kube)}`);
    if (waiting !== told.line || now - told.at >= TELL_MS) {
      installer.say(`  ${waiting}`);
      told = { line: waiting, at: now };
    }
    await installer.pause(LOOK_AGAIN_MS);
  }
}

/** Waits until both Deployments run in their new shape. */
export async function waitForControlPlane(installer: Installer): Promise<void> {
  await waitUntil(installer, async () => {
    const path = `/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/deployments`;
    const both = await Promise.all(
      [MODULE, WATCHER].map(name => installer.kube.get<Deployment>(`${path}/${name}`)),
    );
    return both.map(progressOf).find(words => words !== undefined);
  });
}

/** Where the MeshConfig of a mesh is. */
export function meshConfigPath(namespace: string): string {
  const row = apiKind("MeshConfig");
  return `/apis/${row?.group ?? ""}/${row?.version ?? ""}/namespaces/${namespace}/meshconfigs/${MESH_CONFIG_NAME}`;
}

function specOf({ meshConfig }: Wanted): object {
  const spec: Record<string, unknown> = {};
  for (const [fields, value] of meshConfig) {
    let at = spec;
    for (const field of fields.slice(0, -1)) at = (at[field] ??= {}) as Record<string, unknown>;
    at[fields.at(-1) ?? ""] = value;
  }
  return spec;
}

/** Waits for the MeshConfig and writes the user's values into it. */
export async function configureMesh(installer: Installer, wanted: Wanted): Promise<void> {
  const namespace = wanted.environment["OSM_NAMESPACE"] ?? DEFAULT_OSM_NAMESPACE;
  const path = meshConfigPath(namespace);
  await waitUntil(installer, async () => {
    try {
      await installer.kube.get(path);
      return undefined;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      return `waiting for MeshConfig ${namespace}/${MESH_CONFIG_NAME}`;
    }
  });
  if (wanted.meshConfig.length === 0) return;
  await installer.kube.mergePatch(path, { spec: specOf(wanted) });
  installer.say(
    `  MeshConfig ${namespace}/${MESH_CONFIG_NAME}: ${wanted.meshConfig.map(([f]) => f.join(".")).join(", ")}`,
  );
}

/** How long the control plane's pods may take to go when an installation is undone. */
const UNDO_MS = 60_000;

/** Deletes what an installation that failed had made (`--atomic`), as far as that is allowed; tells what is left. Never rejects. */
export async function undo(installer: Installer, made: readonly InstallObject[]): Promise<void> {
  const { kube, say } = installer;
  const attempt = async (what: string, step: () => Promise<unknown>): Promise<void> => {
    try {
      await step();
      say(`  ${what} deleted again`);
    } catch (error) {
      if (!isNotFound(error)) say(`  ${what} is left: ${failureWords(error, false)}`);
    }
  };
  // A control plane that has begun registers webhooks, which nobody would answer.
  if (made.some(({ kind }) => kind === "Deployment"))
    await attempt("control plane", () =>
      removeControlPlane({ ...installer, deadline: installer.now() + UNDO_MS }),
    );
  for (const object of made)
    await attempt(`${object.kind} ${object.metadata.name}`, () => kube.delete(objectPath(object)));
}

/** Applies objects that are no part of the mesh itself, such as add-ons. */
export async function applyAddOns(installer: Installer, objects: readonly InstallObject[]): Promise<void> {
  for (const object of objects) {
    // Names the collection, so that a kind the cluster does not know is told by its name.
    await installer.kube.get(`${collectionPath(object)}?limit=1`);
    await installer.kube.apply(objectPath(object), object as KubeObject, MANAGER_ADD_ONS);
    installer.say(`  ${object.kind} ${object.metadata.name} applied`);
  }
}
