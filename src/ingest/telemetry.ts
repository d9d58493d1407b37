import type { Telemetry } from "../model/traffic";
import { asNumber, asObject, asText, asTextMap } from "./fields";
import { headOf, policyIngest } from "./policy-object";

/** A Telemetry. */
export const ingestTelemetry = policyIngest<Telemetry>({
  group: "policy.openservicemesh.io",
  kind: "Telemetry",
  read: reading => ({
    ...headOf(reading),
    selector: asTextMap(reading.body["selector"]),
    accessLog: accessLogOf(reading.body["accessLog"]),
    samplingPercentage: asNumber(asObject(reading.body["tracing"])["samplingPercentage"]),
  }),
});

function accessLogOf(written: unknown): Telemetry["accessLog"] {
  if (written === undefined || written === null) return undefined;
  const { format, onlyFailures, openTelemetry } = asObject(written);
  const { extensionService, attributes } = asObject(openTelemetry);
  const { namespace, name } = asObject(extensionService);
  const key = `${asText(namespace) ?? ""}/${asText(name) ?? ""}`;
  return {
    format: asText(format),
    onlyFailures: onlyFailures === true,
    openTelemetry:
      extensionService === undefined ? undefined : { service: key, attributes: asTextMap(attributes) },
  };
}
