/** Takes the mesh out of a cluster, in the order in which nothing repairs or refuses what is still to come. */
import { MESH_CONFIG_POLICY, MODULE, SIDECAR_POLICY, WATCHER } from "../../install/names";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { KubeClient, KubeObject } from "../../runtime/kube";
import { isNotFound } from "../../runtime/kube/errors";
import { CommandError } from "../failure";
import type { ListOf } from "../mesh-found";
import type { Installer } from "./apply";

/** What is taken out besides the control plane. */
export interface Removal {
  readonly osmNamespace: string;
  /** The namespaces too, with MeshConfig and the CA. */
  readonly namespaces: boolean;
  /** Custom resource definitions with all their objects, and roots in mesh namespaces. */
  readonly clusterWide: boolean;
}

const PART_OF = encodeURIComponent("app.kubernetes.io/part-of=osm-pepr");
const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const OURS = `/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/deployments`;

/** Deletes one object; false when it was not there. */
async function remove({ kube, say }: Installer, path: string): Promise<boolean> {
  try {
    await kube.delete(path);
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
  const [name = "", plural = ""] = path.split("/").reverse();
  say(`  ${plural} ${name} deleted`);
  return true;
}

async function namesIn(kube: KubeClient, path: string): Promise<readonly KubeObject[]> {
  try {
    return (await kube.get<ListOf<KubeObject>>(path)).items;
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

async function waitGone(installer: Installer, what: string, path: string): Promise<void> {
  for (;;) {
    const left = await namesIn(installer.kube, path);
    if (left.length === 0) return;
    if (installer.now() >= installer.deadline)
      throw new CommandError(`${what} ${left.map(one => one.metadata.name).join(", ")} did not go in time`);
    await installer.pause(500);
  }
}

async function removeDeployment(installer: Installer, name: string): Promise<void> {
  await remove(installer, `${OURS}/${name}`);
  const pods = `/api/v1/namespaces/${PEPR_NAMESPACE}/pods?labelSelector=${encodeURIComponent(`app=${name}`)}`;
  await waitGone(installer, "pods", pods);
}

/** The writer first, which would repair what follows; webhooks before the pods that answer them. */
async function removeControlPlane(installer: Installer): Promise<void> {
  await removeDeployment(installer, WATCHER);
  for (const kind of ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"])
    await remove(installer, `${ADMISSION}/${kind}/${MODULE}`);
  for (const kind of ["validatingadmissionpolicybindings", "validatingadmissionpolicies"])
    for (const name of [SIDECAR_POLICY, MESH_CONFIG_POLICY])
      await remove(installer, `${ADMISSION}/${kind}/${name}`);
  await removeDeployment(installer, MODULE);
}

/** Whether an object in the control plane's namespace is the mesh's: that namespace may hold other modules of Pepr. */
function isOurs({ metadata: { name } }: KubeObject): boolean {
  return name === MODULE || name.startsWith(`${MODULE}-`) || name.startsWith("osm-");
}

const IN_CONTROL_NAMESPACE = [
  "/api/v1/namespaces/pepr-system/services",
  "/api/v1/namespaces/pepr-system/secrets",
  "/api/v1/namespaces/pepr-system/configmaps",
  "/api/v1/namespaces/pepr-system/serviceaccounts",
  `${RBAC}/namespaces/pepr-system/rolebindings`,
  `${RBAC}/namespaces/pepr-system/roles`,
  "/apis/policy/v1/namespaces/pepr-system/poddisruptionbudgets",
  "/apis/pepr.dev/v1/namespaces/pepr-system/peprstores",
];

async function removeBelongings(installer: Installer): Promise<void> {
  for (const path of IN_CONTROL_NAMESPACE)
    for (const { metadata } of (await namesIn(installer.kube, path)).filter(isOurs))
      await remove(installer, `${path}/${metadata.name}`);
  for (const kind of ["clusterrolebindings", "clusterroles"])
    await remove(installer, `${RBAC}/${kind}/${MODULE}`);
}

/** Whether other modules of Pepr run: then its namespace and its own kind are theirs too. */
async function isShared(kube: KubeClient): Promise<boolean> {
  return (await namesIn(kube, OURS)).some(object => !isOurs(object));
}

async function removeNamespaces(
  installer: Installer,
  { osmNamespace }: Removal,
  shared: boolean,
): Promise<void> {
  const names = shared ? [osmNamespace] : [osmNamespace, PEPR_NAMESPACE];
  for (const name of names) await remove(installer, `/api/v1/namespaces/${name}`);
  for (const name of names) {
    const field = encodeURIComponent(`metadata.name=${name}`);
    await waitGone(installer, "namespace", `/api/v1/namespaces?fieldSelector=${field}`);
  }
}

async function removeClusterWide(installer: Installer, shared: boolean): Promise<void> {
  for (const plural of ["configmaps", "secrets"]) {
    for (const { metadata } of await namesIn(installer.kube, `/api/v1/${plural}?labelSelector=${PART_OF}`))
      await remove(installer, `/api/v1/namespaces/${metadata.namespace ?? ""}/${plural}/${metadata.name}`);
  }
  const label = encodeURIComponent("app.kubernetes.io/name=openservicemesh.io");
  for (const { metadata } of await namesIn(installer.kube, `${CRDS}?labelSelector=${label}`))
    await remove(installer, `${CRDS}/${metadata.name}`);
  if (!shared) await remove(installer, `${CRDS}/peprstores.pepr.dev`);
}

/** Name of the Helm release that installed the control plane; undefined: Helm did not. */
export async function helmRelease(kube: KubeClient): Promise<string | undefined> {
  const found = (await namesIn(kube, OURS)).find(({ metadata }) => metadata.name === MODULE);
  return found?.metadata.annotations?.["meta.helm.sh/release-name"];
}

/** Takes the mesh out. Objects that are not there are passed over, so that a second run finishes what a first one began. */
export async function uninstallMesh(installer: Installer, removal: Removal): Promise<void> {
  await removeControlPlane(installer);
  const shared = await isShared(installer.kube);
  await removeBelongings(installer);
  if (removal.clusterWide) await removeClusterWide(installer, shared);
  if (removal.namespaces) await removeNamespaces(installer, removal, shared);
}
