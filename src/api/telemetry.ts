import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";
import { formatFault, formatText } from "./format";

/** Telemetry (`policy.openservicemesh.io/v1alpha1`): access logs and traces of the proxies. */
export interface TelemetrySpec {
  /** Labels of the pods that are meant; absent means all of the namespace. */
  readonly selector?: Readonly<Record<string, string>>;
  readonly accessLog?: {
    /** Envoy format string, or a JSON object of such as text; `%` itself is written `%%`. */
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

/** Values are formats of Envoy. */
const attributes: is.Check = (value, place) => {
  is.object({})(value, place);
  for (const [name, item] of Object.entries(is.fieldsOf(value)))
    formatText(4_096, 0, true)(item, place.at(name));
};

/** Most objects and lists within each other: Envoy reads no message that is much deeper. */
const MAX_DEPTH = 16;

/** Texts within a JSON value are formats of Envoy each; its names are not. `path` leads to the value. */
function jsonFault(value: unknown, path: readonly string[]): string | undefined {
  if (typeof value === "string") {
    const fault = formatFault(value, true);
    return fault === undefined ? undefined : `under ${is.quote(path.join("."))} ${fault}`;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (path.length >= MAX_DEPTH) return `must have at most ${MAX_DEPTH} objects and lists within each other`;
  for (const [name, item] of Object.entries(value)) {
    const fault = jsonFault(item, [...path, name]);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** A text that begins like JSON is meant as JSON. */
function lineFault(written: string): string | undefined {
  if (!written.trim().startsWith("{")) return formatFault(written, true);
  try {
    return jsonFault(JSON.parse(written), []);
  } catch {
    return "begins like a JSON object and is none";
  }
}

const MAX_FORMAT = 16_384;

/** A format is a line on the standard output, and the body of a collector's record as it stands. */
const format: is.Check = (value, place) => {
  const { format: written, openTelemetry } = is.fieldsOf(value);
  const text = is.textOf(written);
  if (text === undefined || text.length > MAX_FORMAT) return;
  const body = openTelemetry === undefined || openTelemetry === null ? undefined : formatFault(text, true);
  const fault = lineFault(text) ?? body;
  if (fault !== undefined) place.at("format").error(fault);
};

const check = is.specOf(
  is.object({
    selector: texts,
    accessLog: is.all(
      format,
      is.object({
        format: is.text(MAX_FORMAT, 0),
        onlyFailures: is.flag,
        openTelemetry: is.object(
          {
            extensionService: is.object({ name: is.objectName, namespace: is.labelName }, [
              "name",
              "namespace",
            ]),
            attributes,
          },
          ["extensionService"],
        ),
      }),
    ),
    tracing: is.object({ samplingPercentage: is.percentage }),
  }),
);

/** What is wrong with the fields of a Telemetry. */
export function validateTelemetry(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
