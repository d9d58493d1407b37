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
  const { graph, pods, retries, meshConfig } = inputs;
  const retriesOn = graph.derive(
    "enableRetryPolicy",
    read => read(meshConfig).featureFlags.enableRetryPolicy,
  );
  // With egress on, a call of a Service that the client is not told of would leave the mesh in plaintext.
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
      const scope = read(scoped) ? { scope: pod.identity } : {};
      if (own.length === 0 && telemetry === undefined && !read(scoped)) return MESH;
      return {
        kind: "mesh",
        ...scope,
        ...(own.length === 0 ? {} : { retries: [...own].sort() }),
        ...(telemetry === undefined ? {} : { telemetry }),
      };
    },
    equals: structurallyEqual,
  });
}
