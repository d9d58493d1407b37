import {
  ANNOTATION_INBOUND_PORT_EXCLUSION,
  ANNOTATION_OUTBOUND_IP_EXCLUSION,
  ANNOTATION_OUTBOUND_IP_INCLUSION,
  ANNOTATION_OUTBOUND_PORT_EXCLUSION,
  RESERVED_PORTS,
} from "../model/mesh-words";
import { parseRange } from "./address-range";
import type { StringMap } from "./pod";

/** A value that was read, or why it cannot be. */
export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly field: string; readonly message: string };

const SWITCH: Readonly<Record<string, boolean>> = {
  enabled: true,
  yes: true,
  true: true,
  disabled: false,
  no: false,
  false: false,
};

/**
 * Reads an on/off annotation: enabled, yes, true, disabled, no, false, in any case; undefined when absent. Anything
 * else (an empty value too) is an error that names the key.
 */
export function readSwitch(annotations: StringMap, key: string, owner: string): Read<boolean | undefined> {
  if (!Object.hasOwn(annotations, key)) return { ok: true, value: undefined };
  const written = annotations[key] ?? "";
  const word = written.toLowerCase();
  if (Object.hasOwn(SWITCH, word)) return { ok: true, value: SWITCH[word] };
  return {
    ok: false,
    field: annotationField(key),
    message: `annotation ${key} of the ${owner} is ${JSON.stringify(written)}; use enabled, yes, true, disabled, no or false`,
  };
}

/** What a pod's annotations add to MeshConfig's exclusion and inclusion lists. */
export interface PodTrafficLists {
  readonly outboundPorts: readonly number[];
  readonly inboundPorts: readonly number[];
  readonly excludedRanges: readonly string[];
  readonly includedRanges: readonly string[];
}

/** Reads the four list annotations of a pod; the first bad entry is the error. */
export function readTrafficLists(annotations: StringMap): Read<PodTrafficLists> {
  const outboundPorts = readList(annotations, ANNOTATION_OUTBOUND_PORT_EXCLUSION, readPort);
  if (!outboundPorts.ok) return outboundPorts;
  const inboundPorts = readList(annotations, ANNOTATION_INBOUND_PORT_EXCLUSION, readInboundPort);
  if (!inboundPorts.ok) return inboundPorts;
  const excluded = readList(annotations, ANNOTATION_OUTBOUND_IP_EXCLUSION, readRange);
  if (!excluded.ok) return excluded;
  const included = readList(annotations, ANNOTATION_OUTBOUND_IP_INCLUSION, readRange);
  if (!included.ok) return included;
  return {
    ok: true,
    value: {
      outboundPorts: outboundPorts.value,
      inboundPorts: inboundPorts.value,
      excludedRanges: excluded.value,
      includedRanges: included.value,
    },
  };
}

/** Field path of an annotation, as Kubernetes writes it in messages. */
export function annotationField(key: string): string {
  return `metadata.annotations[${key}]`;
}

function readList<T extends number | string>(
  annotations: StringMap,
  key: string,
  read: (entry: string) => { readonly value: T } | { readonly error: string },
): Read<readonly T[]> {
  const written = (annotations[key] ?? "").trim();
  if (written === "") return { ok: true, value: [] };
  const values: T[] = [];
  for (const entry of written.split(",")) {
    const result = read(entry.trim());
    if ("error" in result) {
      return { ok: false, field: annotationField(key), message: `annotation ${key}: ${result.error}` };
    }
    values.push(result.value);
  }
  return { ok: true, value: [...new Set(values)] };
}

function readPort(entry: string): { readonly value: number } | { readonly error: string } {
  const port = /^\d{1,5}$/.test(entry) ? Number(entry) : 0;
  if (port >= 1 && port <= 65535) return { value: port };
  return { error: `${JSON.stringify(entry)} is not a port (1 to 65535)` };
}

/** The sidecar's own ports are listeners that must not be reachable beside the redirect rules. */
function readInboundPort(entry: string): { readonly value: number } | { readonly error: string } {
  const port = readPort(entry);
  if ("error" in port || !RESERVED_PORTS.includes(port.value)) return port;
  return { error: `port ${port.value} belongs to the sidecar and cannot be excluded` };
}

function readRange(entry: string): { readonly value: string } | { readonly error: string } {
  const range = parseRange(entry);
  if (range !== undefined) return { value: range.text };
  return { error: `${JSON.stringify(entry)} is not an address range like 10.0.0.0/8 or fd00::/8` };
}
