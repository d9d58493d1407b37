import { createServer, type AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import type { KubeObject } from "../../runtime/kube";
import type { CliContext } from "../context";
import { CommandError } from "../failure";
import { openPodPort } from "../stream/pod-port";
import type { Dashboard } from "./server";

/** Label of Grafana's pods, as Open Service Mesh had it. */
const SELECTOR = "app=osm-grafana";
const HOST = "127.0.0.1";

/** A port of loopback that leads to Grafana in the mesh's namespace. */
export async function forwardGrafana(
  context: CliContext,
  { port, remote }: { readonly port: number; readonly remote: number },
): Promise<Dashboard> {
  const namespace = context.osmNamespace;
  const kube = await context.kube();
  const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(SELECTOR)}`;
  const { items } = await kube.get<{
    readonly items: readonly (KubeObject & { readonly status?: { readonly phase?: string } })[];
  }>(path);
  const pod = items.find(({ status }) => status?.phase === "Running")?.metadata.name;
  if (pod === undefined)
    throw new CommandError(`no Grafana runs in namespace ${namespace} (pods with label ${SELECTOR})`);
  const credentials = context.credentials();
  const server = createServer(socket => {
    openPodPort(credentials, { namespace, pod, port: remote })
      .then(far => Promise.all([pipeline(socket, far), pipeline(far, socket)]))
      .catch(() => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, HOST, resolve);
  });
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise(resolve => {
        server.close();
        resolve();
      }),
  };
}
