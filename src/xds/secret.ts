/** TLS secrets of the discovery protocol (`envoy.extensions.transport_sockets.tls.v3.Secret`), encoded by hand. */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { TYPE_URLS, type EncodedResource } from "./resource";
import { encodeFragment } from "./wire";

/** A certificate with its key, PEM. */
export interface KeyPair {
  /** Leaf first, then intermediates. */
  readonly certificateChain: string;
  readonly privateKey: string;
}

function message(field: number, bytes: Uint8Array): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).bytes(bytes).finish();
}

/** `DataSource.inline_bytes` in the field of its owner. */
function inline(field: number, text: string): Uint8Array {
  return message(field, message(2, new TextEncoder().encode(text)));
}

function secret(name: string, version: string, body: Uint8Array): EncodedResource {
  const named = new BinaryWriter().tag(1, WireType.LengthDelimited).string(name).raw(body).finish();
  const resource = { typeUrl: TYPE_URLS.secret, name, version, body: named };
  return { ...resource, fragment: encodeFragment(resource), origins: [] };
}

/** The certificate a proxy presents. */
export function certificateSecret(name: string, version: string, pair: KeyPair): EncodedResource {
  const tls = new BinaryWriter()
    .raw(inline(1, pair.certificateChain))
    .raw(inline(2, pair.privateKey))
    .finish();
  return secret(name, version, message(2, tls));
}

/** `SAN_TYPE` of a URI. */
const SAN_URI = 3;

/** `match_typed_subject_alt_names`: a URI that begins so. */
function uriPrefix(prefix: string): Uint8Array {
  const matcher = new BinaryWriter().tag(2, WireType.LengthDelimited).string(prefix).finish();
  const name = new BinaryWriter().tag(1, WireType.Varint).int32(SAN_URI).raw(message(2, matcher)).finish();
  return message(15, name);
}

/** The roots by which a server verifies its clients, and how the URI names of those begin; there is at least one. */
export function peersSecret(
  name: string,
  version: string,
  accepted: { readonly roots: string; readonly uriPrefixes: readonly string[] },
): EncodedResource {
  // A context without any name accepts every name.
  if (accepted.uriPrefixes.length === 0) throw new Error("no names are accepted");
  const context = new BinaryWriter().raw(inline(1, accepted.roots));
  for (const prefix of accepted.uriPrefixes) context.raw(uriPrefix(prefix));
  return secret(name, version, message(4, context.finish()));
}

/** The roots a proxy trusts, PEM bundle. */
export function trustSecret(name: string, version: string, roots: string): EncodedResource {
  return secret(name, version, message(4, inline(1, roots)));
}
