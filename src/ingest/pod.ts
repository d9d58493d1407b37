import type { Compiled } from "../model/diagnostic";
import {
  ANNOTATION_EXTERNAL_AUTHORIZATION,
  ENV_INBOUND_EXCLUDED_PORTS,
  INIT_CONTAINER,
  LABEL_PROXY_UUID,
  SIDECAR_CONTAINER,
} from "../model/mesh-words";
import { controllerOf, type Owner } from "../model/owner";
import type { MeshPod } from "../model/workload";
import type { Json, ObjectMeta } from "./fields";
import { asArray, asObject, asPort, asText, metaOf } from "./fields";
import { clean } from "./projector";

/** A Pod as the mesh sees it. */
export function ingestPod(object: unknown): Compiled<MeshPod> {
  const meta = metaOf(object);
  const spec = asObject(asObject(object)["spec"]);
  const status = asObject(asObject(object)["status"]);
  const externalAuthorization = meta.annotations[ANNOTATION_EXTERNAL_AUTHORIZATION];
  const containers = [...asArray(spec["initContainers"]), ...asArray(spec["containers"])].map(asObject);
  const meshed = carriesSidecar(meta, spec, containers);
  const excludedPorts = meshed ? excludedPortsOf(containers) : [];
  return clean({
    namespace: meta.namespace,
    name: meta.name,
    uid: meta.uid,
    identity: {
      namespace: meta.namespace,
      serviceAccount: asText(spec["serviceAccountName"]) ?? "default",
    },
    ips: ipsOf(status),
    labels: meta.labels,
    meshed,
    ...(excludedPorts.length === 0 ? {} : { excludedPorts }),
    namedPorts: namedPortsOf(containers),
    terminated: status["phase"] === "Succeeded" || status["phase"] === "Failed",
    terminating: meta.deleting,
    ...(externalAuthorization === undefined ? {} : { externalAuthorization }),
    workload: controllerOf({ labels: meta.labels, controller: controllingReference(object) }) ?? {
      kind: "Pod",
      name: meta.name,
    },
  });
}

/**
 * Both the injector's label and its container must be there: either alone may be the user's own. A pod of the host's
 * network never counts, because its address is not its own.
 */
function carriesSidecar(meta: ObjectMeta, spec: Json, containers: readonly Json[]): boolean {
  if (spec["hostNetwork"] === true || meta.labels[LABEL_PROXY_UUID] === undefined) return false;
  return containers.some(container => container["name"] === SIDECAR_CONTAINER);
}

/** What the init container was given when the pod was injected; an annotation could be edited afterwards, this cannot. */
function excludedPortsOf(containers: readonly Json[]): readonly number[] {
  const init = containers.find(container => container["name"] === INIT_CONTAINER);
  const variable = asArray(init?.["env"])
    .map(asObject)
    .find(({ name }) => name === ENV_INBOUND_EXCLUDED_PORTS);
  const written = (asText(variable?.["value"]) ?? "").split(",");
  return [...new Set(written.flatMap(entry => asPort(Number(entry)) ?? []))].sort((a, b) => a - b);
}

function ipsOf(status: Json): readonly string[] {
  const all = asArray(status["podIPs"]).flatMap(entry => asText(asObject(entry)["ip"]) ?? []);
  const single = asText(status["podIP"]);
  return all.length > 0 || single === undefined ? [...new Set(all)] : [single];
}

/** Names are unique in a pod's containers as far as the API checks; the first wins where they are not. */
function namedPortsOf(containers: readonly Json[]): Readonly<Record<string, number>> {
  const named = new Map<string, number>();
  for (const port of containers.flatMap(container => asArray(container["ports"])).map(asObject)) {
    const name = asText(port["name"]);
    const number = asPort(port["containerPort"]);
    const isTcp = (port["protocol"] ?? "TCP") === "TCP";
    if (name !== undefined && number !== undefined && isTcp && !named.has(name)) named.set(name, number);
  }
  return Object.fromEntries(named);
}

function controllingReference(object: unknown): Owner | undefined {
  const owners = asArray(asObject(asObject(object)["metadata"])["ownerReferences"]).map(asObject);
  const owner = owners.find(candidate => candidate["controller"] === true);
  const kind = asText(owner?.["kind"]);
  const name = asText(owner?.["name"]);
  return kind === undefined || name === undefined ? undefined : { kind, name };
}
