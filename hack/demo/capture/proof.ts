import { randomBytes } from "node:crypto";
import { containerdPaths } from "../../cluster/container-runtime";
import { until } from "../../cluster/progress";
import type { ClusterSettings } from "../../cluster/settings";
import { capture as output } from "../../cluster/shell";
import { APP_PORT } from "../apps/settings";
import type { Kubectl } from "../kubectl";
import { tcpFlows, type TcpFlow } from "./pcap";
import { Tcpdump } from "./tcpdump";
import { helloOf, type Hello } from "./tls";

/** What was seen of one request between two pods. */
export interface Sighting {
  readonly client: Hello | undefined;
  readonly server: Hello | undefined;
  /** Bytes that went to the server and back on that connection. */
  readonly bytes: number;
  /** Whether the marker was readable anywhere between the pods. */
  readonly markerOnTheWire: boolean;
  /** Whether the marker was readable on the loopback of the server's pod: the control that it was sent at all. */
  readonly markerOnLoopback: boolean;
}

/** A pod, as far as the proof needs it. */
export interface ProofPod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly status: { readonly podIP: string };
}

/** Process id of any container of a pod on the embedded cluster's node. Throws when none runs. */
async function pidOf(pod: ProofPod, settings: ClusterSettings): Promise<number> {
  const ctr = ["-a", containerdPaths(settings).socket, "-n", "k8s.io"];
  const filter = `labels."io.kubernetes.pod.uid"==${pod.metadata.uid}`;
  const ids = (await output("ctr", [...ctr, "containers", "ls", "-q", filter])).trim().split("\n");
  const tasks = (await output("ctr", [...ctr, "tasks", "ls"]))
    .split("\n")
    .map(line => line.trim().split(/\s+/));
  const running = tasks.find(([id = "", , status]) => ids.includes(id) && status === "RUNNING");
  if (running === undefined) throw new Error(`no running container of pod ${pod.metadata.name} was found`);
  return Number(running[1]);
}

/** What the two captures show about the connection from `clientAddress`. */
export function sight(wire: Buffer, loopback: Buffer, marker: string, clientAddress: string): Sighting {
  const flows = tcpFlows(wire);
  const greets = (flow: TcpFlow): boolean => helloOf(flow.payload) !== undefined;
  const there = flows.find(flow => flow.source === clientAddress && greets(flow));
  const back = flows.find(
    flow => flow.destination === clientAddress && flow.destinationPort === there?.sourcePort,
  );
  const shows = (capture: Buffer): boolean =>
    tcpFlows(capture).some(flow => flow.payload.includes(marker)) || capture.includes(marker);
  return {
    client: there && helloOf(there.payload),
    server: back && helloOf(back.payload),
    bytes: (there?.payload.length ?? 0) + (back?.payload.length ?? 0),
    markerOnTheWire: shows(wire),
    markerOnLoopback: shows(loopback),
  };
}

/** Where the proof happens. */
export interface ProofPlace {
  readonly kubectl: Kubectl;
  readonly settings: ClusterSettings;
  readonly client: ProofPod;
  readonly server: ProofPod;
  /** Name of the application's container in the client's pod. */
  readonly container: string;
  /** What the client asks for. */
  readonly url: string;
}

/**
 * Sends one request with a random marker in it from one pod to another that it has not called before (an older
 * connection would show no handshake), and captures it in the server's pod: between the pods, and behind the sidecar.
 *
 * Throws when the request is not answered or the captures do not show it within ten seconds.
 */
export async function proveEncryption(place: ProofPlace): Promise<Sighting> {
  const { client, server, kubectl } = place;
  const marker = `marker-${randomBytes(12).toString("hex")}`;
  const pid = await pidOf(server, place.settings);
  const wire = await Tcpdump.start(pid, "eth0", `tcp port ${APP_PORT} and host ${client.status.podIP}`);
  try {
    const loopback = await Tcpdump.start(pid, "lo", `tcp port ${APP_PORT}`);
    try {
      const knock = ["/usr/local/bin/node", "/app/main.js", "knock", place.url, marker];
      const where = ["-n", client.metadata.namespace, client.metadata.name, "-c", place.container];
      const answer = JSON.parse(await kubectl.must(["exec", ...where, "--", ...knock])) as { status: number };
      if (answer.status !== 200) throw new Error(`${place.url} answered ${JSON.stringify(answer)}`);
      const look = (): Sighting => sight(wire.bytes(), loopback.bytes(), marker, client.status.podIP);
      return await until("a TLS handshake in the capture", 10_000, () => {
        const seen = look();
        return seen.server !== undefined && seen.markerOnLoopback ? seen : undefined;
      });
    } finally {
      loopback.stop();
    }
  } finally {
    wire.stop();
  }
}
