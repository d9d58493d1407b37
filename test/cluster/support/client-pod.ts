import http from "node:http";
import { CONTROL_PORT } from "./manifests";

/** What came of one request: an answer, or the reason why there was none. */
export interface Answer {
  readonly status?: number;
  readonly body?: string;
  readonly error?: string;
}

/** Counts of an open loop. */
export interface LoadStats {
  readonly sent: number;
  readonly ok: number;
  readonly failed: number;
  readonly connections: number;
  readonly slowestMs: number;
  readonly failures: readonly { readonly at: string; readonly ms: number; readonly what: string }[];
  /** Answers by the name of the pod that gave them. */
  readonly servers: Readonly<Record<string, number>>;
}

/** An open loop of requests. */
interface LoadPlan {
  readonly urls: readonly string[];
  /** Requests per second. */
  readonly rate: number;
  /** Requests before a new connection is made. */
  readonly perConnection: number;
  /** A request that takes longer has failed, milliseconds. */
  readonly timeoutMs: number;
}

/** Reads a URL from this machine; rejects when there is no answer within 30 s. */
export function fetchText(url: string, method = "GET", body = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = http.request(url, { method, timeout: 30_000, agent: false }, response => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => {
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`${method} ${url}: ${response.statusCode ?? 0} ${text}`));
      });
      response.on("error", reject);
    });
    call.on("timeout", () => call.destroy(new Error(`${method} ${url}: no answer`)));
    call.on("error", reject).end(body);
  });
}

/** A pod that runs client-app.cjs, steered from this machine. */
export class ClientPod {
  public constructor(private readonly address: string) {}

  /** One request on a connection of its own. */
  public async get(url: string): Promise<Answer> {
    return this.ask<Answer>(`/get?url=${encodeURIComponent(url)}`);
  }

  /** Begins an open loop; an earlier one is ended. */
  public async start(plan: LoadPlan): Promise<void> {
    await this.ask("/start", "POST", JSON.stringify(plan));
  }

  public stats(): Promise<LoadStats> {
    return this.ask("/stats");
  }

  /** Ends the loop and waits for the requests under way. */
  public stop(): Promise<LoadStats> {
    return this.ask("/stop", "POST");
  }

  private async ask<T>(path: string, method = "GET", body = ""): Promise<T> {
    return JSON.parse(await fetchText(`http://${this.address}:${CONTROL_PORT}${path}`, method, body)) as T;
  }
}
