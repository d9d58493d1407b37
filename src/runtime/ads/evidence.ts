/** What a call brings along to prove who makes it. */
import type { ByteStream } from "./service";

/** The bearer token in its head; undefined: there is none. */
export function tokenOf(call: ByteStream): string | undefined {
  const [authorization] = call.metadata.get("authorization");
  return /^Bearer +([^\s]+)$/i.exec(typeof authorization === "string" ? authorization : "")?.[1];
}

/** The client certificate of its connection, DER; undefined: there is none that leads to a root that is trusted. */
export function certificateOf(call: ByteStream): Uint8Array | undefined {
  return call.getAuthContext().sslPeerCertificate?.raw;
}
