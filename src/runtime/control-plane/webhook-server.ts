import diagnostics from "node:diagnostics_channel";
import { mkdirSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import type { Server } from "node:https";
import path from "node:path";
import type { WebhookIdentity } from "../../install/webhook-secret";

/**
 * Idle time after which the webhook server closes a connection. The API server keeps idle ones for 90 s; Node's five
 * seconds would let it write into connections that are just being closed (sporadic EOF, refused pods).
 */
const KEEP_ALIVE_MS = 95_000;

/** What is changed in the process's environment for Pepr to read. */
export type MutableEnv = Record<string, string | undefined>;

/** Pepr's HTTPS server, as far as it can be steered from outside. */
export interface WebhookServer {
  /** Presents another certificate from the next connection on. Connections that are open stay. */
  present(identity: WebhookIdentity): void;
  /** From now on every answer asks the API server to connect anew, which takes it to another pod. */
  closeAfterAnswers(): void;
  stop(): void;
}

interface RequestStart {
  readonly server: Server;
  readonly response: ServerResponse;
}

/** Writes certificate and key for Pepr, which reads them once when it starts, and says where it finds them. */
export function handToPepr(identity: WebhookIdentity, folder: string, env: MutableEnv): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = (name: string, text: string): string => {
    const target = path.join(folder, name);
    writeFileSync(target, text, { mode: 0o600 });
    return target;
  };
  env["SSL_KEY_PATH"] = file("webhook.key", identity.keyPem);
  env["SSL_CERT_PATH"] = file("webhook.crt", identity.certPem);
  env["PEPR_API_PATH"] = identity.path;
}

/**
 * Steers Pepr's server without a handle to it: Node announces every request together with the server it came to. The
 * kubelet's probes come every ten seconds, so the server is known soon after the start. `port` tells it from others.
 */
export function steerWebhookServer(port: number): WebhookServer {
  const seen = new Set<Server>();
  let latest: WebhookIdentity | undefined;
  let leaving = false;
  const context = (identity: WebhookIdentity): { key: string; cert: string } => ({
    key: identity.keyPem,
    cert: identity.certPem,
  });
  const meet = (message: unknown): void => {
    const { server, response } = message as RequestStart;
    if (leaving && seen.has(server)) response.shouldKeepAlive = false;
    if (seen.has(server)) return;
    const address = server.address();
    if (address === null || typeof address === "string" || address.port !== port) return;
    seen.add(server);
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.headersTimeout = KEEP_ALIVE_MS + 1_000;
    if (latest !== undefined) server.setSecureContext(context(latest));
  };
  diagnostics.subscribe("http.server.request.start", meet);
  return {
    present(identity) {
      latest = identity;
      for (const server of seen) server.setSecureContext(context(identity));
    },
    closeAfterAnswers() {
      leaving = true;
      for (const server of seen) server.closeIdleConnections();
    },
    stop: () => {
      diagnostics.unsubscribe("http.server.request.start", meet);
    },
  };
}
