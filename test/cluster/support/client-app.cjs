"use strict";
// Client in a pod, steered over HTTP on port 9099 (which the pod's annotations keep out of the mesh):
//   GET  /get?url=…   one request on a connection of its own; {status, body} or {error}
//   POST /start       {urls, rate, perConnection, timeoutMs}: an open loop, which asks on time whatever becomes of earlier requests
//   GET  /stats       counts so far
//   POST /stop        ends the loop, waits for what is under way, gives the counts
const http = require("node:http");

function request(url, agent, timeoutMs) {
  return new Promise(resolve => {
    const call = http.get(url, { agent }, response => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", part => (body += part));
      response.on("end", () => resolve({ status: response.statusCode, body }));
      response.on("error", error => resolve({ error: error.code ?? error.message }));
    });
    const timer = setTimeout(
      () => call.destroy(Object.assign(new Error("slow"), { code: "TIMEOUT" })),
      timeoutMs,
    );
    call.on("error", error => resolve({ error: error.code ?? error.message }));
    call.on("close", () => clearTimeout(timer));
  });
}

let loop;

class Loop {
  constructor(plan) {
    this.plan = plan;
    this.began = Date.now();
    this.stats = { sent: 0, ok: 0, failed: 0, connections: 0, slowestMs: 0, failures: [], servers: {} };
    this.running = new Set();
    this.timer = setInterval(() => this.catchUp(), 5);
  }
  catchUp() {
    const due = Math.floor(((Date.now() - this.began) / 1000) * this.plan.rate);
    while (this.stats.sent < due) this.send();
  }
  send() {
    const number = this.stats.sent++;
    if (number % this.plan.perConnection === 0) {
      this.lane = {
        agent: new http.Agent({ keepAlive: true, maxSockets: 1 }),
        left: this.plan.perConnection,
      };
      this.lane.url = this.plan.urls[this.stats.connections++ % this.plan.urls.length];
    }
    const lane = this.lane;
    const began = Date.now();
    const one = request(`${lane.url}?${number}`, lane.agent, this.plan.timeoutMs).then(answer => {
      this.count(answer, lane.url, began);
      if (--lane.left === 0) lane.agent.destroy();
      this.running.delete(one);
    });
    this.running.add(one);
  }
  count(answer, url, began) {
    const { stats } = this;
    const ms = Date.now() - began;
    stats.slowestMs = Math.max(stats.slowestMs, ms);
    if (answer.status === 200) {
      stats.ok++;
      const server = answer.body.split(" ")[0];
      stats.servers[server] = (stats.servers[server] ?? 0) + 1;
      return;
    }
    stats.failed++;
    const what = answer.error ?? `${answer.status} ${answer.body.slice(0, 100)}`;
    if (stats.failures.length < 20) stats.failures.push({ at: new Date(began).toISOString(), ms, url, what });
  }
  async stop() {
    clearInterval(this.timer);
    await Promise.all(this.running);
    return this.stats;
  }
}

async function answer(incoming) {
  const { pathname, searchParams } = new URL(incoming.url, "http://pod");
  if (pathname === "/get")
    return request(searchParams.get("url"), new http.Agent({ keepAlive: false }), 10_000);
  if (pathname === "/stats") return loop?.stats ?? {};
  if (pathname === "/stop") return loop.stop();
  if (pathname !== "/start") return {};
  let body = "";
  for await (const part of incoming) body += part;
  await loop?.stop();
  loop = new Loop(JSON.parse(body));
  return {};
}

process.on("SIGTERM", () => process.exit(0));
http
  .createServer((incoming, response) => {
    answer(incoming).then(
      value => response.end(JSON.stringify(value)),
      error => response.writeHead(500).end(String(error)),
    );
  })
  .listen(9099, "::");
