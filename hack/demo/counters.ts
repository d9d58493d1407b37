import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { until } from "../cluster/progress";
import { COUNTERS_PORT } from "./apps/settings";
import type { Kubectl } from "./kubectl";
import { DEMO_LABEL, DEMO_NAME } from "./manifests";

/** Numbers of one program, by the names its `/raw` page uses; summed over its pods. */
export type Numbers = Readonly<Record<string, number>>;

/** One look at all programs: numbers by program name. A program that does not answer is not there. */
export type Reading = Readonly<Record<string, Numbers>>;

/** One number of a reading; 0 when it is not there. */
export function numberOf(reading: Reading, program: string, name: string): number {
  return reading[program]?.[name] ?? 0;
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly namespace: string };
    readonly spec: { readonly serviceAccountName: string };
    readonly status: { readonly phase?: string };
  }[];
}

/** Programs that show no counters. */
const SILENT = ["mysql", "bookpublisher"];

/** Adds what a pod's `/raw` page shows to what other pods of the program showed. */
export function addNumbers(before: Numbers, raw: unknown): Numbers {
  const sum: Record<string, number> = { ...before };
  if (typeof raw !== "object" || raw === null) return sum;
  for (const [name, value] of Object.entries(raw)) {
    if (typeof value === "number") sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}

/**
 * Reads the counters through the API server's pod proxy, over one `kubectl proxy` on a private unix socket.
 *
 * The API server has no mesh certificate, so a meshed port refuses it; the counters have a port of their own that the
 * pods' annotation takes out of interception.
 */
export class CounterReader {
  private constructor(
    private readonly proxy: ChildProcess,
    private readonly folder: string,
  ) {}

  /** Starts the proxy. Throws when it does not come up within ten seconds. */
  public static async start(kubectl: Kubectl): Promise<CounterReader> {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-demo-"));
    const socket = path.join(folder, "api");
    const args = kubectl.arguments(["proxy", `--unix-socket=${socket}`]);
    const proxy = spawn(kubectl.program, args, { stdio: "ignore" });
    const reader = new CounterReader(proxy, folder);
    try {
      await until("kubectl proxy", 10_000, () => (existsSync(socket) ? true : undefined), 50);
      return reader;
    } catch (error) {
      reader.stop();
      throw error;
    }
  }

  /** Ends the proxy. */
  public stop(): void {
    this.proxy.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Numbers of all programs now. Throws when the API server does not answer. */
  public async read(): Promise<Reading> {
    const reading: Record<string, Numbers> = {};
    await Promise.all(
      (await this.running()).map(async ({ program, place }) => {
        const raw = await this.get(`${place}/raw`).catch(() => undefined);
        if (raw !== undefined) reading[program] = addNumbers(reading[program] ?? {}, raw);
      }),
    );
    return reading;
  }

  /**
   * Turns to a page of these programs: `reset` sets counters to zero, `rush` buys many books at once and answers when they
   * are bought. Throws when one does not answer within three seconds.
   */
  public async ask(programs: readonly string[], page: "reset" | "rush"): Promise<void> {
    const pods = (await this.running()).filter(({ program }) => programs.includes(program));
    await Promise.all(pods.map(({ place }) => this.get(`${place}/${page}`)));
  }

  /** Programs with counters that run, and where the API server leads to their pages. */
  private async running(): Promise<readonly { readonly program: string; readonly place: string }[]> {
    const selector = encodeURIComponent(`${DEMO_LABEL}=${DEMO_NAME}`);
    const pods = (await this.get(`/api/v1/pods?labelSelector=${selector}`)) as PodList;
    const wanted = pods.items.filter(pod => {
      return pod.status.phase === "Running" && !SILENT.includes(pod.spec.serviceAccountName);
    });
    return wanted.map(({ metadata, spec }) => ({
      program: spec.serviceAccountName,
      place: `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}:${COUNTERS_PORT}/proxy`,
    }));
  }

  private get(place: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const options = { socketPath: path.join(this.folder, "api"), path: place, timeout: 3_000 };
      const request = http.get(options, response => {
        let body = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
        response.once("end", () => {
          try {
            if (response.statusCode !== 200) throw new Error(`${place}: ${response.statusCode ?? 0}`);
            resolve(JSON.parse(body));
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)));
          }
        });
      });
      request.once("timeout", () => request.destroy(new Error(`${place}: no answer`)));
      request.once("error", reject);
    });
  }
}
