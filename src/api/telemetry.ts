import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** Telemetry (`policy.openservicemesh.io/v1alpha1`): access logs and traces of the proxies. */
export interface TelemetrySpec {
  /** Labels of the pods that are meant; absent means all of the namespace. */
  readonly selector?: Readonly<Record<string, string>>;
  readonly accessLog?: {
    /** Envoy format string, or a JSON object of such as text. */
    readonly format?: string;
    /** Only requests that were answered with 400 or more, with a gRPC status that is not OK, or not at all. */
    readonly onlyFailures?: boolean;
    readonly openTelemetry?: {
      readonly extensionService: { readonly name: string; readonly namespace: string };
      readonly attributes?: Readonly<Record<string, string>>;
    };
  };
  /** Only where MeshConfig has tracing on. */
  readonly tracing?: {
    /** Share in percent of the traces that these pods begin; absent: that of MeshConfig. */
    readonly samplingPercentage?: number;
  };
}

const texts: is.Check = (value, place) => {
  is.object({})(value, place);
  for (const [name, item] of Object.entries(is.fieldsOf(value))) is.text(4_096, 0)(item, place.at(name));
};

/** A text that begins like JSON is meant as JSON. */
const format: is.Check = (value, place) => {
  is.text(16_384, 0)(value, place);
  const written = is.textOf(value)?.trim() ?? "";
  if (!written.startsWith("{")) return;
  try {
    JSON.parse(written);
  } catch {
    place.error("begins like a JSON object and is none");
  }
};

const check = is.specOf(
  is.object({
    selector: texts,
    accessLog: is.object({
      format,
      onlyFailures: is.flag,
      openTelemetry: is.object(
        {
          extensionService: is.object({ name: is.objectName, namespace: is.labelName }, [
            "name",
            "namespace",
          ]),
          attributes: texts,
        },
        ["extensionService"],
      ),
    }),
    tracing: is.object({ samplingPercentage: is.percentage }),
  }),
);

/** What is wrong with the fields of a Telemetry. */
export function validateTelemetry(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
