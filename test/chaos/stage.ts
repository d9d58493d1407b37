/** A mesh of real parts without a kubelet: API server, etcd, control plane, Envoys in network namespaces, and a crowd of simulated proxies. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { FlowOperations } from "../support/flow-operations";
import { freePort } from "../support/kube-apiserver";
import { createNetwork, type Network, type NetworkPod } from "../support/netns";
import { startProgram } from "../support/pod-process";
import { PodTokens } from "../support/pod-tokens";
import { createWorkshop, type Workshop } from "../support/sidecar";
import type { Parties } from "./agreement";
import { ControlPlaneProcesses } from "./control-plane";
import { Crowd } from "./crowd";
import type { FlowPlan } from "./judge";
import { Link } from "./link";
import { ChaosObjects, SERVED_PORT, SERVICE_IPS, type MeshPod } from "./objects";
import { ChaosSidecar } from "./sidecars";

/** Pods with a sidecar, and the account of each. */
const CAST = {
  buyer: ["web", "buyer"],
  guest: ["web", "guest"],
  thief: ["web", "thief"],
  "store-0": ["shop", "store"],
  "store-1": ["shop", "store"],
} as const;
const SERVERS = ["store-0", "store-1"];
/** Without a sidecar. */
const STRANGER = "stranger";
/** How often each flow begins a request, milliseconds. */
const EVERY_MS = 200;

/** How much there is. */
export interface Size {
  readonly replicas: number;
  /** Simulated proxies. */
  readonly crowd: number;
  /** Variables of the environment of the control plane's processes. */
  readonly env?: Readonly<Record<string, string>>;
  /** Life of workload certificates, as MeshConfig says it; default: two minutes. */
  readonly leafLife?: string;
}

function flowsOf(network: Network): readonly FlowPlan[] {
  const flow = (
    from: string,
    service: keyof typeof SERVICE_IPS,
    rule: FlowPlan["rule"],
    servers: readonly string[],
  ): FlowPlan => ({
    name: `${from}-${service}`,
    from,
    host: SERVICE_IPS[service],
    port: 80,
    rule,
    through: [from, ...servers],
  });
  return [
    flow("buyer", "store", "always", SERVERS),
    flow("buyer", "first", "always", ["store-0"]),
    flow("buyer", "second", "always", ["store-1"]),
    flow("guest", "store", "granted", SERVERS),
    flow("thief", "store", "permissive", SERVERS),
    {
      name: STRANGER,
      from: STRANGER,
      host: network.pod("store-0").ip,
      port: SERVED_PORT,
      rule: "never",
      through: [],
    },
  ];
}

interface Parts {
  readonly folder: string;
  readonly api: PodTokens;
  readonly objects: ChaosObjects;
  readonly controlPlane: ControlPlaneProcesses;
  readonly sidecars: readonly ChaosSidecar[];
  readonly network: Network;
  readonly workshop: Workshop;
  readonly crowd: Crowd;
  readonly crowdLink: Link;
  readonly members: readonly MeshPod[];
  readonly apps: ReadonlyMap<string, FlowOperations>;
}

/** The parts, running. */
export class Stage {
  readonly folder: string;
  readonly api: PodTokens;
  readonly objects: ChaosObjects;
  readonly controlPlane: ControlPlaneProcesses;
  readonly sidecars: readonly ChaosSidecar[];
  readonly flows: readonly FlowPlan[];

  private constructor(private readonly parts: Parts) {
    this.folder = parts.folder;
    this.api = parts.api;
    this.objects = parts.objects;
    this.controlPlane = parts.controlPlane;
    this.sidecars = parts.sidecars;
    this.flows = flowsOf(parts.network);
  }

  /** Brings everything up; `onFinding` hears of processes that end by themselves. */
  static async start(size: Size, onFinding: (text: string) => void): Promise<Stage> {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-chaos-"));
    const closing: (() => void | Promise<void>)[] = [];
    try {
      return await Stage.build(size, folder, { onFinding, closing });
    } catch (error) {
      for (const close of closing.reverse()) await close();
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  private static async build(
    size: Size,
    folder: string,
    { onFinding, closing }: { onFinding: (text: string) => void; closing: (() => void | Promise<void>)[] },
  ): Promise<Stage> {
    const api = await PodTokens.start();
    closing.push(() => api.stop());
    const network = await createNetwork([...Object.keys(CAST), STRANGER]);
    closing.push(() => network.close());
    const workshop = await createWorkshop();
    closing.push(() => {
      workshop.remove();
    });
    const meshed = Object.entries(CAST).map(([name, [namespace, serviceAccount]]): MeshPod => {
      const app = SERVERS.includes(name) ? "store" : name;
      return { name, identity: { namespace, serviceAccount }, ip: network.pod(name).ip, app };
    });
    const members = Array.from({ length: size.crowd }, (_, index): MeshPod => {
      const identity = { namespace: "crowd", serviceAccount: `one-${index % 4}` };
      return { name: `one-${index}`, identity, ip: `10.100.0.${index + 1}` };
    });
    const objects = await ChaosObjects.fill(api, [...meshed, ...members], size.leafLife);
    const node = ["--require", path.join(__dirname, "../support/called-addresses.cjs")];
    const place = { folder, onFinding, node, ...(size.env === undefined ? {} : { env: size.env }) };
    const controlPlane = await ControlPlaneProcesses.start(api.server, size.replicas, place);
    closing.push(() => controlPlane.stop());
    const sidecars = meshed.map(
      ({ name }) =>
        new ChaosSidecar({
          place: network.pod(name),
          workshop,
          token: objects.token(name),
          root: controlPlane.root,
          ads: new Link(() => controlPlane.connect()),
          onFinding,
        }),
    );
    closing.push(() => {
      for (const sidecar of sidecars) sidecar.close();
    });
    await Promise.all(sidecars.map(sidecar => sidecar.prepare()));
    await Promise.all(sidecars.map(sidecar => sidecar.start()));
    const crowd = Crowd.start();
    closing.push(() => crowd.stop());
    const crowdLink = new Link(() => controlPlane.connect());
    const port = await freePort();
    await crowdLink.listen(port);
    crowd.join({
      address: `127.0.0.1:${port}`,
      root: controlPlane.root,
      members: members.map(({ name }) => ({ name, token: objects.token(name) })),
    });
    const names = ["buyer", "guest", "thief", STRANGER, ...SERVERS];
    const apps = new Map(
      names.map(name => [name, startProgram(network.pod(name), "flow-app.ts") as FlowOperations]),
    );
    for (const name of SERVERS) await apps.get(name)?.serve(SERVED_PORT);
    return new Stage({
      ...{ folder, api, objects, controlPlane, sidecars },
      ...{ network, workshop, crowd, crowdLink, members, apps },
    });
  }

  /** Every flow begins a request each `everyMs`, milliseconds. */
  async begin(everyMs = EVERY_MS): Promise<void> {
    for (const { name, from, host, port } of this.flows)
      await this.parts.apps.get(from)?.begin({ name, host, port, everyMs });
  }

  /** What has ended since the last time, by flow. */
  async take(): ReturnType<FlowOperations["take"]> {
    const taken = await Promise.all([...this.parts.apps.values()].map(app => app.take()));
    return Object.fromEntries(taken.flatMap(each => Object.entries(each)));
  }

  /** Links of proxies to ADS: those of the sidecars, and that of the crowd. */
  links(proxies: string): readonly Link[] {
    const own = this.sidecars
      .filter(({ name }) => proxies === "all" || proxies === name)
      .map(({ ads }) => ads);
    return proxies === "all" ? [...own, this.parts.crowdLink] : own;
  }

  /** Network namespace of a pod of the run. */
  place(name: string): NetworkPod {
    return this.parts.network.pod(name);
  }

  sidecar(name: string): ChaosSidecar {
    const found = this.sidecars.find(sidecar => sidecar.name === name);
    if (found === undefined) throw new Error(`no sidecar ${name}`);
    return found;
  }

  /** Who can be asked what he holds. */
  get parties(): Parties {
    const { crowd, members } = this.parts;
    return {
      controlPlane: this.controlPlane,
      sidecars: this.sidecars.map(({ name, admin }) => ({ pod: this.objects.pod(name), admin })),
      crowd: members.map(({ name }) => this.objects.pod(name)),
      held: () => crowd.held(),
    };
  }

  /** Everything that the product's processes have written. */
  get outputs(): readonly string[] {
    const logs = readdirSync(this.folder).filter(name => name.endsWith(".log"));
    return [
      ...logs.map(name => path.join(this.folder, name)),
      ...this.sidecars.flatMap(({ outputFiles }) => outputFiles),
    ];
  }

  /** Ends everything; `keep` leaves the logs of the control plane for whoever looks for a cause. */
  async stop(keep: boolean): Promise<void> {
    const { crowd, crowdLink, network, workshop } = this.parts;
    for (const sidecar of this.sidecars) sidecar.close();
    crowdLink.close();
    await crowd.stop();
    await network.close();
    await this.controlPlane.stop();
    await this.api.stop();
    if (keep) return;
    workshop.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
