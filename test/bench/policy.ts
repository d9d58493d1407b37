/** The benchmark's access rules and splits, and how they change. */
import { routeGroup, trafficSplit, trafficTarget } from "../support/traffic-objects";
import { each, namespaceOf, podsOf, SERVICES_PER_NAMESPACE, type BenchMesh } from "./mesh";

/**
 * `rules`: access rules are in force and a proxy is told of what it may call. `wide`: they are in force and a proxy is told of
 * all the same, the default. `open`: all may call all.
 */
export type Mode = "rules" | "wide" | "open";

const TRAFFIC: Readonly<Record<Mode, Readonly<Record<string, unknown>>>> = {
  rules: { enablePermissiveTrafficPolicyMode: false, enableEgress: false, clientScope: "Permitted" },
  wide: { enablePermissiveTrafficPolicyMode: false, enableEgress: false, clientScope: "Mesh" },
  open: { enablePermissiveTrafficPolicyMode: true, enableEgress: true, clientScope: "Mesh" },
};

const API = {
  traffictargets: "access.smi-spec.io/v1alpha3",
  httproutegroups: "specs.smi-spec.io/v1alpha4",
  trafficsplits: "split.smi-spec.io/v1alpha4",
} as const;
/** Services that may call a Service. */
export const FAN_IN = 5;

function collection(plural: keyof typeof API, namespace: string): string {
  return `/apis/${API[plural]}/namespaces/${namespace}/${plural}`;
}

const account = (service: number): string => `${namespaceOf(service)}/s${service}`;

/**
 * A TrafficTarget and an HTTPRouteGroup for each Service: it may be called by the accounts of the five after it. One Service
 * in ten is the root of a TrafficSplit between itself and the next.
 */
export class BenchPolicy {
  private written = 0;
  private extra = 0;

  constructor(private readonly mesh: BenchMesh) {}

  /** Services that may call a Service by the policy of the beginning. */
  callers(service: number): number[] {
    return Array.from({ length: FAN_IN }, (_, i) => (service + 1 + i) % this.written);
  }

  /** Proxies of the Services that may call a Service. */
  clients(service: number): number[] {
    return this.callers(service).flatMap(podsOf);
  }

  /** Numbers of the Services that are roots of splits. */
  roots(): number[] {
    return Array.from(
      { length: Math.floor(this.written / SERVICES_PER_NAMESPACE) },
      (_, i) => i * SERVICES_PER_NAMESPACE,
    );
  }

  /** Writes the policy of all Services; those that have one get that of the mesh as it is now. */
  async grow(): Promise<void> {
    const before = this.written;
    this.written = this.mesh.services;
    if (before === this.written) return;
    const { kube } = this.mesh.api;
    await each(
      Array.from({ length: this.written }, (_, i) => i),
      async service => {
        const namespace = namespaceOf(service);
        const target = this.targetOf(service, `s${service}`, this.callers(service));
        if (service < before) {
          await kube.mergePatch(`${collection("traffictargets", namespace)}/s${service}`, {
            spec: target["spec"],
          });
          return;
        }
        const paths = [{ name: "all", pathRegex: "/.*", methods: ["GET", "POST"] }];
        await kube.create(
          collection("httproutegroups", namespace),
          routeGroup(namespace, `s${service}`, paths),
        );
        await kube.create(collection("traffictargets", namespace), target);
        if (service % SERVICES_PER_NAMESPACE !== 0) return;
        const split = { namespace, name: `s${service}`, root: `s${service}`, shares: shares(service, 50) };
        await kube.create(collection("trafficsplits", namespace), trafficSplit(split));
      },
    );
  }

  /** Puts a mode in force. */
  async enforce(mode: Mode): Promise<void> {
    await this.mesh.configure({ traffic: TRAFFIC[mode] });
  }

  /** A further TrafficTarget: another Service may call a Service. */
  async allow(service: number, caller: number): Promise<void> {
    const target = this.targetOf(service, `more-${this.extra++}`, [caller]);
    await this.mesh.api.kube.create(collection("traffictargets", namespaceOf(service)), target);
  }

  /** The weights of a split change. */
  async weigh(root: number, percent: number): Promise<void> {
    const backends = Object.entries(shares(root, percent)).map(([service, weight]) => ({ service, weight }));
    const path = `${collection("trafficsplits", namespaceOf(root))}/s${root}`;
    await this.mesh.api.kube.mergePatch(path, { spec: { backends } });
  }

  private targetOf(
    service: number,
    name: string,
    callers: readonly number[],
  ): ReturnType<typeof trafficTarget> {
    return trafficTarget({
      name,
      to: account(service),
      from: callers.map(account),
      rules: [`HTTPRouteGroup/s${service}`],
    });
  }
}

function shares(root: number, percent: number): Readonly<Record<string, number>> {
  return { [`s${root}`]: 100 - percent, [`s${root + 1}`]: percent };
}
