"use strict";
// A rate limit server (envoy.service.ratelimit.v3) over gRPC on LIMITS_PORT, and what steers it on CONTROL_PORT:
//   POST /limits  {descriptor: count}: so many requests pass from now on, others without end; forgets what was asked
//   GET  /asked   ["domain: descriptor descriptor …", …]
// A descriptor is written as key=value,key=value.
const http = require("node:http");
const http2 = require("node:http2");
const OK = 1;
const OVER_LIMIT = 2;
let left = {};
let asked = [];

/** The length-delimited fields of a message, by number; of the others only the length counts. */
function fields(message) {
  const found = [];
  let at = 0;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = message[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = number();
    if ((tag & 7) === 2) {
      const length = number();
      found.push([tag >> 3, message.subarray(at, (at += length))]);
    } else if ((tag & 7) === 0) number();
    else throw new Error(`wire type ${tag & 7}`);
  }
  return found;
}

const of = (wanted, message) =>
  fields(message).flatMap(([field, value]) => (field === wanted ? [value] : []));
const entry = message => [1, 2].map(field => of(field, message).map(String)[0] ?? "").join("=");

function judge(request) {
  const descriptors = of(2, request).map(descriptor => of(1, descriptor).map(entry).join(","));
  asked.push(`${of(1, request).map(String)[0] ?? ""}: ${descriptors.join(" ")}`);
  const over = descriptors.filter(key => {
    if (!(key in left)) return false;
    left[key] -= 1;
    return left[key] < 0;
  });
  return Buffer.from([1 << 3, over.length > 0 ? OVER_LIMIT : OK]);
}

const server = http2.createServer();
server.on("stream", stream => {
  const parts = [];
  stream.on("error", () => undefined);
  stream.on("data", part => parts.push(part));
  stream.on("end", () => {
    // gRPC: one byte that says "not compressed", four of length, then the message.
    const answer = judge(Buffer.concat(parts).subarray(5));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, answer.length]), answer]));
  });
});
server.listen(Number(process.env.LIMITS_PORT));

http
  .createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", part => (body += part));
    request.on("end", () => {
      if (request.method === "POST") {
        left = JSON.parse(body);
        asked = [];
      }
      response.end(JSON.stringify(asked));
    });
  })
  .listen(Number(process.env.CONTROL_PORT));
