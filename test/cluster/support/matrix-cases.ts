/** Calls of the matrix: each is made between two pods and says itself whether the answer is the right one. */
import { expect } from "chai";
import { until } from "../../../hack/cluster/progress";
import type { Echo, Operations } from "../../support/pod-operations";
import { FULL, report } from "./mesh";

/** One line of the table. */
export interface MatrixCase {
  readonly name: string;
  /** Makes the call; rejects when anything about the answer is wrong. */
  readonly call: () => Promise<void>;
}

/** A case counts when it holds this many times in a row: by then both workers of a sidecar have been asked. */
const ROUNDS = FULL ? 27 : 6;
/** A sidecar is told of a Service a moment after DNS is. */
const SETTLE_MS = 30_000;

/** Makes each call until it holds several times in a row. Prints a line for each; fails with all that failed. */
export async function runMatrix(group: string, cases: readonly MatrixCase[]): Promise<void> {
  const failed: string[] = [];
  for (const { name, call } of cases) {
    const began = Date.now();
    const outcome = await outcomeOf(name, call);
    report(`${group} · ${name}: ${outcome ?? "ok"} (${Date.now() - began} ms)`);
    if (outcome !== undefined) failed.push(`${name}: ${outcome}`);
  }
  expect(failed, `${group}: ${failed.length} of ${cases.length} failed`).to.deep.equal([]);
}

/** So many calls in a row show that a change has arrived everywhere: in DNS, and on every worker of both sidecars. */
const IN_A_ROW = 10;

/**
 * Makes a call again and again until it has held ten times in a row. For what follows an edit: the first good answer may
 * be one worker's, or an old address's that DNS still gives (for 5 s), so one failure after it is no fault.
 */
export async function settles(name: string, call: () => Promise<void>): Promise<void> {
  const began = Date.now();
  await until(name, SETTLE_MS, async () => {
    for (let round = 0; round < IN_A_ROW; round += 1) await call();
    return true;
  });
  report(`${name}: holds (${Date.now() - began} ms)`);
}

async function outcomeOf(name: string, call: () => Promise<void>): Promise<string | undefined> {
  try {
    await until(name, SETTLE_MS, async () => {
      // The two workers of a sidecar learn one after the other, and the first good answers may all be of the same one.
      for (let round = 0; round < ROUNDS; round += 1) await call();
      return true;
    });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Where a call goes and who must answer it. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** Name of the pod that answers, or what its name begins with. */
  readonly pod: string;
  /** Identity that the pod is told of its caller (`ns/…/sa/…`); undefined: the call is not one of the mesh. */
  readonly caller: string | undefined;
}

/** How an HTTP request differs from GET /matrix. */
export interface HttpVariant {
  readonly headers?: Readonly<Record<string, string>>;
  /** Host or :authority as the application must see it; default what the client library makes of the target. */
  readonly authority?: string;
}

function judge(echo: Echo, target: Target, version: string, authority: string | undefined): void {
  expect(echo.pod.startsWith(target.pod), `answered by ${echo.pod}`).to.equal(true);
  expect(echo.version).to.equal(version);
  expect(echo.url).to.equal("/matrix?a=1");
  const certificate = echo.headers["x-forwarded-client-cert"] ?? "";
  if (target.caller === undefined) expect(certificate, "client certificate").to.equal("");
  else
    expect(certificate, "client certificate").to.match(
      new RegExp(`;URI=spiffe://cluster\\.local/${target.caller}$`),
    );
  if (authority !== undefined) expect(echo.headers["host"] ?? echo.headers[":authority"]).to.equal(authority);
}

const QUERY = "/matrix?a=1";

/** HTTP/1.1. */
export function http1(app: Operations, target: Target, variant: HttpVariant = {}): () => Promise<void> {
  const { host, port } = target;
  return async () => {
    const answer = await app.callHttp({ host, port, path: QUERY, headers: variant.headers ?? {} });
    expect(answer.status, answer.body).to.equal(200);
    judge(JSON.parse(answer.body) as Echo, target, "1.1", variant.authority);
  };
}

/** HTTP/2 with prior knowledge, end to end. */
export function http2(app: Operations, target: Target, variant: HttpVariant = {}): () => Promise<void> {
  const { host, port } = target;
  return async () => {
    const answer = await app.callHttp2({ host, port, path: QUERY, headers: variant.headers ?? {} });
    expect(answer.status, answer.body).to.equal(200);
    judge(JSON.parse(answer.body) as Echo, target, "2.0", variant.authority);
  };
}

/** A gRPC call. */
export function grpcUnary(app: Operations, { host, port, pod }: Target): () => Promise<void> {
  return async () => {
    const answer = await app.callGrpc(`${host}:${port}`, "hello");
    expect(answer.startsWith(pod) && answer.endsWith(":hello"), answer).to.equal(true);
  };
}

/** A gRPC server stream. */
export function grpcStream(app: Operations, { host, port }: Target): () => Promise<void> {
  return async () => {
    expect(await app.countGrpc(`${host}:${port}`, 40)).to.equal(40);
  };
}

/** WebSocket: the upgrade, then bytes there and back. */
export function webSocket(app: Operations, { host, port }: Target): () => Promise<void> {
  return async () => {
    const answer = await app.callWebSocket(host, port, "through the mesh");
    expect(answer).to.deep.equal({ status: 101, echoed: "through the mesh" });
  };
}

/** TCP, client first. An HTTP server (before a change of protocol has arrived) would answer such a line at once. */
export function tcpEcho(app: Operations, { host, port, pod }: Target): () => Promise<void> {
  return async () => {
    const { received } = await app.callTcp({ host, port, send: "hello\r\n\r\n", until: " hello" });
    expect(received.startsWith(pod) && received.includes(" hello"), JSON.stringify(received)).to.equal(true);
  };
}

/** TCP, server first: nothing is sent. */
export function tcpGreeting(app: Operations, { host, port, pod }: Target): () => Promise<void> {
  return async () => {
    const { received } = await app.callTcp({ host, port, until: "\n" });
    expect(received.startsWith(`welcome to ${pod}`), JSON.stringify(received)).to.equal(true);
  };
}

/** Bytes as a client of each protocol sends them first; "" waits for the server. */
const OPENINGS: Readonly<Record<string, string>> = {
  http: "GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
  WebSocket: "GET /ws HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  "h2c, gRPC": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
  tcp: "hello",
  "tcp-server-first": "",
};

/** A pod that gets no byte at an address, whatever it sends. */
export async function expectNothing(
  app: Operations,
  host: string,
  ports: Readonly<Record<string, number>>,
): Promise<void> {
  const seen = await Promise.all(
    Object.entries(ports).flatMap(([protocol, port]) => {
      const send = OPENINGS[protocol];
      if (send === undefined) throw new Error(`how does a client of ${protocol} begin?`);
      return [
        app.callTcp({ host, port, send, until: "never sent" }).then(answer => ({ protocol, ...answer })),
      ];
    }),
  );
  for (const { protocol, received, outcome } of seen) {
    report(`outside · ${protocol} at ${host}: ${outcome}, ${received.length} bytes received`);
    expect(received, `${protocol} at ${host}`).to.equal("");
    expect(outcome, `${protocol} at ${host}`).to.equal("closed");
  }
}
