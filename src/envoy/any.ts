import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Any } from "./api/generated/google/protobuf/any";

/** What the generated code offers for a message type. */
export interface Encoder<T> {
  readonly $type: string;
  encode(message: T): BinaryWriter;
}

/** Wraps a message as `google.protobuf.Any`, as every Envoy extension is configured. */
export function pack<T>(type: Encoder<T>, message: T): Any {
  return { typeUrl: `type.googleapis.com/${type.$type}`, value: type.encode(message).finish() };
}
