import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { ensureCollector } from "../../hack/cluster/binaries";
import { Progress, toStderr } from "../../hack/cluster/progress";
import type { NetworkPod } from "./netns";
import { startProgram } from "./pod-process";
import { collectorSpans } from "./spans";
import type { Span, TraceOperations } from "./trace-operations";

/** What has been sent to a collector. */
export interface Collector {
  spans(): Promise<readonly Span[]>;
}

/** Ports of a collector, by what is spoken there. */
export interface CollectorPorts {
  readonly zipkin: number;
  readonly otlp: number;
}

/** A collector in a pod: at full counts the OpenTelemetry Collector, otherwise a small one that understands the same. */
export async function startCollector(pod: NetworkPod, ports: CollectorPorts): Promise<Collector> {
  if (process.env["OSM_FULL"] === "1") return openTelemetryCollector(pod, ports);
  const small = startProgram(pod, "trace-app.ts") as TraceOperations;
  await small.collect(ports.zipkin, ports.otlp);
  return { spans: () => small.spans() };
}

async function openTelemetryCollector(pod: NetworkPod, { zipkin, otlp }: CollectorPorts): Promise<Collector> {
  const program = await ensureCollector(new Progress(toStderr));
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-collector-"));
  const file = path.join(folder, "spans.json");
  const config = path.join(folder, "config.yaml");
  writeFileSync(
    config,
    JSON.stringify({
      receivers: {
        zipkin: { endpoint: `0.0.0.0:${zipkin}` },
        otlp: { protocols: { grpc: { endpoint: `0.0.0.0:${otlp}` } } },
      },
      exporters: { file: { path: file } },
      service: {
        telemetry: { metrics: { level: "none" }, logs: { level: "error" } },
        pipelines: { traces: { receivers: ["zipkin", "otlp"], exporters: ["file"] } },
      },
    }),
  );
  const child = pod.start([program, "--config", config], { stdio: ["ignore", "ignore", "inherit"] });
  child.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    spans: () => {
      if (child.exitCode !== null) throw new Error(`the collector ended with ${child.exitCode}`);
      return Promise.resolve(existsSync(file) ? collectorSpans(readFileSync(file, "utf8")) : []);
    },
  };
}
