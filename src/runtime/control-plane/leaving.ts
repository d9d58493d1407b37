import type { Clock, Log } from "../ports";
import type { Serving } from "./serving";
import type { WebhookServer } from "./webhook-server";

/** Time for the cluster to take this pod out of its Services before connections are sent elsewhere. */
const NOTICE_MS = 1_000;
/** Over which the proxies are sent elsewhere. Both times together stay below the five seconds Pepr's pods begin with. */
const DRAIN_MS = 2_500;

/** What a leaving process does before its end. */
export interface LeavingOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly server: WebhookServer;
  /** undefined: the writer, which serves nobody and makes room for its successor at once. */
  readonly serving: Serving | undefined;
}

/** Hands everything over to the other pods; resolves when the process may end. */
export async function leave(options: LeavingOptions): Promise<void> {
  const { clock, log, server, serving } = options;
  log.info("leaving");
  if (serving === undefined) return;
  server.closeAfterAnswers();
  await new Promise<void>(resolve => clock.setTimeout(resolve, NOTICE_MS));
  await serving.leave(DRAIN_MS);
  log.info("left");
}
