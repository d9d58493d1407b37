/**
 * An application with something behind every kind of probe, on the pod's loopback only: http 8080 (closes each
 * connection it is told to), https 8443 (argv: key and certificate files), a TCP server 3306 that greets and never hangs
 * up, and a gRPC health service on 9000. It prints a line for each HTTP request it gets.
 */
const fs = require("node:fs");
const http = require("node:http");
const http2 = require("node:http2");
const https = require("node:https");
const net = require("node:net");

const [key, cert] = process.argv.slice(2).map(file => fs.readFileSync(file));

function answer(request, response) {
  process.stdout.write(`${request.method} ${request.url} ${JSON.stringify(request.headers)}\n`);
  if (request.url === "/redirect") response.writeHead(302, { location: "/elsewhere" });
  else if (request.url === "/sick") response.writeHead(503);
  if (request.url === "/slow") setTimeout(() => response.end("late"), 1500);
  else response.end(`app ${request.url}`);
}

/** A message of the gRPC health protocol: SERVING, or NOT_SERVING for the service `sick`. */
function health(stream, headers) {
  let body = Buffer.alloc(0);
  stream.on("data", chunk => (body = Buffer.concat([body, chunk])));
  stream.on("end", () => {
    process.stdout.write(`${headers[":method"]} ${headers[":path"]}\n`);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, body.toString().includes("sick") ? 2 : 1]));
  });
}

const servers = [
  [http.createServer(answer), 8080],
  [https.createServer({ key, cert }, answer), 8443],
  [
    net.createServer({ allowHalfOpen: true }, socket => {
      socket.write("5.7.0-greeting");
      socket.on("error", () => socket.destroy());
      socket.resume();
    }),
    3306,
  ],
  [http2.createServer().on("stream", health), 9000],
];
let open = 0;
for (const [server, port] of servers) {
  server.listen(port, "127.0.0.1", () => {
    open += 1;
    if (open === servers.length) process.stdout.write("ready\n");
  });
}
