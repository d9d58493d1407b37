/** A workload of a chaos run: it answers requests, and begins some by the clock, remembering what became of each. */
import http from "node:http";
import type { FlowOperations, FlowOutcome } from "./flow-operations";
import { answerParent } from "./pod-process";

/** A request without an answer for so long has failed, milliseconds. */
const PATIENCE_MS = 20_000;
/** A flow does not begin another request while so many are open. */
const MOST_OPEN = 20;
const BODY_BYTES = 200;

function send(host: string, port: number, path: string): Promise<Pick<FlowOutcome, "status" | "what">> {
  return new Promise(resolve => {
    const request = http.request({ host, port, path, agent: false, timeout: PATIENCE_MS }, response => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => {
        const status = response.statusCode ?? 0;
        resolve({ status, what: status === 200 ? "" : body.slice(0, BODY_BYTES) });
      });
      response.on("error", error => {
        resolve({ status: 0, what: error.message });
      });
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", error => {
      resolve({ status: 0, what: error.message });
    });
    request.end();
  });
}

class Flow {
  private readonly outcomes: FlowOutcome[] = [];
  private open = 0;
  private count = 0;

  constructor(private readonly plan: Parameters<FlowOperations["begin"]>[0]) {
    setInterval(() => {
      if (this.open < MOST_OPEN) void this.one();
    }, plan.everyMs);
  }

  take(): readonly FlowOutcome[] {
    return this.outcomes.splice(0);
  }

  private async one(): Promise<void> {
    const { name, host, port } = this.plan;
    this.open += 1;
    this.count += 1;
    const path = `/${name}/${this.count}`;
    const begunAt = Date.now();
    const said = await send(host, port, path);
    this.open -= 1;
    this.outcomes.push({ begunAt, endedAt: Date.now(), path, ...said });
  }
}

const flows = new Map<string, Flow>();

const operations: FlowOperations = {
  serve: port =>
    new Promise((resolve, reject) => {
      const server = http.createServer((request, response) => {
        request.resume();
        response.end("ok");
      });
      server.once("error", reject);
      server.listen(port, "0.0.0.0", resolve);
    }),
  begin: plan => {
    flows.set(plan.name, new Flow(plan));
    return Promise.resolve();
  },
  take: () => Promise.resolve(Object.fromEntries([...flows].map(([name, flow]) => [name, flow.take()]))),
};

answerParent(operations);
