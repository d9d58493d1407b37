import { structurallyEqual } from "../graph/equality";
import type { Family } from "../graph/graph";
import { identityKey } from "../model/identity";
import type { Inputs } from "./inputs";
import type { View } from "./node-groups";
import type { TelemetryKeys } from "./telemetry";

/** One object, so that all who are told the same share it. */
export const MESH: View = { kind: "mesh" };

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
  return graph.family<string, View>({
    label: "view",
    keyOf: key => key,
    compute: (read, key) => {
      const pod = read(pods.row(key));
      if (pod === undefined) return MESH;
      const own = read(retriesOn) ? read(retries.by("source", identityKey(pod.identity))) : [];
      const telemetry = read(telemetryOf(key));
      const isScoped = read(scoped) && read(egresses.by("source", identityKey(pod.identity))).length === 0;
      if (own.length === 0 && telemetry === undefined && !isScoped) return MESH;
      return {
        kind: "mesh",
        ...(isScoped ? { scope: pod.identity } : {}),
        ...(own.length === 0 ? {} : { retries: [...own].sort() }),
        ...(telemetry === undefined ? {} : { telemetry }),
      };
    },
    equals: structurallyEqual,
  });
}
