/** The benchmark's mesh as one that denies what no policy allows, and the changes of its policy. */
import { DENY, routeGroup, trafficSplit, trafficTarget } from "../support/traffic-objects";
import { NAMESPACES, PODS_PER_SERVICE, type BenchMesh } from "./mesh";

const API = { target: "access.smi-spec.io/v1alpha3", specs: "specs.smi-spec.io/v1alpha4" };
const SPLITS = "split.smi-spec.io/v1alpha4";
const NAMESPACE = "ns0";
const GROUP = "paths";

function collection(apiVersion: string, namespace: string, plural: string): string {
  return `/apis/${apiVersion}/namespaces/${namespace}/${plural}`;
}

const namespaceOf = (service: number): string => `ns${service % NAMESPACES}`;

/** Paths that the first Service's route group allows; another one each round. */
function paths(round: number): readonly Readonly<Record<string, unknown>>[] {
  return [
    { name: "read", pathRegex: "/read", methods: ["GET"] },
    { name: "write", pathRegex: `/write${round}`, methods: ["POST"] },
  ];
}

/**
 * Every Service may be called by the account of the next one; what the first Service allows is a route group of its own,
 * and it is the root of a split. Changes of TrafficTarget and HTTPRouteGroup concern its pods, a weight concerns all.
 */
export class BenchPolicy {
  private targets = 0;
  private split = false;
  private rounds = 0;

  constructor(private readonly mesh: BenchMesh) {}

  /** Writes the policy of Services that have none yet. Nothing of it has an effect while the mesh is permissive. */
  async grow(): Promise<void> {
    const { kube } = this.mesh.api;
    const services = this.mesh.pods.length / PODS_PER_SERVICE;
    if (this.targets === 0) {
      await kube.create(
        collection(API.specs, NAMESPACE, "httproutegroups"),
        routeGroup(NAMESPACE, GROUP, paths(0)),
      );
    }
    for (; this.targets < services; this.targets += 1) {
      const [own, next] = [this.targets, (this.targets + 1) % services];
      const namespace = namespaceOf(own);
      const target = trafficTarget({
        name: `s${own}`,
        to: `${namespace}/s${own}`,
        from: [`${namespaceOf(next)}/s${next}`],
        rules: [own === 0 ? `HTTPRouteGroup/${GROUP}` : "TCPRoute/all"],
      });
      await kube.create(collection(API.target, namespace, "traffictargets"), target);
    }
    if (this.split) return;
    this.split = true;
    const split = trafficSplit({ namespace: NAMESPACE, name: "s0", root: "s0", shares: this.shares(0) });
    await kube.create(collection(SPLITS, NAMESPACE, "trafficsplits"), split);
  }

  /** Turns permissive mode off or on again. */
  async deny(on: boolean): Promise<void> {
    await this.mesh.configure(on ? DENY : { traffic: { enablePermissiveTrafficPolicyMode: true } });
  }

  /** Another account may call the first Service, or may no longer. */
  async changeTarget(): Promise<void> {
    const sources = [this.source(1), ...((this.rounds += 1) % 2 === 1 ? [this.source(2)] : [])];
    const path = `${collection(API.target, NAMESPACE, "traffictargets")}/s0`;
    await this.mesh.api.kube.mergePatch(path, { spec: { sources } });
  }

  /** The first Service allows another path. */
  async changeGroup(): Promise<void> {
    const path = `${collection(API.specs, NAMESPACE, "httproutegroups")}/${GROUP}`;
    await this.mesh.api.kube.mergePatch(path, { spec: { matches: paths((this.rounds += 1)) } });
  }

  /** The weights of the first Service's backends change. */
  async changeWeight(): Promise<void> {
    const shares = this.shares((this.rounds += 1) % 100);
    const backends = Object.entries(shares).map(([service, weight]) => ({ service, weight }));
    const path = `${collection(SPLITS, NAMESPACE, "trafficsplits")}/s0`;
    await this.mesh.api.kube.mergePatch(path, { spec: { backends } });
  }

  private source(service: number): object {
    return { kind: "ServiceAccount", name: `s${service}`, namespace: namespaceOf(service) };
  }

  /** Backends of the first Service's namespace: itself and the next one there. */
  private shares(percent: number): Readonly<Record<string, number>> {
    return { s0: 100 - percent, [`s${NAMESPACES}`]: percent };
  }
}
