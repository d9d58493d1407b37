import { planWorkload } from "../../src/certificate/plan";
import { MESH_ALPN } from "../../src/model/mesh-words";
import type { ServiceIdentity } from "../../src/model/identity";
import type { Authority } from "../../src/runtime/secrets/authority";
import { type Mesh, TRUST_DOMAIN } from "./mesh";
import type { TlsCall } from "./pod-operations";

/** What a workload of the mesh shows in a TLS handshake. */
export function workloadOffer(authority: Authority, identity: ServiceIdentity): TlsCall["offer"] {
  const lifetime = { now: Date.now(), validityMs: 3_600_000 };
  const pair = authority.issue(planWorkload(identity, TRUST_DOMAIN, lifetime));
  return { certificate: pair.certPem, key: pair.keyPem, alpn: MESH_ALPN };
}

/** A request as a caller without a sidecar of the mesh's making writes it, header by header. */
export interface RawRequest {
  readonly port: number;
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: readonly (readonly [string, string])[];
}

/** The request's bytes, HTTP/1.1, on a connection of its own. */
export function requestText({ method = "GET", path = "/", host = "shop", headers = [] }: RawRequest): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${lines}\r\n`;
}

/**
 * Calls the inbound port of `server` from pod `outside` as `identity` does, and gives the status of the answer; 0 when there
 * was none. The caller does not cooperate with anything: it writes what it wants.
 */
export async function statusAs(
  mesh: Mesh,
  server: string,
  identity: ServiceIdentity,
  request: RawRequest,
): Promise<number> {
  const answer = await mesh.app("outside").callTls({
    host: mesh.ip(server),
    port: request.port,
    send: requestText(request),
    offer: workloadOffer(mesh.authority, identity),
  });
  return Number(/^HTTP\/1\.1 (\d+) /.exec(answer.received)?.[1] ?? 0);
}
