/**
 * The application of the traffic rung's pods (pod-app.ts), told over HTTP what it is told over IPC there:
 *   POST /<operation>   a JSON list of arguments; answers {value} or {error}
 * It starts with the operations listed in the environment variable START and listens for more on CONTROL_PORT. Bundled and mounted by matrix-pods.ts.
 */
import http from "node:http";
import "../../support/pod-app";
import { BULK, type BulkOperations } from "./matrix-bulk";

interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

const waiting = new Map<number, (reply: Reply) => void>();

// The other side of the channel that pod-app.ts answers on.
process.send = (reply: Reply): boolean => {
  waiting.get(reply.id)?.(reply);
  return waiting.delete(reply.id);
};

let calls = 0;

async function runOwn(operation: keyof BulkOperations, args: readonly unknown[]): Promise<Reply> {
  const work = BULK[operation] as (...args: readonly unknown[]) => Promise<unknown>;
  return work(...args).then(
    value => ({ id: 0, value }),
    (error: unknown) => ({ id: 0, error: String(error) }),
  );
}

function run(operation: string, args: readonly unknown[]): Promise<Reply> {
  if (Object.hasOwn(BULK, operation)) return runOwn(operation as keyof BulkOperations, args);
  return new Promise(resolve => {
    const id = (calls += 1);
    waiting.set(id, resolve);
    process.emit("message", { id, operation, args }, undefined);
  });
}

async function answer(request: http.IncomingMessage): Promise<string> {
  let body = "";
  for await (const part of request.setEncoding("utf8")) body += String(part);
  const operation = (request.url ?? "/").slice(1);
  return operation === "" ? "{}" : JSON.stringify(await run(operation, JSON.parse(body) as unknown[]));
}

async function main(): Promise<void> {
  const start = JSON.parse(process.env["START"] ?? "[]") as [string, ...unknown[]][];
  for (const [operation, ...args] of start) {
    const { error } = await run(operation, args);
    if (error !== undefined) throw new Error(`${operation}: ${error}`);
  }
  const control = http.createServer((request, response) => {
    answer(request).then(
      text => response.end(text),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  control.listen(Number(process.env["CONTROL_PORT"]), "::");
}

process.on("SIGTERM", () => process.exit(0));
main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
});
