import { validateCustomObject } from "../api/kinds";
import type { Compiled } from "../model/diagnostic";
import type { MeshPod } from "../model/workload";
import { asArray, asObject, asPort, asText, metaOf } from "./fields";

/**
 * An ExternalWorkload as the mesh sees it: like a pod with our sidecar, once its key has been certified. Before that nobody
 * can have joined in its name, so it is no endpoint, and nobody waits for it. undefined: its fields are wrong.
 */
export function ingestExternalWorkload(object: unknown): Compiled<MeshPod | undefined> {
  const diagnostics = validateCustomObject("ExternalWorkload", object);
  if (diagnostics.some(({ severity }) => severity === "error")) return { value: undefined, diagnostics };
  const { namespace, name, uid, labels, deleting } = metaOf(object);
  const spec = asObject(asObject(object)["spec"]);
  const publicKey = asText(spec["publicKey"]) ?? "";
  const { certificate } = asObject(asObject(asObject(object)["status"])["proxy"]);
  const value: MeshPod = {
    namespace,
    name,
    uid,
    identity: { namespace, serviceAccount: asText(spec["serviceAccountName"]) ?? "" },
    ips: asArray(spec["addresses"]).flatMap(address => asText(address) ?? []),
    labels,
    meshed: publicKey !== "" && asText(certificate) !== undefined,
    namedPorts: Object.fromEntries(
      asArray(spec["ports"])
        .map(asObject)
        .flatMap(({ name: port, port: number }) => {
          const [text, value] = [asText(port), asPort(number)];
          return text === undefined || value === undefined ? [] : [[text, value] as const];
        }),
    ),
    // A pod ends before its object goes; this has no end of its own, and somebody's finalizer may hold it for long.
    terminated: deleting,
    terminating: deleting,
    workload: { kind: "ExternalWorkload", name },
    external: { publicKey },
  };
  return { value, diagnostics };
}
