import { API_PORT } from "../../model/mesh-words";
import type { KubeClient } from "../kube";
import type { Authority } from "../secrets/authority";
import type { Clock, Log } from "../ports";
import { explainPage } from "./explain";
import { serveApi } from "./serve";
import { statusPage, type StatusSources } from "./status";
import { topologyPage } from "./topology";
import { Traffic } from "./traffic";
import { createViewerCheck } from "./viewer";

/** What the read-only API works with. */
export interface ApiOptions extends StatusSources {
  readonly kube: KubeClient;
  readonly authority: Authority;
  readonly clock: Clock;
  readonly log: Log;
  /** Default {@link API_PORT}; 0 takes any free port. */
  readonly port?: number;
}

/** The read-only API, running or about to. */
export interface Api {
  /** Its port; undefined: it could not be opened, which is logged and costs nothing else. */
  readonly port: Promise<number | undefined>;
  stop(): void;
}

/** Starts the read-only API of the single writer, where the sum over all replicas is. */
export function startApi(options: ApiOptions): Api {
  const { engine, clock } = options;
  const log = options.log.child("api");
  const traffic = new Traffic(engine, clock);
  const server = serveApi({
    ...options,
    log,
    port: options.port ?? API_PORT,
    allowed: createViewerCheck(options),
    pages: {
      "/v1/status": () => statusPage(options),
      "/v1/topology": () => topologyPage(engine, clock.now()),
      "/v1/traffic": () => traffic.page(),
      "/v1/explain": query => explainPage(engine, query),
    },
  }).catch((error: unknown) => {
    log.error("the read-only API cannot be opened", { error: String(error) });
    return undefined;
  });
  return {
    port: server.then(running => running?.port),
    stop: () => void server.then(running => running?.stop()),
  };
}
