/** Pairs of pods in network namespaces: a caller and a server, with our sidecars, with minimal Envoys, and with none. */
import { openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { planWorkload } from "../../src/certificate/plan";
import { encodeLeaf } from "../../src/envoy/encode";
import { SIDECAR_UID } from "../../src/model/mesh-words";
import { systemClock } from "../../src/runtime/clock";
import { silentLog } from "../../src/runtime/log";
import { createWorkloadSecrets, rootsOf } from "../../src/runtime/secrets/workload-secrets";
import { resourcesOf, type EncodedResource } from "../../src/xds/resource";
import { type AdsPipe, startAdsPipe } from "../support/ads-pipe";
import { envoyAdmin } from "../support/envoy-admin";
import { throwAwayAuthority, TRUST_DOMAIN } from "../support/mesh";
import { createNetwork, type Network } from "../support/netns";
import { meshConfig, namespace, pod, service, slice, type TestObject } from "../support/objects";
import { createWorkshop, redirect, startSidecar, type Sidecar, type Workshop } from "../support/sidecar";
import { routeGroup, trafficTarget } from "../support/traffic-objects";
import { waitFor } from "../support/wait";
import { createWorld, proxyOf } from "../support/world";
import { minimalBootstrap } from "./minimal";

/** Address and port of the Service that is called; a sidecar knows it, nobody else does. */
export const SERVICE = { ip: "10.98.0.1", port: 80, host: "server.bench" };
/** Port of the application. */
export const APP_PORT = 8080;

/** The Envoys of a pair. */
export type Pids = readonly number[];

type Role = "caller" | "server";
/** Who calls, and who is called. */
export const ROLES: readonly Role[] = ["caller", "server"];

/** A caller and a server, in pods `<name>-caller` and `<name>-server`, and what stands between them. */
export type Way =
  /** Nothing. */
  | { readonly kind: "plain" }
  /** Minimal Envoys, or some with more. */
  | {
      readonly kind: "minimal";
      readonly change?: (bootstrap: JsonObject, ours: readonly EncodedResource[]) => JsonObject;
    }
  /** Our sidecars, or some with less; `counting`: as in a namespace with metrics. */
  | {
      readonly kind: "ours";
      readonly counting: boolean;
      /** Objects beside those of the pair, such as a Telemetry. */
      readonly with?: readonly TestObject[];
      readonly change?: (resource: EncodedResource) => EncodedResource;
    };

const VALIDITY_MS = 3_600_000;
/** Of everything in the mesh of a pair. */
export const NAMESPACE = "bench";

function party(name: string): { namespace: string; kind: string; name: string; pod: string } {
  return { namespace: NAMESPACE, kind: "Deployment", name, pod: `${name}-1` };
}

/** The mesh of the pair: two accounts, a Service, an access rule, as a user would write them. */
function objectsOf(callerIp: string, serverIp: string): readonly TestObject[] {
  const podOf = (name: string, ip: string): TestObject =>
    pod({ namespace: NAMESPACE, name, ips: [ip], labels: { app: name }, serviceAccount: name });
  return [
    meshConfig({ traffic: { enablePermissiveTrafficPolicyMode: false, enableEgress: true } }),
    namespace(NAMESPACE),
    podOf("caller", callerIp),
    podOf("server", serverIp),
    service({
      namespace: NAMESPACE,
      name: "server",
      clusterIPs: [SERVICE.ip],
      ports: [{ name: "http", port: SERVICE.port, targetPort: APP_PORT }],
    }),
    slice({
      namespace: NAMESPACE,
      service: "server",
      ports: [{ name: "http", port: APP_PORT }],
      endpoints: [{ address: serverIp, pod: "server" }],
    }),
    routeGroup(NAMESPACE, "all", [{ name: "all", pathRegex: "/.*", methods: ["GET"] }]),
    trafficTarget({
      name: "server",
      to: `${NAMESPACE}/server`,
      from: [`${NAMESPACE}/caller`],
      rules: ["HTTPRouteGroup/all"],
    }),
  ];
}

/** Processes of that program, or of valgrind, whose command line has that argument. */
function pidsOf(program: string, argument: string): number[] {
  return readdirSync("/proc").flatMap(name => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").split("\0");
      const runs = readlinkSync(`/proc/${name}/exe`) === program || /(val|call)grind/.test(words[0] ?? "");
      return runs && words.includes(argument) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

/** Everything that runs for the data plane's benchmark. */
export class Sidecars {
  private readonly authority = throwAwayAuthority();
  private readonly secrets = createWorkloadSecrets({
    roots: rootsOf(this.authority),
    trustDomain: TRUST_DOMAIN,
    validityMs: VALIDITY_MS,
    clock: systemClock,
    log: silentLog,
  });
  private readonly certificates = new Map<string, readonly EncodedResource[]>();
  private readonly running: Sidecar[] = [];

  private constructor(
    readonly network: Network,
    private readonly ads: AdsPipe,
    readonly workshop: Workshop,
    private readonly socket: string,
  ) {}

  /** Makes the pods of some pairs; `prepare` may put something in front of the workshop's Envoy. */
  static async start(
    pairs: readonly string[],
    prepare: (workshop: Workshop) => void = () => undefined,
  ): Promise<Sidecars> {
    const workshop = await createWorkshop();
    prepare(workshop);
    const socket = path.join(workshop.folder, "ads.sock");
    const ads = await startAdsPipe(socket);
    const names = pairs.flatMap(pair => ROLES.map(role => `${pair}-${role}`));
    const network = await createNetwork(names);
    return new Sidecars(network, ads, workshop, socket);
  }

  /** Starts what stands between the two of a pair; resolves when both are configured. */
  async run(pair: string, way: Way): Promise<Pids> {
    if (way.kind === "plain") return [];
    for (const role of ROLES) redirect(this.network.pod(`${pair}-${role}`));
    const names = ROLES.map(role => `${pair}-${role}`);
    if (way.kind === "ours") for (const role of ROLES) await this.startOurs(pair, role, way);
    else for (const role of ROLES) await this.startMinimal(pair, role, way);
    return names.flatMap(name => pidsOf(this.workshop.envoy, name));
  }

  /** Our configuration of one side of a pair, secrets left out. */
  ours(pair: string, role: Role, more: readonly TestObject[] = []): readonly EncodedResource[] {
    const [caller, server] = ROLES.map(one => this.network.pod(`${pair}-${one}`).ip);
    const objects = [...objectsOf(caller ?? "", server ?? ""), ...more];
    const world = createWorld(encodeLeaf);
    world.feed(...objects);
    const own = objects.find(({ kind, metadata }) => kind === "Pod" && metadata.name === role);
    if (own === undefined) throw new Error(`no pod ${role}`);
    return [...world.connect(own).latest().values()].flatMap(set => [...resourcesOf(set)]);
  }

  async close(): Promise<void> {
    await Promise.all(this.running.map(sidecar => sidecar.stop()));
    this.secrets.stop();
    await this.network.close();
    this.ads.close();
    this.workshop.remove();
  }

  private async startOurs(pair: string, role: Role, way: Extract<Way, { kind: "ours" }>): Promise<void> {
    const name = `${pair}-${role}`;
    const { change = (resource: EncodedResource) => resource } = way;
    this.ads.set(name, [...this.ours(pair, role, way.with).map(change), ...this.certificatesOf(role)]);
    const options = way.counting ? { party: party(role) } : {};
    this.running.push(await startSidecar(this.network.pod(name), this.workshop, this.socket, options));
    await waitFor(`configuration of ${name}`, () => this.ads.settled(name) || this.ads.nacks.length > 0);
    const [refused] = this.ads.nacks;
    if (refused !== undefined) throw new Error(`${refused.node} refuses: ${refused.message}`);
  }

  private async startMinimal(
    pair: string,
    role: Role,
    way: Extract<Way, { kind: "minimal" }>,
  ): Promise<void> {
    const name = `${pair}-${role}`;
    const { change = (bootstrap: JsonObject) => bootstrap } = way;
    const admin = path.join(this.workshop.folder, `${name}.sock`);
    const address = role === "caller" ? this.network.pod(`${pair}-server`).ip : "127.0.0.1";
    const identity = { namespace: NAMESPACE, serviceAccount: role };
    const plan = planWorkload(identity, TRUST_DOMAIN, { now: Date.now(), validityMs: VALIDITY_MS });
    const side = {
      certificate: this.authority.issue(plan),
      root: this.authority.certPem,
      admin,
      to: { address, port: APP_PORT },
    };
    await this.startEnvoy(name, change(minimalBootstrap(role, side), this.ours(pair, role)), admin);
  }

  private certificatesOf(role: Role): readonly EncodedResource[] {
    const known = this.certificates.get(role);
    if (known !== undefined) return known;
    const { identity } = proxyOf(pod({ namespace: NAMESPACE, name: role, ips: [], serviceAccount: role }));
    const resources: EncodedResource[] = [];
    this.secrets.subscribe(identity, set => resources.push(...resourcesOf(set)));
    this.certificates.set(role, resources);
    return resources;
  }

  private async startEnvoy(name: string, bootstrap: JsonObject, admin: string): Promise<void> {
    const log = path.join(this.workshop.folder, `${name}.log`);
    const config = path.join(this.workshop.folder, `${name}.json`);
    writeFileSync(config, JSON.stringify(bootstrap));
    const flags = ["--disable-hot-restart", "--concurrency", "1", "-l", "warning"];
    const names = ["--service-node", name, "--service-cluster", name];
    const out = openSync(log, "w");
    const command = [this.workshop.envoy, ...flags, ...names, "-c", config] as const;
    this.network.pod(name).start([...command], { uid: SIDECAR_UID, stdio: ["ignore", out, out] });
    await waitFor(`${name} (${log})`, () =>
      envoyAdmin(admin)
        .admin("/ready")
        .then(
          answer => answer.startsWith("LIVE"),
          () => false,
        ),
    );
  }
}
