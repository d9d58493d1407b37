import { quantityOf } from "../api/field";
import { parseServiceHost } from "../model/service-host";
import type { TrafficSplit } from "../model/traffic";
import { asArray, asObject, asText } from "./fields";
import { headOf, policyIngest } from "./policy-object";

/** A TrafficSplit of any version. */
export const ingestTrafficSplit = policyIngest<TrafficSplit>({
  group: "split.smi-spec.io",
  kind: "TrafficSplit",
  read: reading => {
    const backends = asArray(reading.body["backends"]).map(asObject);
    const weights = wholeWeights(backends.map(({ weight }) => quantityOf(weight) ?? 0));
    return {
      ...headOf(reading),
      root: serviceKey(reading.body["service"], reading.namespace),
      backends: backends.map(({ service }, index) => ({
        service: serviceKey(service, reading.namespace),
        weight: weights[index] ?? 0,
      })),
      matches: asArray(reading.body["matches"]).map(match => reading.own(asObject(match)["name"])),
    };
  },
});

function serviceKey(host: unknown, ownNamespace: string): string {
  const service = parseServiceHost(asText(host) ?? "", ownNamespace);
  return service === undefined ? "" : `${service.namespace}/${service.name}`;
}

/** Envoy counts in whole shares; fractions are kept to the thousandth and rounded up, as Kubernetes rounds quantities. */
function wholeWeights(weights: readonly number[]): readonly number[] {
  if (weights.every(Number.isInteger)) return weights;
  // Thousandths of a decimal fraction are off by a hair in binary.
  return weights.map(weight => Math.ceil(Number((weight * 1_000).toFixed(6))));
}
