"use strict";
// What the conformance steps of SMI ask of an application: it calls others, is called, and counts both.
//   POST   /call     {url, method, headers, body, times}: calls from here, each on a connection of its own; {statuses, last}: the last body
//   any    /echo     answers with the caller's certificate as the sidecar tells it, and counts who asked (header servicename)
//   any    /status/N answers with that status, and counts too
//   GET    /metrics  {received: {caller: count}, succeeded, failed}; a call succeeded when its status was 200 to 399
//   DELETE /metrics  sets them to zero
// The same pages are served on the ports of the environment variable PORTS, one of which the pod keeps out of the mesh.
const http = require("node:http");
const net = require("node:net");
const name = process.env.SERVICE;
let metrics;
const reset = () => (metrics = { received: {}, succeeded: 0, failed: 0, connections: 0 });
reset();

function call({ url, method = "GET", headers = {}, body = "" }) {
  return new Promise(resolve => {
    const options = { method, headers: { ...headers, servicename: name }, agent: false, timeout: 10_000 };
    const request = http.request(url, options, response => {
      let text = "";
      response.setEncoding("utf8").on("data", part => (text += part));
      response.on("end", () => resolve({ status: response.statusCode, text }));
      response.on("error", () => resolve({ status: 0, text }));
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve({ status: 0, text: "" })).end(body);
  });
}

async function calls({ times = 1, ...one }) {
  const statuses = [];
  let last = "";
  for (let n = 0; n < times; n += 1) {
    const { status, text } = await call(one);
    last = text;
    statuses.push(status);
    if (status >= 200 && status < 400) metrics.succeeded += 1;
    else metrics.failed += 1;
  }
  return { statuses, last };
}

/** One line sent over TCP on a connection of its own, and what came back; empty when the connection was refused or cut. */
function line(text, { host, port }) {
  return new Promise(resolve => {
    let answer = "";
    const socket = net.connect({ host, port: Number(port), timeout: 5_000 }, () => socket.write(text));
    socket.on("data", part => {
      answer += part;
      socket.end();
    });
    for (const event of ["timeout", "error"]) socket.on(event, () => socket.destroy());
    socket.on("close", () => resolve({ answer }));
  });
}

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url, "http://pod");
  let body = "";
  for await (const part of request) body += part;
  if (pathname === "/call") return calls(JSON.parse(body));
  if (pathname === "/line") return line("hello\n", Object.fromEntries(searchParams));
  if (pathname === "/metrics" && request.method === "DELETE") reset();
  if (pathname === "/metrics") return metrics;
  const caller = request.headers.servicename ?? "";
  if (caller !== "") metrics.received[caller] = (metrics.received[caller] ?? 0) + 1;
  const [, status = 200] = /^\/status\/(\d{3})$/.exec(pathname) ?? [];
  return { status: Number(status), name, certificate: request.headers["x-forwarded-client-cert"] };
}

process.on("SIGTERM", () => process.exit(0));
for (const port of process.env.PORTS.split(",")) {
  http
    .createServer((request, response) => {
      answer(request).then(
        value => response.writeHead(value.status ?? 200).end(JSON.stringify(value)),
        error => response.writeHead(500).end(String(error)),
      );
    })
    .listen(Number(port), "::");
}
if (process.env.LINES_PORT !== undefined) {
  net
    .createServer(socket => {
      metrics.connections += 1;
      socket.on("data", part => socket.write(`${name} ${part}`)).on("error", () => socket.destroy());
    })
    .listen(Number(process.env.LINES_PORT), "::");
}
