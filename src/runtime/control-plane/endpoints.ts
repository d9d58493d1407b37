import { createDebugEndpoint, DEBUG_PORT, HEALTH_PORT, healthPages, listenHttp } from "../http-endpoints";
import type { Metrics } from "../metrics";
import {
  observeDelivery,
  observeInformers,
  observeIssuing,
  observeMesh,
  observeProcess,
  observeStreams,
} from "../observe";
import type { Log } from "../ports";
import type { Role } from "../role";
import type { Serving } from "./serving";
import type { World } from "./world";

/** What the HTTP endpoints show. */
export interface EndpointsOptions {
  readonly role: Role;
  readonly log: Log;
  readonly version: string;
  readonly world: World;
  readonly serving: Serving | undefined;
  readonly metrics: Metrics;
  /** Default {@link HEALTH_PORT}; 0 takes any free port. */
  readonly healthPort?: number;
}

/** Open HTTP endpoints. */
export interface Endpoints {
  /** Port of health and metrics. */
  readonly healthPort: number;
  stop(): void;
}

/** Opens health and metrics, and the debug port while MeshConfig says so. */
export async function openEndpoints(options: EndpointsOptions): Promise<Endpoints> {
  const { role, log, version, world, serving, metrics } = options;
  const { engine, informers } = world;
  observeMesh(metrics, options);
  observeInformers(metrics, informers);
  observeProcess(metrics);
  if (serving !== undefined) {
    observeStreams(metrics, serving.ads);
    observeDelivery(metrics, serving.ads);
    observeIssuing(metrics, serving.secrets);
  }
  const notReady = (): string | undefined => {
    const waiting = informers.waitingFor();
    return waiting.length === 0 ? undefined : `waiting for ${waiting.join(", ")}`;
  };
  const pages = healthPages({ metrics, notReady, version: { version, role } });
  const health = await listenHttp({ log, port: options.healthPort ?? HEALTH_PORT, pages });
  const debug = createDebugEndpoint({
    log,
    port: DEBUG_PORT,
    pages: {
      "/debug/engine": () => engine.stats(),
      "/debug/config": () => engine.meshConfig(),
      "/debug/namespaces": () => Object.fromEntries(engine.namespaces()),
      "/debug/proxy": () => serving?.ads.ledger.proxies() ?? [],
      "/debug/xds": () => serving?.ads.ledger.summary() ?? {},
      "/debug/ads": () => serving?.ads.stats() ?? {},
    },
  });
  debug.setEnabled(engine.meshConfig().observability.enableDebugServer);
  const subscription = engine.onMeshConfig(spec => {
    debug.setEnabled(spec.observability.enableDebugServer);
  });
  return {
    healthPort: health.port,
    stop: () => {
      subscription.close();
      debug.setEnabled(false);
      void health.close();
    },
  };
}
