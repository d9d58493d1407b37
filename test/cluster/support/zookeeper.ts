import { until } from "../../../hack/cluster/progress";
import { IMAGES } from "../../../hack/images/names";
import { CHAIN_POD_IP } from "../../../src/injector/iptables";
import { ANNOTATION_PERMISSIVE, INIT_CONTAINER } from "../../../src/model/mesh-words";
import { serviceAccount } from "./manifests";
import type { TestNamespace } from "./namespace";
import { tcpRoute, trafficTarget } from "./smi-objects";

/** Name of the StatefulSet, its Service and its account. */
const NAME = "zk";
/** Where clients connect. */
export const CLIENT_PORT = 2181;
/** Where followers connect to their leader, and where members elect one. */
const PEER_PORTS = [2888, 3888] as const;
/** Pods of the StatefulSet. */
export const MEMBERS = ["zk-0", "zk-1", "zk-2"] as const;
/** Milliseconds for three Java machines to start and to agree, on a machine with a good deal else to do. */
const TOGETHER_MS = 300_000;

interface InitView {
  readonly spec: {
    readonly initContainers: readonly { readonly name: string; readonly command?: readonly string[] }[];
  };
}

function container(env: readonly object[], args: readonly string[]): object {
  return {
    name: "app",
    image: IMAGES.zookeeper,
    imagePullPolicy: "IfNotPresent",
    env,
    args,
    resources: { requests: { cpu: "5m", memory: "64Mi" } },
  };
}

function bystander(name: string): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: {
      serviceAccountName: name,
      terminationGracePeriodSeconds: 1,
      containers: [container([], ["sleep", "infinity"])],
    },
  };
}

function memberSet(namespace: string): object {
  const servers = MEMBERS.map((name, n) => {
    return `server.${n}=${name}.${NAME}.${namespace}.svc.cluster.local:${PEER_PORTS.join(":")}`;
  });
  const labels = { app: NAME };
  const template = {
    metadata: { labels },
    spec: {
      serviceAccountName: NAME,
      terminationGracePeriodSeconds: 5,
      containers: [container([{ name: "ZOO_SERVERS", value: servers.join("\n") }], [])],
    },
  };
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: NAME },
    spec: {
      serviceName: NAME,
      replicas: MEMBERS.length,
      // None has a leader to become ready by before the others are there.
      podManagementPolicy: "Parallel",
      selector: { matchLabels: labels },
      template,
    },
  };
}

/** The Service without an address by which members and clients know each member. */
function headless(): object {
  const ports = [CLIENT_PORT, ...PEER_PORTS].map(port => ({ name: `tcp-${port}`, port, appProtocol: "tcp" }));
  const spec = { clusterIP: "None", publishNotReadyAddresses: true, selector: { app: NAME }, ports };
  return { apiVersion: "v1", kind: "Service", metadata: { name: NAME }, spec };
}

/** What a member says of itself. */
export interface Standing {
  readonly name: string;
  readonly mode: "leader" | "follower";
}

/** Three members of a ZooKeeper in a namespace of the mesh, one pod that may be their client, and one that may not. */
export class ZooKeeper {
  public constructor(private readonly namespace: TestNamespace) {}

  /** Applies it all, policies first: nobody is allowed anything else. The mesh has to be in PodIP mode. */
  public async start(): Promise<void> {
    const { namespace } = this;
    await namespace.mesh.kubectl.must([
      "annotate",
      "namespace",
      namespace.name,
      `${ANNOTATION_PERMISSIVE}=disabled`,
    ]);
    const grant = (name: string, source: string): object =>
      trafficTarget(name, {
        destination: NAME,
        sources: [source],
        rules: [{ kind: "TCPRoute", name }],
        namespace: namespace.name,
      });
    await namespace.apply(
      ...[NAME, "client", "stranger"].map(serviceAccount),
      tcpRoute("members", PEER_PORTS),
      tcpRoute("clients", [CLIENT_PORT]),
      grant("members", NAME),
      grant("clients", "client"),
      headless(),
      memberSet(namespace.name),
      bystander("client"),
      bystander("stranger"),
    );
    await this.inPodIpMode();
  }

  /** Waits until one member leads and all others follow. */
  public together(): Promise<readonly Standing[]> {
    return until("a leader with two followers", TOGETHER_MS, async () => {
      const standings = await Promise.all(MEMBERS.map(name => this.standing(name)));
      const found = standings.flatMap(standing => standing ?? []);
      const leaders = found.filter(({ mode }) => mode === "leader");
      return found.length === MEMBERS.length && leaders.length === 1 ? found : undefined;
    });
  }

  /** Runs a command of ZooKeeper's own client in the pod that may; gives its output, `undefined` when it fails. */
  public async client(member: string, ...command: readonly string[]): Promise<string | undefined> {
    const server = `${member}.${NAME}:${CLIENT_PORT}`;
    const call = ["zkCli.sh", "-waitforconnection", "-timeout", "60000", "-server", server, ...command];
    const { code, stdout } = await this.execute("client", call);
    return code === 0 ? stdout : undefined;
  }

  /** What a member's client port answers a pod that asks whether it is well; empty: nothing. */
  public async knock(from: string, member: string, port = CLIENT_PORT): Promise<string> {
    const script = `exec 3<>/dev/tcp/${member}.${NAME}/${port} && echo ruok >&3 && timeout 20 cat <&3`;
    return (await this.execute(from, ["bash", "-c", script])).stdout.trim();
  }

  private async standing(name: string): Promise<Standing | undefined> {
    const script = `exec 3<>/dev/tcp/127.0.0.1/${CLIENT_PORT} && echo srvr >&3 && timeout 20 cat <&3`;
    // In PodIP mode the application's own loopback is none of the sidecar's affair.
    const { stdout } = await this.execute(name, ["bash", "-c", script]);
    const mode = /^Mode: (leader|follower)$/m.exec(stdout)?.[1];
    return mode === "leader" || mode === "follower" ? { name, mode } : undefined;
  }

  private execute(
    pod: string,
    command: readonly string[],
  ): Promise<{ readonly code: number; readonly stdout: string }> {
    const { mesh, name } = this.namespace;
    return mesh.kubectl.attempt(["-n", name, "exec", pod, "-c", "app", "--", ...command]);
  }

  /** Each replica of the webhook hears of the mode by itself: pods of the old one are made anew. */
  private inPodIpMode(): Promise<true> {
    return until("members in PodIP mode", TOGETHER_MS, async () => {
      const modes = await Promise.all(MEMBERS.map(name => this.isInPodIpMode(name)));
      const wrong = MEMBERS.filter((_, n) => modes[n] === false);
      if (wrong.length > 0)
        await this.namespace.kubectl(["delete", "pod", "--grace-period=0", "--force", ...wrong]);
      return modes.every(mode => mode === true) ? true : undefined;
    });
  }

  private async isInPodIpMode(name: string): Promise<boolean | undefined> {
    const found = await this.namespace.mesh.kubectl.attempt([
      "-n",
      this.namespace.name,
      "get",
      "pod",
      name,
      "-o",
      "json",
    ]);
    if (found.code !== 0) return undefined;
    const { initContainers } = (JSON.parse(found.stdout) as InitView).spec;
    const init = initContainers.find(each => each.name === INIT_CONTAINER);
    return init?.command?.some(word => word.includes(CHAIN_POD_IP)) === true;
  }
}
