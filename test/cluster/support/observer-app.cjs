"use strict";
// Two peers of sidecars, in one pod, steered over HTTP on port 9099:
//   port 9191  an external authorizer: a gRPC server that speaks envoy.service.auth.v3.Authorization/Check
//   port 9411  stands for a Zipkin collector: keeps what is posted to /api/v2/spans and any other path
//   GET /verdict?is=allow|deny|hang|down   what the authorizer does from now on
//   GET /seen                              {checks, paths, spans}
const http = require("node:http");
const http2 = require("node:http2");

const seen = { checks: 0, paths: [], spans: [] };
let verdict = "allow";

// CheckResponse { status { code } }: nothing at all is OK, 7 is PERMISSION_DENIED.
const RESPONSES = { allow: Buffer.alloc(0), deny: Buffer.from([0x0a, 0x02, 0x08, 0x07]) };

function frame(message) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

const sessions = new Set();
const authorizer = http2.createServer();
authorizer.on("session", session => {
  sessions.add(session);
  session.on("close", () => sessions.delete(session));
  session.on("error", () => undefined);
});
authorizer.on("stream", (stream, headers) => {
  stream.on("error", () => undefined);
  stream.resume().on("end", () => {
    if (headers[":path"] !== "/envoy.service.auth.v3.Authorization/Check") {
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "12" },
        { endStream: true },
      );
      return;
    }
    seen.checks++;
    if (verdict === "hang") return;
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(frame(RESPONSES[verdict]));
  });
});
authorizer.listen(9191, "::");

function decide(next) {
  verdict = next;
  if (next === "down") {
    authorizer.close();
    for (const session of sessions) session.destroy();
  } else if (!authorizer.listening) authorizer.listen(9191, "::");
}

function collect(request, response) {
  let body = "";
  request.setEncoding("utf8").on("data", part => (body += part));
  request.on("end", () => {
    seen.paths.push(`${request.method} ${request.url}`);
    seen.spans.push(...JSON.parse(body || "[]"));
    response.writeHead(202).end();
  });
}
http.createServer(collect).listen(9411, "::");

http
  .createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://pod");
    if (pathname === "/verdict") decide(searchParams.get("is"));
    response.end(JSON.stringify(pathname === "/seen" ? seen : {}));
  })
  .listen(9099, "::");
process.on("SIGTERM", () => process.exit(0));
