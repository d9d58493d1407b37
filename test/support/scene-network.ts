import { writeFileSync } from "node:fs";
import path from "node:path";
import { isIPv6 } from "node:net";
import { planWorkload } from "../../src/certificate/plan";
import { identityKey, type ServiceIdentity } from "../../src/model/identity";
import { systemClock } from "../../src/runtime/clock";
import { watchedLog } from "./told-errors";
import { createWorkloadSecrets, rootsOf } from "../../src/runtime/secrets/workload-secrets";
import { type EncodedResource, resourcesOf } from "../../src/xds/resource";
import { type AdsPipe, startAdsPipe } from "./ads-pipe";
import { throwAwayAuthority, TRUST_DOMAIN } from "./mesh";
import { createNetwork, type Network, type NetworkPod } from "./netns";
import type { TestObject } from "./objects";
import { startProgram } from "./pod-process";
import { podAddresses, podName, type Scene } from "./scene";
import type { ResolvedCall } from "./scene-calls";
import type { AppAnswer, SceneOperations } from "./scene-operations";
import {
  excludedPorts,
  exclusionRules,
  type Family,
  FAMILIES,
  hostNames,
  serviceRules,
  servedPorts,
} from "./scene-services";
import { createWorkshop, redirect, type Sidecar, startSidecar, type Workshop } from "./sidecar";
import { waitFor } from "./wait";
import { proxyOf } from "./world";

/** How many pods a network must be able to play at once. */
export interface Cast {
  readonly meshed: number;
  readonly plain: number;
}

/** A network namespace with an application, which plays one pod of a scene after the other. */
interface Actor {
  readonly place: NetworkPod;
  readonly app: SceneOperations;
  /** Its TCP traffic goes through a sidecar. */
  readonly redirected: boolean;
}

const VALIDITY_MS = 3_600_000;

const RESTORE: Readonly<Record<Family, string>> = { ipv4: "iptables-restore", ipv6: "ip6tables-restore" };

/**
 * Plays scenes for real: pods are network namespaces with the addresses of the scene, each sidecar a real Envoy with the
 * scene's compiled configuration and certificates of the product's authority. Namespaces and applications are made once
 * and play all scenes; Envoys are started anew for each.
 */
export class SceneNetwork {
  private readonly parts = new Map<string, Actor>();
  private readonly sidecars = new Map<string, Sidecar>();
  private readonly issued = new Map<string, readonly EncodedResource[]>();
  private readonly authority = throwAwayAuthority();
  private readonly secrets = createWorkloadSecrets({
    roots: rootsOf(this.authority),
    trustDomain: TRUST_DOMAIN,
    validityMs: VALIDITY_MS,
    clock: systemClock,
    log: watchedLog,
  });

  private constructor(
    private readonly network: Network,
    private readonly workshop: Workshop,
    private readonly ads: AdsPipe,
    private readonly actors: readonly Actor[],
  ) {}

  /** Makes the namespaces and starts the applications. */
  static async start(cast: Cast): Promise<SceneNetwork> {
    const names = (word: string, count: number): string[] =>
      Array.from({ length: count }, (_, index) => `${word}-${index}`);
    const meshed = names("meshed", cast.meshed);
    const plain = names("plain", cast.plain);
    const workshop = await createWorkshop();
    writeFileSync(resolverFile(workshop), "nameserver 127.0.0.1\n");
    const ads = await startAdsPipe(path.join(workshop.folder, "ads.sock"));
    try {
      const network = await createNetwork([...meshed, ...plain]);
      const actors = [...meshed, ...plain].map(name => {
        const place = network.pod(name);
        const redirected = meshed.includes(name);
        if (redirected) redirect(place);
        for (const family of FAMILIES) {
          place.run([RESTORE[family], "--noflush"], serviceRules([], family, true));
          place.run([RESTORE[family], "--noflush"], exclusionRules([], true));
        }
        return { place, app: startProgram(place, "scene-app.ts") as SceneOperations, redirected };
      });
      return new SceneNetwork(network, workshop, ads, actors);
    } catch (error) {
      ads.close();
      workshop.remove();
      throw error;
    }
  }

  /** Everything that any Envoy refused. */
  get nacks(): readonly string[] {
    return this.ads.nacks.map(({ node, message }) => `${node}: ${message}`);
  }

  /** Ends the scene before and begins another. Resolves when every Envoy has its configuration. */
  async begin(scene: Scene, calls: readonly ResolvedCall[]): Promise<void> {
    await Promise.all([...this.sidecars.values()].map(sidecar => sidecar.stop()));
    this.sidecars.clear();
    this.parts.clear();
    for (const { place } of this.actors) setAddresses(place, []);
    await this.go(scene, calls);
  }

  /** Brings the stage to what the scene is now. Resolves when every Envoy has acknowledged it. */
  async go(scene: Scene, calls: readonly ResolvedCall[]): Promise<void> {
    const present = new Set(scene.pods.map(podName));
    for (const name of [...this.parts.keys()].filter(part => !present.has(part))) {
      await this.sidecars.get(name)?.stop();
      this.sidecars.delete(name);
      setAddresses(this.part(name).place, []);
      this.parts.delete(name);
    }
    for (const pod of scene.pods) this.engage(podName(pod), scene.meshed.includes(podName(pod)));
    this.wire(scene);
    await Promise.all(scene.pods.map(pod => this.serve(scene, pod, calls)));
    for (const pod of scene.pods) this.configure(scene, pod);
    await Promise.all(scene.meshed.map(name => this.startSidecar(name)));
    await this.settled(scene);
  }

  private async settled(scene: Scene): Promise<void> {
    await waitFor(
      "acknowledgements of the scene",
      () => scene.meshed.every(name => this.ads.settled(this.part(name).place.name)) || this.failed(),
      60_000,
    );
  }

  /** Gives the Envoys another configuration; pods, addresses and Services stay as they are. */
  async turn(scene: Scene): Promise<void> {
    for (const pod of scene.pods) this.configure(scene, pod);
    await this.settled(scene);
  }

  /** Makes a call from the pod's application. `pod` of the answer is that of the scene. */
  async call(call: ResolvedCall): Promise<AppAnswer> {
    const caller = this.part(podName(call.from));
    const credentials = call.as === undefined ? {} : { credentials: this.credentials(call.as) };
    const answer = await caller.app.call({ ...call, ...credentials });
    const pod = [...this.parts].find(([, { place }]) => place.name === answer.pod)?.[0] ?? answer.pod;
    return { ...answer, pod };
  }

  async close(): Promise<void> {
    this.secrets.stop();
    await this.network.close();
    this.ads.close();
    this.workshop.remove();
  }

  private failed(): false {
    if (this.nacks.length > 0) throw new Error(`refused by Envoy: ${this.nacks.join("; ")}`);
    return false;
  }

  private part(pod: string): Actor {
    const actor = this.parts.get(pod);
    if (actor === undefined) throw new Error(`nobody plays ${pod}`);
    return actor;
  }

  private engage(pod: string, meshed: boolean): void {
    if (this.parts.has(pod)) return;
    const busy = new Set(this.parts.values());
    const actor = this.actors.find(candidate => candidate.redirected === meshed && !busy.has(candidate));
    if (actor === undefined) throw new Error(`too few namespaces: none left for ${pod}`);
    this.parts.set(pod, actor);
  }

  /** Addresses of the pods, and Services as the node would carry them. */
  private wire(scene: Scene): void {
    for (const pod of scene.pods) {
      const { place } = this.part(podName(pod));
      setAddresses(place, podAddresses(pod));
      for (const family of FAMILIES) {
        place.run([RESTORE[family], "--noflush"], serviceRules(scene.objects, family, false));
        place.run([RESTORE[family], "--noflush"], exclusionRules(excludedPorts(pod), false));
      }
    }
  }

  private async serve(scene: Scene, pod: TestObject, calls: readonly ResolvedCall[]): Promise<void> {
    const { app } = this.part(podName(pod));
    await app.resolve(Object.fromEntries(hostNames(scene.objects)));
    for (const { port, greets } of servedPorts(scene.objects, pod, calls)) await app.serve(port, greets);
  }

  private configure(scene: Scene, pod: TestObject): void {
    const name = podName(pod);
    if (!scene.meshed.includes(name)) return;
    const resources = [...scene.resources(name), ...this.certificates(proxyOf(pod).identity)];
    this.ads.set(this.part(name).place.name, resources);
  }

  private async startSidecar(name: string): Promise<void> {
    if (this.sidecars.has(name)) return;
    const socket = path.join(this.workshop.folder, "ads.sock");
    const { place } = this.part(name);
    this.sidecars.set(
      name,
      await startSidecar(place, this.workshop, socket, { resolver: resolverFile(this.workshop) }),
    );
  }

  private credentials(account: string): { readonly cert: string; readonly key: string } {
    const [namespace = "", serviceAccount = ""] = account.split("/");
    const validity = { now: Date.now(), validityMs: VALIDITY_MS };
    const issued = this.authority.issue(planWorkload({ namespace, serviceAccount }, TRUST_DOMAIN, validity));
    return { cert: issued.certPem, key: issued.keyPem };
  }

  private certificates(identity: ServiceIdentity): readonly EncodedResource[] {
    const key = identityKey(identity);
    const known = this.issued.get(key);
    if (known !== undefined) return known;
    const resources: EncodedResource[] = [];
    this.secrets.subscribe(identity, set => resources.push(...resourcesOf(set)));
    this.issued.set(key, resources);
    return resources;
  }
}

/** The application of a pod is also its name server. */
function resolverFile(workshop: Workshop): string {
  return path.join(workshop.folder, "resolv.conf");
}

/** Gives a namespace exactly these addresses, and everything else is one link away. */
function setAddresses(place: NetworkPod, addresses: readonly string[]): void {
  const ipv4 = addresses.find(address => !isIPv6(address));
  const ipv6 = addresses.find(isIPv6);
  const commands = [
    "addr flush dev eth0 scope global",
    ...addresses.map(address =>
      isIPv6(address) ? `addr add ${address}/128 dev eth0 nodad` : `addr add ${address}/32 dev eth0`,
    ),
    ...(ipv4 === undefined ? [] : [`route replace default dev eth0 src ${ipv4}`]),
    ...(ipv6 === undefined ? [] : ["route replace ::/0 dev eth0"]),
    // An address may have been played by another namespace in the scene before.
    "neigh flush dev eth0",
  ];
  place.run(["ip", "-batch", "-"], `${commands.join("\n")}\n`);
}
