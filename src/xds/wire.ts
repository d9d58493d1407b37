/**
 * The few protobuf messages of the discovery protocol that the server itself reads and frames
 * (`envoy.service.discovery.v3`). Resources travel as fragments that were encoded once elsewhere.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { EncodedResource, TypeUrl } from "./resource";

/** A `DeltaDiscoveryRequest` with what the mesh never reads dropped. */
export interface DeltaRequest {
  /** `node.id`, a claim; undefined when the request carries no node. */
  readonly nodeId: string | undefined;
  /** `major.minor.patch` of the node's `user_agent_build_version`, a claim; absent: the request says nothing of it. */
  readonly build?: string;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** What the client already holds, on the first request of a type after a reconnect. */
  readonly initialVersions: ReadonlyMap<string, string>;
  /** "" when the request answers no response. */
  readonly nonce: string;
  /** Set: the client rejected the response named by `nonce`. */
  readonly error: string | undefined;
}

/** A state-of-the-world `DiscoveryRequest`, as gRPC's own xDS client sends it. */
export interface SotwRequest {
  readonly nodeId: string | undefined;
  readonly typeUrl: string;
  readonly names: readonly string[];
  readonly nonce: string;
  readonly error: string | undefined;
}

/** Reads one field; returns false for a field it does not know, which is then skipped. */
type ReadField = (field: number, reader: BinaryReader) => boolean;

function readMessage(bytes: Uint8Array, read: ReadField): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (wire === WireType.EndGroup) throw new RangeError("unexpected end of group");
    if (wire !== WireType.LengthDelimited || !read(field, reader)) reader.skip(wire, field);
  }
}

/** The string fields `fields` of a message, by number; the last occurrence counts. */
function readStrings(bytes: Uint8Array, fields: readonly number[]): Map<number, string> {
  const found = new Map<number, string>();
  readMessage(bytes, (field, reader) => {
    if (!fields.includes(field)) return false;
    found.set(field, reader.string());
    return true;
  });
  return found;
}

/** `google.rpc.Status`: its message, never empty. */
function readStatus(bytes: Uint8Array): string {
  return readStrings(bytes, [2]).get(2) ?? "rejected without a message";
}

/** Of a `config.core.v3.BuildVersion`, its `type.v3.SemanticVersion`. */
function readVersion(bytes: Uint8Array): string {
  const parts = [0, 0, 0];
  readMessage(bytes, (field, reader) => {
    if (field !== 1) return false;
    const version = new BinaryReader(reader.bytes());
    while (version.pos < version.len) {
      const [part, wire] = version.tag();
      if (wire !== WireType.Varint) break;
      parts[part - 1] = version.uint32();
    }
    return true;
  });
  return parts.slice(0, 3).join(".");
}

/** The scalar fields of a request, filled while reading. */
interface Texts {
  build?: string;
  nodeId: string | undefined;
  typeUrl: string;
  nonce: string;
  error: string | undefined;
}

/** Decodes a `DeltaDiscoveryRequest`. Throws on malformed bytes. */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const text: Texts = { nodeId: undefined, typeUrl: "", nonce: "", error: undefined };
  const subscribe: string[] = [];
  const unsubscribe: string[] = [];
  const initialVersions = new Map<string, string>();
  const readers: Record<number, (reader: BinaryReader) => void> = {
    1: reader => {
      text.nodeId = "";
      readMessage(reader.bytes(), (field, node) => {
        if (field === 1) text.nodeId = node.string();
        else if (field === 8) text.build = readVersion(node.bytes());
        else return false;
        return true;
      });
    },
    2: reader => (text.typeUrl = reader.string()),
    3: reader => subscribe.push(reader.string()),
    4: reader => unsubscribe.push(reader.string()),
    5: reader => {
      const entry = readStrings(reader.bytes(), [1, 2]);
      initialVersions.set(entry.get(1) ?? "", entry.get(2) ?? "");
    },
    6: reader => (text.nonce = reader.string()),
    7: reader => (text.error = readStatus(reader.bytes())),
  };
  readMessage(bytes, (field, reader) => readers[field]?.(reader) !== undefined || field in readers);
  return { ...text, subscribe, unsubscribe, initialVersions };
}

/** Longest request that is remembered, bytes: answers are far shorter. */
const REMEMBERED_BYTES = 256;
/** Requests that are remembered at once. */
const REMEMBERED = 64;

/**
 * A decoder of `DeltaDiscoveryRequest`s that many streams share. Proxies answer a shared response with the same bytes, so an
 * answer is decoded once for all of them. Throws on malformed bytes.
 */
export function createDeltaDecoder(): (bytes: Buffer) => DeltaRequest {
  const known = new Map<string, DeltaRequest>();
  return bytes => {
    if (bytes.length > REMEMBERED_BYTES) return decodeDeltaRequest(bytes);
    const key = bytes.toString("latin1");
    const before = known.get(key);
    if (before !== undefined) return before;
    const request = decodeDeltaRequest(bytes);
    if (known.size >= REMEMBERED) known.clear();
    known.set(key, request);
    return request;
  };
}

/** Decodes a `DiscoveryRequest`. Throws on malformed bytes. */
export function decodeSotwRequest(bytes: Uint8Array): SotwRequest {
  const text: Texts = { nodeId: undefined, typeUrl: "", nonce: "", error: undefined };
  const names: string[] = [];
  const readers: Record<number, (reader: BinaryReader) => void> = {
    2: reader => (text.nodeId = readStrings(reader.bytes(), [1]).get(1) ?? ""),
    3: reader => names.push(reader.string()),
    4: reader => (text.typeUrl = reader.string()),
    5: reader => (text.nonce = reader.string()),
    6: reader => (text.error = readStatus(reader.bytes())),
  };
  readMessage(bytes, (field, reader) => readers[field]?.(reader) !== undefined || field in readers);
  return { ...text, names };
}

/** The serialised `google.protobuf.Any` of a resource. */
function anyOf(typeUrl: TypeUrl, body: Uint8Array): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(typeUrl)
    .tag(2, WireType.LengthDelimited)
    .bytes(body)
    .finish();
}

/** The serialised `Resource` of {@link EncodedResource.fragment}: version 1, resource 2, name 3. */
export function encodeFragment(
  resource: Pick<EncodedResource, "typeUrl" | "name" | "version" | "body">,
): Uint8Array {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(resource.version)
    .tag(2, WireType.LengthDelimited)
    .bytes(anyOf(resource.typeUrl, resource.body))
    .tag(3, WireType.LengthDelimited)
    .string(resource.name)
    .finish();
}

/** The `resources` part (field 2) of a `DeltaDiscoveryResponse`. */
export function frameResources(resources: Iterable<EncodedResource>): Uint8Array {
  const writer = new BinaryWriter();
  for (const { fragment } of resources) writer.tag(2, WireType.LengthDelimited).bytes(fragment);
  return writer.finish();
}

/** The `removed_resources` part (field 6) of a `DeltaDiscoveryResponse`. */
export function frameRemoved(names: Iterable<string>): Uint8Array {
  const writer = new BinaryWriter();
  for (const name of names) writer.tag(6, WireType.LengthDelimited).string(name);
  return writer.finish();
}

/** A whole `DeltaDiscoveryResponse` of already framed parts; field order on the wire is free. */
export function frameDeltaResponse(
  typeUrl: TypeUrl,
  nonce: string,
  parts: readonly Uint8Array[],
): Uint8Array {
  const header = new BinaryWriter()
    .tag(4, WireType.LengthDelimited)
    .string(typeUrl)
    .tag(5, WireType.LengthDelimited)
    .string(nonce)
    .finish();
  return joinBytes([header, ...parts]);
}

/** A whole state-of-the-world `DiscoveryResponse`. */
export function frameSotwResponse(
  typeUrl: TypeUrl,
  version: string,
  nonce: string,
  resources: Iterable<EncodedResource>,
): Uint8Array {
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(version);
  for (const { body } of resources) writer.tag(2, WireType.LengthDelimited).bytes(anyOf(typeUrl, body));
  return writer
    .tag(4, WireType.LengthDelimited)
    .string(typeUrl)
    .tag(5, WireType.LengthDelimited)
    .string(nonce)
    .finish();
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
