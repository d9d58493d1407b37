"use strict";
// Server in a pod: says who it is, on the ports of the environment variable PORTS. When it is asked to end it lets
// what is under way come to its end, as any well-behaved server does.
const http = require("node:http");
const name = process.env.HOSTNAME;
const servers = (process.env.PORTS ?? "14001,8081").split(",").map(port => {
  const server = http.createServer((request, response) => {
    request.resume().on("end", () => response.end(`${name} ${request.url}`));
  });
  server.keepAliveTimeout = 75_000;
  return server.listen(Number(port), "::");
});
process.on("SIGTERM", () => {
  let open = servers.length;
  for (const server of servers) {
    server.close(() => {
      if (--open === 0) process.exit(0);
    });
    server.closeIdleConnections();
  }
});
