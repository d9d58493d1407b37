/** Takes the mesh out of a cluster, in the order in which nothing repairs or refuses what is still to come. */
import {
  MANAGER_ADD_ONS,
  MANAGER_MESH,
  MESH_CONFIG_POLICY,
  meshLabels,
  MODULE,
  SIDECAR_POLICY,
  WATCHER,
  type InstallSettings,
} from "../../install/names";
import { objectPath, type InstallObject } from "../../install/object";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { KubeClient, KubeObject } from "../../runtime/kube";
import { isForbidden, isNotFound } from "../../runtime/kube/errors";
import { CommandError } from "../failure";
import type { ListOf } from "../mesh-found";
import type { Installer } from "./apply";

/** What is taken out besides the control plane. */
export interface Removal extends InstallSettings {
  /** The namespaces too, with MeshConfig and the CA. */
  readonly namespaces: boolean;
  /** Custom resource definitions with all their objects, and roots in mesh namespaces. */
  readonly clusterWide: boolean;
  /** Add-ons that an installation may have deployed. */
  readonly addOns?: readonly InstallObject[];
}

const PART_OF_LABEL = "app.kubernetes.io/part-of";
const PART_OF_MESH = "osm-pepr";
const PART_OF = encodeURIComponent(`${PART_OF_LABEL}=${PART_OF_MESH}`);
const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const OURS = `/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/deployments`;

/** An uninstallation under way: what may not be seen or deleted is told and passed over. */
interface Remover extends Installer {
  /** What had to be left, in words. */
  readonly left: string[];
}

/**
 * Kinds that only the chart makes, and only where its values ask for it. Who may not list them has most likely none, and did not
 * install with it: Helm uninstalls what Helm has installed.
 */
const OF_THE_CHART: readonly string[] = ["horizontalpodautoscalers", "networkpolicies"];

const pluralOf = (path: string): string => path.replace(/\?.*$/, "").replace(/^.*\//, "");

/** The objects of a collection; none, and a word to the user, where he may not list it. */
async function visible(remover: Remover, path: string): Promise<readonly KubeObject[]> {
  try {
    return await namesIn(remover.kube, path);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const plural = pluralOf(path);
    remover.say(`  ${plural} left, if there are any: you may not list them`);
    if (!OF_THE_CHART.includes(plural)) remover.left.push(plural);
    return [];
  }
}

/** Whether a collection may be listed; says so where it may not. */
async function maySee(remover: Remover, path: string): Promise<boolean> {
  const before = remover.left.length;
  await visible(remover, path);
  return remover.left.length === before;
}

/** Deletes one object; what may not be deleted is told and left. */
async function removeIfAllowed(remover: Remover, path: string): Promise<void> {
  try {
    await remove(remover, path);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const [name = "", plural = ""] = path.split("/").reverse();
    remover.say(`  ${plural} ${name} left: you may not delete it`);
    remover.left.push(`${plural} ${name}`);
  }
}

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
export async function removeControlPlane(installer: Installer): Promise<void> {
  await removeDeployment(installer, WATCHER);
  for (const kind of ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"])
    await remove(installer, `${ADMISSION}/${kind}/${MODULE}`);
  for (const kind of ["validatingadmissionpolicybindings", "validatingadmissionpolicies"])
    for (const name of [SIDECAR_POLICY, MESH_CONFIG_POLICY])
      await remove(installer, `${ADMISSION}/${kind}/${name}`);
  await removeDeployment(installer, MODULE);
}

/** Whether an object in the control plane's namespace is the mesh's: that namespace may hold other modules of Pepr. */
function isOurs({ metadata: { name, labels } }: KubeObject): boolean {
  return name === MODULE || name.startsWith(`${MODULE}-`) || labels?.[PART_OF_LABEL] === PART_OF_MESH;
}

const IN_CONTROL_NAMESPACE = [
  "/api/v1/namespaces/pepr-system/services",
  "/api/v1/namespaces/pepr-system/secrets",
  "/api/v1/namespaces/pepr-system/configmaps",
  "/api/v1/namespaces/pepr-system/serviceaccounts",
  `${RBAC}/namespaces/pepr-system/rolebindings`,
  `${RBAC}/namespaces/pepr-system/roles`,
  "/apis/policy/v1/namespaces/pepr-system/poddisruptionbudgets",
  "/apis/autoscaling/v2/namespaces/pepr-system/horizontalpodautoscalers",
  "/apis/networking.k8s.io/v1/namespaces/pepr-system/networkpolicies",
  "/apis/pepr.dev/v1/namespaces/pepr-system/peprstores",
];

async function removeBelongings(remover: Remover): Promise<void> {
  for (const path of IN_CONTROL_NAMESPACE)
    for (const { metadata } of (await visible(remover, path)).filter(isOurs))
      await removeIfAllowed(remover, `${path}/${metadata.name}`);
  for (const kind of ["clusterrolebindings", "clusterroles"])
    await removeIfAllowed(remover, `${RBAC}/${kind}/${MODULE}`);
}

/** What else a namespace may hold that somebody would miss. */
const MISSED = [
  ...["deployments", "statefulsets", "daemonsets"].map(
    plural => `/apis/apps/v1/namespaces/${PEPR_NAMESPACE}/${plural}`,
  ),
  ...["cronjobs", "jobs"].map(plural => `/apis/batch/v1/namespaces/${PEPR_NAMESPACE}/${plural}`),
  ...["pods", "persistentvolumeclaims"].map(plural => `/api/v1/namespaces/${PEPR_NAMESPACE}/${plural}`),
  ...IN_CONTROL_NAMESPACE,
];
/** What Kubernetes puts into every namespace. */
const EVERYWHERE: readonly string[] = ["configmaps kube-root-ca.crt", "serviceaccounts default"];

/** What is left in the control plane's namespace and is not the mesh's: then that namespace and Pepr's own kind stay. */
async function othersThere(kube: KubeClient): Promise<readonly string[]> {
  const found = await Promise.all(
    MISSED.map(async path => {
      const plural = path.slice(path.lastIndexOf("/") + 1);
      try {
        const others = (await namesIn(kube, path)).filter(object => !isOurs(object));
        return others.map(({ metadata }) => `${plural} ${metadata.name}`);
      } catch (error) {
        if (isForbidden(error)) return [`${plural}, which you may not see`];
        throw error;
      }
    }),
  );
  return found.flat().filter(one => !EVERYWHERE.includes(one));
}

const namespaceList = (name: string): string =>
  `/api/v1/namespaces?fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}`;

/** Whether the control plane made the namespace: one that was there before has none of these labels. */
async function madeNamespace(kube: KubeClient, removal: Removal): Promise<boolean> {
  const [namespace] = await namesIn(kube, namespaceList(removal.osmNamespace));
  const labels = namespace?.metadata.labels ?? {};
  return Object.entries(meshLabels(removal)).every(([name, value]) => labels[name] === value);
}

async function removeNamespaces(
  remover: Remover,
  removal: Removal,
  others: readonly string[],
): Promise<void> {
  const { kube, say } = remover;
  const names: string[] = [];
  if (await madeNamespace(kube, removal)) names.push(removal.osmNamespace);
  else
    say(
      `  namespaces ${removal.osmNamespace} left, if there is one: mesh ${removal.meshName} did not make it`,
    );
  if (others.length === 0) names.push(PEPR_NAMESPACE);
  else say(`  namespaces ${PEPR_NAMESPACE} left: it holds ${others.slice(0, 5).join(", ")}`);
  for (const name of names) await removeIfAllowed(remover, `/api/v1/namespaces/${name}`);
  for (const name of names.filter(one => !remover.left.includes(`namespaces ${one}`)))
    await waitGone(remover, "namespace", namespaceList(name));
}

interface Managed {
  readonly managedFields?: readonly { readonly manager?: string; readonly operation?: string }[];
}

/**
 * Whether somebody of that name applied an object. Open Service Mesh's own definitions have the same names and labels, and what its
 * command has made is managed by its program's name too, as an update.
 */
function isAppliedBy({ metadata }: KubeObject, by: string): boolean {
  return ((metadata as Managed).managedFields ?? []).some(
    ({ manager, operation }) => manager === by && operation === "Apply",
  );
}

async function removeClusterWide(remover: Remover, others: readonly string[]): Promise<void> {
  for (const plural of ["configmaps", "secrets"]) {
    for (const { metadata } of await visible(remover, `/api/v1/${plural}?labelSelector=${PART_OF}`))
      await removeIfAllowed(
        remover,
        `/api/v1/namespaces/${metadata.namespace ?? ""}/${plural}/${metadata.name}`,
      );
  }
  const label = encodeURIComponent("app.kubernetes.io/name=openservicemesh.io");
  for (const definition of await visible(remover, `${CRDS}?labelSelector=${label}`)) {
    const { name } = definition.metadata;
    if (isAppliedBy(definition, MANAGER_MESH)) await removeIfAllowed(remover, `${CRDS}/${name}`);
    else remover.say(`  customresourcedefinitions ${name} left: this mesh did not apply it`);
  }
  if (others.length === 0) await removeIfAllowed(remover, `${CRDS}/peprstores.pepr.dev`);
}

const CLASSIC = encodeURIComponent("app in (osm-controller,osm-injector,osm-bootstrap)");

/**
 * Open Service Mesh itself has the same definitions, labels and default namespace. As long as any of its Deployments is there,
 * nothing is taken that it may need. Throws {@link CommandError} that names it.
 */
async function refuseBesideClassic(kube: KubeClient, removal: Removal): Promise<void> {
  if (!removal.namespaces && !removal.clusterWide) return;
  const [classic] = await namesIn(kube, `/apis/apps/v1/deployments?labelSelector=${CLASSIC}`);
  if (classic === undefined) return;
  const { namespace = "", name } = classic.metadata;
  throw new CommandError(
    `Open Service Mesh is in this cluster (Deployment ${namespace}/${name}) and may need what --delete-cluster-wide-resources ` +
      `and --delete-namespace delete: uninstall it with its own command first, or leave them out; nothing was changed`,
  );
}

/** Takes back what `osm install` has put beside the mesh; what came another way, with a chart of its own, stays. */
async function removeAddOns(remover: Remover, objects: readonly InstallObject[]): Promise<void> {
  for (const object of [...objects].reverse()) {
    const path = objectPath(object);
    try {
      const live = await remover.kube.get<KubeObject>(path);
      if (isAppliedBy(live, MANAGER_ADD_ONS)) await removeIfAllowed(remover, path);
    } catch (error) {
      if (isForbidden(error))
        remover.say(`  ${object.kind} ${object.metadata.name} left, if there is one: you may not read it`);
      else if (!isNotFound(error)) throw error;
    }
  }
}

/**
 * Takes the mesh out, and nothing that others made. Objects that are not there are passed over, so that a second run finishes
 * what a first one began. The control plane has to go whole; of the rest what the user may not see or delete is told and left, and
 * given as words. Rejects with {@link CommandError} before anything is changed where Open Service Mesh itself might lose something.
 */
export async function uninstallMesh(installer: Installer, removal: Removal): Promise<readonly string[]> {
  await refuseBesideClassic(installer.kube, removal);
  await removeControlPlane(installer);
  const remover: Remover = { ...installer, left: [] };
  await removeBelongings(remover);
  await removeAddOns(remover, removal.addOns ?? []);
  if (!removal.clusterWide && !removal.namespaces) return remover.left;
  const others = await othersThere(installer.kube);
  if (removal.clusterWide) await removeClusterWide(remover, others);
  // Who may not list them is told so, and nothing is deleted that may be another's.
  if (removal.namespaces && (await maySee(remover, namespaceList(removal.osmNamespace))))
    await removeNamespaces(remover, removal, others);
  return remover.left;
}
