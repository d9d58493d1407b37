import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import type { Fault } from "./issuer-contract";
import type { OpensslCa } from "./openssl-ca";

/** What a stand-in is started with. */
export interface VaultStandInOptions {
  readonly ca: OpensslCa;
  /** Issues where another CA than the expected one is played. */
  readonly otherCa: OpensslCa;
  readonly token: string;
  readonly role: string;
  /** PEM of a certificate for `localhost` and its key: then it speaks TLS. */
  readonly tls?: { readonly certPem: string; readonly keyPem: string };
}

/** A running stand-in. */
export interface VaultStandIn {
  readonly port: number;
  readonly possible: readonly Fault[];
  set(fault: Fault | undefined): Promise<void>;
  /** From now on only this token is good. */
  setToken(token: string): void;
  stop(): Promise<void>;
}

interface Body {
  readonly csr: string;
  readonly ttl: string;
}

interface Reply {
  readonly status: number;
  readonly text: string;
}

const json = (status: number, value: unknown): Reply => ({ status, text: JSON.stringify(value) });

/**
 * NOT a Vault: an HTTP server that answers `POST /v1/pki/sign/<role>` as Vault 1.14's PKI engine documents it, with
 * certificates that OpenSSL signs. It plays the faults that a real Vault does not have at hand. The real engine is asked
 * by the same contract in `test:long`.
 */
export async function startVaultStandIn(options: VaultStandInOptions): Promise<VaultStandIn> {
  let { token } = options;
  let fault: Fault | undefined;
  const open = new Set<http.ServerResponse>();
  const answer = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    void replyTo(request, { options, token, fault }).then(reply => {
      if (reply === undefined) open.add(response);
      else response.writeHead(reply.status, { "content-type": "application/json" }).end(reply.text);
    });
  };
  const { tls } = options;
  const server = tls
    ? https.createServer({ cert: tls.certPem, key: tls.keyPem }, answer)
    : http.createServer(answer);
  const listen = async (port: number): Promise<number> => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const close = async (): Promise<void> => {
    for (const response of open) response.destroy();
    open.clear();
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  };
  const port = await listen(0);
  return {
    port,
    possible: [
      ...(["slow", "ill", "refusing", "garbage", "another key", "other names"] as const),
      ...(["too long", "another CA", "down"] as const),
    ],
    set: async next => {
      const was = fault;
      fault = next;
      if (next === "down") await close();
      else if (was === "down") await listen(port);
    },
    setToken: next => (token = next),
    stop: async () => {
      if (server.listening) await close();
    },
  };
}

interface State {
  readonly options: VaultStandInOptions;
  readonly token: string;
  readonly fault: Fault | undefined;
}

async function bodyOf(request: http.IncomingMessage): Promise<Body> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString("utf8")) as Body;
}

/** undefined: no answer at all. */
async function replyTo(request: http.IncomingMessage, state: State): Promise<Reply | undefined> {
  const body = await bodyOf(request);
  const { options, token, fault } = state;
  const given = request.headers["x-vault-token"];
  if (fault === "slow") return undefined;
  if (fault === "ill") return json(500, { errors: ["internal error"] });
  if (fault === "garbage") return { status: 200, text: "<html>It works!</html>" };
  // A server that repeats what it was sent must not get the token into our log.
  if (fault === "refusing" || given !== token)
    return json(403, { errors: [`permission denied for ${String(given)}`] });
  if (request.url !== `/v1/pki/sign/${options.role}`)
    return json(400, { errors: [`unknown role: ${request.url ?? ""}`] });
  return json(200, await signed(body, state));
}

async function signed(body: Body, { options, fault }: State): Promise<unknown> {
  const [, seconds] = /^(\d+)s$/.exec(body.ttl) ?? [];
  const ca = fault === "another CA" ? options.otherCa : options.ca;
  const csr = fault === "another key" ? await ca.foreignRequest() : body.csr;
  const life = Number(seconds) * (fault === "too long" ? 24 : 1);
  const certificate = await ca.sign(csr, life, fault === "other names" ? "thief" : "asked");
  return {
    data: {
      certificate: certificate.trim(),
      issuing_ca: ca.intermediatePem.trim(),
      ca_chain: [ca.intermediatePem.trim(), ca.rootPem.trim()],
      expiration: Math.floor(Date.now() / 1000) + Number(seconds),
    },
  };
}
