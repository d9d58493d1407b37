import { apiKind } from "../api/kinds";
import type { KubeClient, KubeObject } from "../runtime/kube";
import { isNotFound } from "../runtime/kube/errors";
import { CommandError } from "./failure";

/** A rotation to another root. */
export interface Rotation {
  readonly kube: KubeClient;
  readonly osmNamespace: string;
  /** Name of the MeshRootCertificate that is to issue. */
  readonly to: string;
  /** Delete the old one in the end. */
  readonly deleteOld: boolean;
  /** How long each step may take, milliseconds. */
  readonly waitMs: number;
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  readonly say: (line: string) => void;
}

/** A MeshRootCertificate as the rotation reads it. */
interface Root extends KubeObject {
  readonly spec: { readonly role?: string; readonly intent?: string };
  readonly status?: { readonly state?: string; readonly progress?: string };
}

function rootsPath(namespace: string): string {
  const row = apiKind("MeshRootCertificate");
  return `/apis/${row?.group ?? ""}/${row?.version ?? ""}/namespaces/${namespace}/${row?.plural ?? ""}`;
}

const roleOf = ({ spec }: Root): string => spec.role ?? spec.intent ?? "";

async function setRole({ kube, osmNamespace, say }: Rotation, name: string, role: string): Promise<void> {
  const path = `${rootsPath(osmNamespace)}/${name}`;
  const spec = { role, intent: null };
  await kube.mergePatch(path, { spec });
  say(`${name} is ${role}`);
}

/** Waits until a root is used as wanted by all proxies, which the control plane proves before it says so. */
async function waitFor(rotation: Rotation, name: string, use: string): Promise<void> {
  const { kube, osmNamespace, waitMs, now, pause, say } = rotation;
  const deadline = now() + waitMs;
  let told = "";
  for (;;) {
    const { status = {} } = await kube.get<Root>(`${rootsPath(osmNamespace)}/${name}`);
    if (status.state === use) return;
    const progress = status.progress ?? "the control plane has not looked yet";
    if (now() >= deadline)
      throw new CommandError(
        `${name} is ${status.state ?? "unknown"}, not ${use}: ${progress}. The rotation goes on; run the command again to wait on`,
      );
    if (progress !== told) say(`  ${progress}`);
    told = progress;
    await pause(500);
  }
}

/** The root that is to be dropped; undefined: the built-in one. */
function rootBefore(items: readonly Root[], next: Root): Root | undefined {
  const old = items.filter(one => one !== next && ["active", "passive"].includes(roleOf(one)));
  if (old.length <= 1) return old[0];
  const names = old.map(({ metadata }) => metadata.name).join(" and ");
  throw new CommandError(`besides ${next.metadata.name}, ${names} are not inactive; at most one may be`);
}

/** Trusted by all before it issues, so that nobody meets a certificate that he cannot verify. */
async function makeIssue(rotation: Rotation, next: Root, before: Root | undefined): Promise<void> {
  const { to } = rotation;
  const role = roleOf(next);
  if (role !== "active" && before !== undefined) {
    if (role !== "passive") await setRole(rotation, to, "passive");
    await waitFor(rotation, to, "validating");
  }
  if (role !== "active") await setRole(rotation, to, "active");
  if (before !== undefined && roleOf(before) === "active")
    await setRole(rotation, before.metadata.name, "passive");
  await waitFor(rotation, to, "issuing");
}

/**
 * Makes another root the mesh's: trusted first, then issuing, then the old one dropped; each step is proven by all proxies. Run again,
 * it goes on where it stopped. Rejects with {@link CommandError} that says who is waited for.
 */
export async function rotateRoot(rotation: Rotation): Promise<void> {
  const { kube, osmNamespace, to, deleteOld, say } = rotation;
  const { items } = await kube.get<{ items: readonly Root[] }>(rootsPath(osmNamespace));
  const next = items.find(({ metadata }) => metadata.name === to);
  if (next === undefined) throw new CommandError(`there is no MeshRootCertificate ${osmNamespace}/${to}`);
  const before = rootBefore(items, next);
  await makeIssue(rotation, next, before);
  if (before === undefined) return;
  const { name } = before.metadata;
  await setRole(rotation, name, "inactive");
  await waitFor(rotation, name, "unused");
  if (!deleteOld) return;
  await kube.delete(`${rootsPath(osmNamespace)}/${name}`);
  say(`${name} is deleted`);
}

/** Makes the object of a file, passive, unless it is there already. Gives its name. */
export async function createRoot(
  kube: KubeClient,
  osmNamespace: string,
  object: KubeObject,
): Promise<string> {
  const { name } = object.metadata;
  const path = rootsPath(osmNamespace);
  try {
    await kube.get(`${path}/${name}`);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const { spec } = object as Root;
    const passive = { ...spec, role: "passive", intent: undefined };
    await kube.create(path, {
      ...object,
      metadata: { ...object.metadata, namespace: osmNamespace },
      spec: passive,
    } as KubeObject);
  }
  return name;
}
