/** A load generator of a test pod: begins requests by the clock and counts what becomes of each. */
import http from "node:http";
import http2 from "node:http2";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { LoadFailure, LoadOperations, LoadPlan, LoadResult } from "./load-operations";
import { answerParent } from "./pod-process";

const TICK_MS = 5;
/** A request without an answer for so long has failed, milliseconds. */
const PATIENCE_MS = 15_000;

type Send = () => Promise<number>;

function sendHttp1({ host, port, path }: LoadPlan, agent: http.Agent | false): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path, agent, timeout: PATIENCE_MS }, response => {
      response.resume();
      response.on("end", () => {
        resolve(response.statusCode ?? 0);
      });
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", (error: NodeJS.ErrnoException) => {
      reject(new Error(`${error.message}${request.reusedSocket ? " on a kept connection" : ""}`));
    });
    request.end();
  });
}

/** One session, and another once that is closed or about to be (GOAWAY), as clients do. */
function http2Sender({ host, port, path }: LoadPlan): Send {
  let session: http2.ClientHttp2Session | undefined;
  const open = (): http2.ClientHttp2Session => {
    const opened = http2.connect(`http://${host}:${port}`);
    const forget = (): void => {
      if (session === opened) session = undefined;
    };
    opened.on("goaway", forget).on("close", forget).on("error", forget);
    return opened;
  };
  const send: Send = () =>
    new Promise((resolve, reject) => {
      session = session === undefined || session.closed || session.destroyed ? open() : session;
      const stream = session.request({ ":path": path });
      let status = 0;
      stream.on("response", headers => (status = headers[":status"] ?? 0));
      stream.on("error", (error: Error) => {
        // No server has seen such a request (RFC 9113, 8.7): clients send it again, elsewhere where the session goes away.
        if (stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM) resolve(send());
        else reject(error);
      });
      stream.setTimeout(PATIENCE_MS, () => {
        reject(new Error("no answer"));
      });
      stream.resume().on("close", () => {
        resolve(status);
      });
      stream.end();
    });
  return send;
}

function senderOf(plan: LoadPlan): Send {
  if (plan.connections === "http2") return http2Sender(plan);
  const agent = plan.connections === "kept" ? new http.Agent({ keepAlive: true }) : false;
  return () => sendHttp1(plan, agent);
}

class Load {
  private begun = 0;
  private leftOut = 0;
  allowed = 0;
  private lastAllowedBegunAt = 0;
  private lastAllowedAt = 0;
  private slowestMs = 0;
  private readonly failures: LoadFailure[] = [];
  private readonly open = new Set<Promise<void>>();
  private readonly startedAt = performance.now();
  private readonly timer: NodeJS.Timeout;
  private readonly send: Send;
  private readonly lag = monitorEventLoopDelay({ resolution: 10 });

  constructor(private readonly plan: LoadPlan) {
    this.send = senderOf(plan);
    this.lag.enable();
    this.timer = setInterval(() => {
      this.beginDue();
    }, TICK_MS);
  }

  private beginDue(): void {
    const due = ((performance.now() - this.startedAt) * this.plan.perSecond) / 1000;
    while (this.begun + this.leftOut < due) {
      // Beside a machine that is held up, requests without end would hold it up for good.
      if (this.open.size >= this.plan.perSecond) {
        this.leftOut += 1;
        continue;
      }
      this.begun += 1;
      const request = this.one();
      this.open.add(request);
      void request.then(() => this.open.delete(request));
    }
  }

  private async one(): Promise<void> {
    const begunAt = Date.now();
    const said = await this.send().catch((error: unknown) => String(error));
    const endedAt = Date.now();
    this.slowestMs = Math.max(this.slowestMs, endedAt - begunAt);
    if (said !== 200) {
      this.failures.push({ begunAt, endedAt, what: String(said) });
      return;
    }
    this.allowed += 1;
    this.lastAllowedBegunAt = Math.max(this.lastAllowedBegunAt, begunAt);
    this.lastAllowedAt = endedAt;
  }

  async stop(): Promise<LoadResult> {
    clearInterval(this.timer);
    await Promise.all(this.open);
    const { begun, leftOut, allowed, failures, lastAllowedBegunAt, lastAllowedAt, slowestMs } = this;
    const heldUpMs = Math.round(this.lag.max / 1e6);
    return { begun, leftOut, allowed, failures, lastAllowedBegunAt, lastAllowedAt, slowestMs, heldUpMs };
  }
}

const loads: Load[] = [];

function started(load: number): Promise<Load> {
  const found = loads[load];
  return found === undefined ? Promise.reject(new Error("no such load")) : Promise.resolve(found);
}

const operations: LoadOperations = {
  start: plan => Promise.resolve(loads.push(new Load(plan)) - 1),
  allowed: async load => (await started(load)).allowed,
  stop: async load => (await started(load)).stop(),
};

answerParent(operations);
