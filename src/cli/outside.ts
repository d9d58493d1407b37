/** Destinations outside of the mesh, as `osm verify connectivity` is asked about them. */
import { isIPv6 } from "node:net";
import type { CliContext } from "./context";
import { explainObjects } from "./explain/explain";
import { UsageError } from "./failure";
import { createAddresses } from "./offline/addresses";
import { readCluster } from "./offline/cluster";
import { portOf } from "./options";

/** Options that say where a call goes. */
export interface OutsideOptions {
  readonly toExtHost?: string;
  readonly toExtPort?: string;
  readonly toPod?: string;
  readonly toService?: string;
  /** Default http, and https at port 443. */
  readonly appProtocol?: string;
}

const PROTOCOLS: readonly string[] = ["http", "https", "tcp", "grpc"];

/**
 * The URL of what is outside, as `osm explain` takes it; undefined: nothing outside is asked about. Throws {@link UsageError} or
 * {@link CommandError} that names the option for what makes no sense.
 */
export function outsideOf(options: OutsideOptions): string | undefined {
  const { toExtHost: host, toExtPort: port } = options;
  if (host === undefined && port === undefined) return undefined;
  if (host === undefined || port === undefined)
    throw new UsageError("--to-ext-host and --to-ext-port belong together");
  if (options.toPod !== undefined || options.toService !== undefined)
    throw new UsageError("--to-ext-host is outside of the mesh: no --to-pod or --to-service beside it");
  portOf(port, "to-ext-port");
  return `${protocolOf(options.appProtocol, port)}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

function protocolOf(given: string | undefined, port: string): string {
  const protocol = given ?? (port === "443" ? "https" : "http");
  if (PROTOCOLS.includes(protocol)) return protocol;
  throw new UsageError(`--app-protocol: ${protocol} is none of ${PROTOCOLS.join(", ")}`);
}

/** Whether the mesh lets a pod's calls out, and which object says so. What answers there is nobody's here to judge. */
export async function letOut(
  context: CliContext,
  from: { readonly namespace: string; readonly name: string },
  to: string,
): Promise<{ readonly ok: boolean; readonly why: string }> {
  const { meshName, osmNamespace } = context;
  const { documents } = await readCluster(await context.kube(), context);
  const answer = explainObjects(
    documents,
    { meshName, osmNamespace, addresses: createAddresses(), plan: new Set<string>() },
    { from: `pod/${from.name}.${from.namespace}`, to, namespace: from.namespace, headers: {} },
  );
  return { ok: answer.verdict === "delivered", why: answer.summary };
}
