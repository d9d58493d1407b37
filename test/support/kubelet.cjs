/**
 * The kubelet's side of probes, run in a network namespace beside the pod: reads a JSON list of calls from standard
 * input and prints a JSON list of answers. HTTP calls are made as the kubelet makes them (a connection each, closed
 * after the answer); redirects to the same host are followed only where there is a Location.
 */
const http = require("node:http");
const http2 = require("node:http2");

function httpCall({ method = "GET", host, port, path, headers = {} }) {
  return new Promise(resolve => {
    const started = Date.now();
    let answered;
    const request = http.request(
      { method, host, port, path, headers, agent: false, timeout: 4000 },
      response => {
        let body = "";
        answered = () => ({ status: response.statusCode, body, ms: Date.now() - started });
        response.on("data", chunk => (body += chunk.toString()));
        response.on("end", () => {
          const { location } = response.headers;
          resolve({ status: response.statusCode, body, location, ms: Date.now() - started });
        });
        response.on("error", () => resolve({ status: response.statusCode, body, ms: Date.now() - started }));
      },
    );
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", error => {
      // A TCP server may speak right after its port has answered a probe, behind the end of an empty answer. The kubelet
      // (Go's net/http) has its answer then and drops the rest; Node's parser calls the rest an error.
      const late = error.code === "HPE_CLOSED_CONNECTION" && answered !== undefined;
      resolve(late ? answered() : { error: error.code ?? error.message });
    });
    request.end();
  });
}

function grpcCall({ host, port, path, service }) {
  return new Promise(resolve => {
    const session = http2.connect(`http://${host.includes(":") ? `[${host}]` : host}:${port}`);
    session.on("error", error => resolve({ error: error.code ?? error.message }));
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let body = Buffer.alloc(0);
    let status = 0;
    stream.on("response", headers => (status = headers[":status"]));
    stream.on("data", chunk => (body = Buffer.concat([body, chunk])));
    stream.on("error", error => resolve({ error: error.code ?? error.message }));
    stream.on("end", () => {
      session.close();
      resolve({ status, serving: body.at(-1) });
    });
    const message =
      service === "" ? Buffer.alloc(0) : Buffer.from([10, service.length, ...Buffer.from(service)]);
    stream.end(Buffer.from([0, 0, 0, 0, message.length, ...message]));
  });
}

async function main() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  const answers = [];
  for (const call of JSON.parse(text))
    answers.push(await (call.service === undefined ? httpCall(call) : grpcCall(call)));
  process.stdout.write(JSON.stringify(answers));
}

void main();
