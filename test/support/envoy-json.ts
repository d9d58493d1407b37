import { readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import {
  createFileRegistry,
  type FileRegistry,
  fromBinary,
  type JsonObject,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import type { EncodedResource } from "../../src/xds/resource";

const IMAGE = path.resolve(__dirname, "../../hack/gen-envoy/envoy-api.binpb.gz");
let registry: FileRegistry | undefined;

/** The Envoy API of the committed descriptor image, read once. */
export function envoyApi(): FileRegistry {
  registry ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, gunzipSync(readFileSync(IMAGE))));
  return registry;
}

/** Reads bytes of the named message back by reflection (so: not by the code that wrote them). */
export function messageJson(typeName: string, bytes: Uint8Array): JsonObject {
  const schema = envoyApi().getMessage(typeName);
  if (schema === undefined) throw new Error(`no message ${typeName} in the image`);
  return toJson(schema, fromBinary(schema, bytes), { registry: envoyApi() }) as JsonObject;
}

/** A configuration resource as Envoy's own JSON, field names in camel case, every Any unpacked. */
export function resourceJson(resource: EncodedResource): JsonObject {
  return messageJson(resource.typeUrl.slice(resource.typeUrl.indexOf("/") + 1), resource.body);
}
