import path from "node:path";
import { encodeLeaf } from "../../src/envoy/encode";
import type { ServiceIdentity } from "../../src/model/identity";
import { PORT_METRICS } from "../../src/model/mesh-words";
import type { Party } from "../../src/model/owner";
import type { Leaf } from "../../src/policy/types";
import { type Authority, createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { createWorkloadSecrets, rootsOf } from "../../src/runtime/secrets/workload-secrets";
import { systemClock } from "../../src/runtime/clock";
import { type EncodedResource, resourcesOf } from "../../src/xds/resource";
import { type AdsPipe, startAdsPipe } from "./ads-pipe";
import { createNetwork, type Network } from "./netns";
import type { Operations } from "./pod-operations";
import { startApp } from "./pod-process";
import { watchedLog } from "./told-errors";
import { createWorkshop, redirect, type Sidecar, startSidecar, type Workshop } from "./sidecar";

/** Pods with applications and, where they have an identity, real sidecars; configured leaf by leaf by the test. */
export interface Mesh {
  readonly network: Network;
  readonly ads: AdsPipe;
  app(pod: string): Operations;
  sidecar(pod: string): Sidecar;
  ip(pod: string): string;
  ip6(pod: string): string;
  /** Issues what workload certificates of this mesh are issued by. */
  readonly authority: Authority;
  /** Gives a pod's sidecar exactly these leaves (and its certificates). */
  configure(pod: string, leaves: readonly Leaf[]): void;
  close(): Promise<void>;
}

/** The pods of a mesh: name → identity, undefined for a pod outside of the mesh. */
export type MeshPods = Readonly<Record<string, ServiceIdentity | undefined>>;

/** Pods whose sidecars count their requests, and as whom. */
export type Parties = Readonly<Record<string, Party>>;

/** Trust domain of test meshes. */
export const TRUST_DOMAIN = "cluster.local";

/** A certificate authority that nothing outside of the test trusts. */
export function throwAwayAuthority(): Authority {
  const root = createRoot(Date.now());
  return loadAuthority(root.certPem, root.keyPem);
}

class RunningMesh implements Mesh {
  private readonly apps = new Map<string, Operations>();
  private readonly sidecars = new Map<string, Sidecar>();
  private readonly issued = new Map<string, readonly EncodedResource[]>();
  readonly authority = throwAwayAuthority();
  private readonly secrets;

  constructor(
    private readonly members: { readonly pods: MeshPods; readonly parties: Parties },
    readonly network: Network,
    readonly ads: AdsPipe,
    private readonly workshop: Workshop,
  ) {
    this.secrets = createWorkloadSecrets({
      roots: rootsOf(this.authority),
      trustDomain: TRUST_DOMAIN,
      validityMs: 3_600_000,
      clock: systemClock,
      log: watchedLog,
    });
  }

  async start(socket: string): Promise<void> {
    const { pods, parties } = this.members;
    const meshed = Object.keys(pods).filter(name => pods[name] !== undefined);
    for (const name of Object.keys(pods)) this.apps.set(name, startApp(this.network.pod(name)));
    for (const name of meshed) {
      this.configure(name, []);
      redirect(
        this.network.pod(name),
        parties[name] === undefined ? {} : { inboundDirectPorts: [PORT_METRICS] },
      );
    }
    const sidecars = meshed.map(name => {
      const party = parties[name];
      const options = party === undefined ? {} : { party };
      return startSidecar(this.network.pod(name), this.workshop, socket, options);
    });
    for (const [index, sidecar] of (await Promise.all(sidecars)).entries()) {
      this.sidecars.set(meshed[index] ?? "", sidecar);
    }
  }

  app(pod: string): Operations {
    return found(this.apps, pod);
  }

  sidecar(pod: string): Sidecar {
    return found(this.sidecars, pod);
  }

  ip(pod: string): string {
    return this.network.pod(pod).ip;
  }

  ip6(pod: string): string {
    return this.network.pod(pod).ip6;
  }

  configure(pod: string, leaves: readonly Leaf[]): void {
    const identity = this.members.pods[pod];
    if (identity === undefined) throw new Error(`${pod} has no sidecar`);
    this.ads.set(pod, [...leaves.map(encodeLeaf), ...this.certificates(pod, identity)]);
  }

  /** The same certificate for as long as the mesh runs: what is tested here is not rotation. */
  private certificates(pod: string, identity: ServiceIdentity): readonly EncodedResource[] {
    const known = this.issued.get(pod);
    if (known !== undefined) return known;
    const resources: EncodedResource[] = [];
    this.secrets.subscribe(identity, set => resources.push(...resourcesOf(set)));
    this.issued.set(pod, resources);
    return resources;
  }

  async close(): Promise<void> {
    this.secrets.stop();
    await this.network.close();
    this.ads.close();
    this.workshop.remove();
  }
}

function found<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`nothing of that kind for ${name}`);
  return value;
}

/** Starts the pods, their applications and sidecars. Everything ends with {@link Mesh.close} or the process. */
export async function startMesh(pods: MeshPods, parties: Parties = {}): Promise<Mesh> {
  const workshop = await createWorkshop();
  const socket = path.join(workshop.folder, "ads.sock");
  const ads = await startAdsPipe(socket);
  const network = await createNetwork(Object.keys(pods)).catch((error: unknown) => {
    ads.close();
    workshop.remove();
    throw error;
  });
  const mesh = new RunningMesh({ pods, parties }, network, ads, workshop);
  try {
    await mesh.start(socket);
  } catch (error) {
    await mesh.close();
    throw error;
  }
  return mesh;
}
