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

/** The roots a proxy trusts, PEM bundle. */
export function trustSecret(name: string, version: string, roots: string): EncodedResource {
  return secret(name, version, message(4, inline(1, roots)));
}
