import { type ChildProcess, spawn, spawnSync, type StdioOptions } from "node:child_process";
import { once } from "node:events";

/** How a command in a namespace is run. */
export interface RunOptions {
  /** User and group id; 0 unless given. */
  readonly uid?: number;
  readonly stdio?: StdioOptions;
  readonly env?: NodeJS.ProcessEnv;
  /** File that the command sees as /etc/resolv.conf. */
  readonly resolver?: string;
}

/** A network namespace that stands for a pod: one interface with an IPv4 and an IPv6 address, and a default route. */
export interface NetworkPod {
  readonly name: string;
  readonly ip: string;
  readonly ip6: string;
  /** Starts a command in the namespace; it is killed when the test process dies or {@link Network.close} is called. */
  start(command: readonly [string, ...string[]], options?: RunOptions): ChildProcess;
  /** Runs a command to its end with the given standard input. Throws, with what it wrote, when it fails. */
  run(command: readonly [string, ...string[]], input?: string): string;
}

/** Several pods on one bridge, in namespaces of their own. Nothing of it is visible outside. */
export interface Network {
  pod(name: string): NetworkPod;
  close(): Promise<void>;
}

/** Runs the rest of the command line with another /etc/resolv.conf, which nobody else sees. */
const WITH_RESOLVER = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"'];

/** After so many seconds a connection that nobody has answered is forgotten by the kernel. */
const FORGET_SECONDS = 2;

/** Ends with its parent, however the parent ends. */
const WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"];

function execute(command: readonly string[], input = ""): string {
  const [program = "", ...args] = command;
  const result = spawnSync(program, args, { input, encoding: "utf8" });
  if (result.status === 0) return result.stdout;
  throw new Error(`${command.join(" ")}: ${result.error?.message ?? result.stderr}`);
}

/** A new network namespace, held open by a sleeping process. */
function holdNamespace(): ChildProcess {
  const [program = "", ...args] = [...WITH_PARENT, "unshare", "--net", "sleep", "infinity"];
  return spawn(program, args, { stdio: "ignore" });
}

function pidOf(child: ChildProcess): string {
  if (child.pid === undefined) throw new Error(`${child.spawnfile} did not start`);
  return String(child.pid);
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

const own = spawnSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" });

/** Waits until the holder has left this process's namespace. */
async function separated(holder: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const link = spawnSync("readlink", [`/proc/${pidOf(holder)}/ns/net`], { encoding: "utf8" });
    if (link.status === 0 && link.stdout !== own.stdout) return;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  throw new Error("no network namespace: tests of traffic need root");
}

class Pod implements NetworkPod {
  readonly ip: string;
  readonly ip6: string;
  readonly holder = holdNamespace();
  readonly children: ChildProcess[] = [];

  constructor(
    readonly name: string,
    index: number,
    network: { readonly ipv4: string; readonly ipv6: string } = { ipv4: "10.99.0.", ipv6: "fd99::" },
  ) {
    this.ip = `${network.ipv4}${index + 10}`;
    this.ip6 = `${network.ipv6}${(index + 10).toString(16)}`;
  }

  private enter(): string[] {
    return ["nsenter", "-t", pidOf(this.holder), "-n"];
  }

  async connect(bridge: ChildProcess, index: number): Promise<void> {
    await separated(this.holder);
    const link = ["type", "veth", "peer", "name", "eth0", "netns", pidOf(this.holder)];
    const outer = ["nsenter", "-t", pidOf(bridge), "-n", "ip"];
    execute([...outer, "link", "add", `pod${index}`, ...link]);
    execute([...outer, "link", "set", `pod${index}`, "master", "br0", "up"]);
    const commands = [
      "link set lo up",
      "link set eth0 up",
      `addr add ${this.ip}/24 dev eth0`,
      `addr add ${this.ip6}/64 dev eth0 nodad`,
      "route add default via 10.99.0.1",
      "route add default via fd99::1 dev eth0",
    ];
    this.run(["ip", "-force", "-batch", "-"], `${commands.join("\n")}\n`);
    // As in a pod: what the mesh sends to the pod's own loopback address may come from its outer address.
    this.run(["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1"]);
    // Nobody answers at Service addresses here. What a sidecar has passed on to one, before it knew of it, the kernel would
    // remember for two minutes, and let a connection of the application from the same port go the same way past the sidecar.
    this.run(["sysctl", "-eqw", `net.netfilter.nf_conntrack_tcp_timeout_syn_sent=${FORGET_SECONDS}`]);
  }

  start(command: readonly [string, ...string[]], options: RunOptions = {}): ChildProcess {
    const uid = options.uid ?? 0;
    const user = uid === 0 ? [] : ["--reuid", String(uid), "--regid", String(uid), "--clear-groups"];
    const resolver = options.resolver === undefined ? [] : [...WITH_RESOLVER, options.resolver];
    const [program = "", ...args] = [...this.enter(), ...resolver, ...WITH_PARENT, ...user, ...command];
    const child = spawn(program, args, {
      stdio: options.stdio ?? "pipe",
      env: options.env ?? process.env,
    });
    this.children.push(child);
    return child;
  }

  run(command: readonly [string, ...string[]], input?: string): string {
    return execute([...this.enter(), ...command], input);
  }
}

/** Makes a network of pods with the given names. Rejects when this process may not make network namespaces. */
export async function createNetwork(names: readonly string[]): Promise<Network> {
  const bridge = holdNamespace();
  const pods = names.map((name, index) => new Pod(name, index));
  const close = async (): Promise<void> => {
    await Promise.all(pods.flatMap(pod => pod.children).map(stop));
    await Promise.all([bridge, ...pods.map(pod => pod.holder)].map(stop));
  };
  try {
    await separated(bridge);
    const commands = [
      "link set lo up",
      "link add br0 type bridge",
      "addr add 10.99.0.1/24 dev br0",
      "addr add fd99::1/64 dev br0 nodad",
      "link set br0 up",
    ];
    execute(
      ["nsenter", "-t", pidOf(bridge), "-n", "ip", "-force", "-batch", "-"],
      `${commands.join("\n")}\n`,
    );
    for (const [index, pod] of pods.entries()) await pod.connect(bridge, index);
  } catch (error) {
    await close();
    throw error;
  }
  const byName = new Map(pods.map(pod => [pod.name, pod]));
  return {
    pod: name => {
      const found = byName.get(name);
      if (found === undefined) throw new Error(`no pod ${name}`);
      return found;
    },
    close,
  };
}

/** A machine that is not part of a cluster and can reach its pods and Services. */
export interface AttachedMachine {
  readonly place: NetworkPod;
  close(): Promise<void>;
}

/** Link of the machine at the other network. */
const MACHINE_LINK = "osm-machine";

/** Makes a machine with one link to another network namespace (its path), which leads it everywhere. IPv4 only. */
export async function attachMachine(name: string, netns: string): Promise<AttachedMachine> {
  // Addresses that are nobody's (RFC 5737).
  const machine = new Pod(name, 0, { ipv4: "198.51.100.", ipv6: "fd98::" });
  const close = async (): Promise<void> => {
    await Promise.all(machine.children.map(stop));
    await stop(machine.holder);
  };
  try {
    await separated(machine.holder);
    const outer = ["nsenter", `--net=${netns}`, "--", "ip"];
    const link = ["type", "veth", "peer", "name", "eth0", "netns", pidOf(machine.holder)];
    execute([...outer, "link", "add", MACHINE_LINK, ...link]);
    execute([...outer, "addr", "add", "198.51.100.1/24", "dev", MACHINE_LINK]);
    execute([...outer, "link", "set", MACHINE_LINK, "up"]);
    const commands = [
      "link set lo up",
      "link set eth0 up",
      `addr add ${machine.ip}/24 dev eth0`,
      "route add default via 198.51.100.1",
    ];
    machine.run(["ip", "-force", "-batch", "-"], `${commands.join("\n")}\n`);
  } catch (error) {
    await close();
    throw error;
  }
  return { place: machine, close };
}
