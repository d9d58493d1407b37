import { structurallyEqual } from "../graph/equality";
import type { Family, Read } from "../graph/graph";
import { identityKey, type ServiceIdentity } from "../model/identity";
import type { Inputs } from "./inputs";
import type { View } from "./node-groups";
import type { TelemetryKeys } from "./telemetry";

/** One object of each, so that all who are told the same share it. */
export const MESH: View = { kind: "mesh" };
const MESH_DIRECT: View = { kind: "mesh", direct: true };

/** What the proxy of a pod is told of the mesh, by pod key. */
export function createViews(
  inputs: Inputs,
  telemetryOf: Family<string, TelemetryKeys | undefined>,
): Family<string, View> {
  const { graph, pods, retries, egresses, meshConfig } = inputs;
  const retriesOn = graph.derive(
    "enableRetryPolicy",
    read => read(meshConfig).featureFlags.enableRetryPolicy,
  );
  // A way out of the mesh would be one for calls of Services that the client is not told of, in plaintext.
  const scoped = graph.derive("scoped", read => {
    const { clientScope, enableEgress } = read(meshConfig).traffic;
    return clientScope === "Permitted" && !enableEgress;
  });
  const direct = graph.derive("direct", read => read(meshConfig).traffic.podAddresses === "Mesh");
  /** Who is told only of what it may call is not told of addresses that hardly anybody calls. */
  const reachOf = (read: Read, identity: ServiceIdentity): Pick<View, "scope" | "direct"> => {
    const isScoped = read(scoped) && read(egresses.by("source", identityKey(identity))).length === 0;
    if (isScoped) return { scope: identity };
    return read(direct) ? { direct: true } : {};
  };
  return graph.family<string, View>({
    label: "view",
    keyOf: key => key,
    compute: (read, key) => {
      const pod = read(pods.row(key));
      if (pod === undefined) return MESH;
      const own = read(retriesOn) ? read(retries.by("source", identityKey(pod.identity))) : [];
      const telemetry = read(telemetryOf(key));
      const reach = reachOf(read, pod.identity);
      if (own.length === 0 && telemetry === undefined && reach.scope === undefined)
        return reach.direct === true ? MESH_DIRECT : MESH;
      return {
        kind: "mesh",
        ...reach,
        ...(own.length === 0 ? {} : { retries: [...own].sort() }),
        ...(telemetry === undefined ? {} : { telemetry }),
      };
    },
    equals: structurallyEqual,
  });
}
