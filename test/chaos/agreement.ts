/** Whether everybody holds what follows from the API server: stores, and the configuration in each proxy. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { ControlPlaneProcesses } from "./control-plane";
import { factsOf } from "./control-plane";
import { storesOf } from "../../hack/control-plane/facts";
import { systemClock } from "../../src/runtime/clock";
import { startWorld, type World } from "../../src/runtime/control-plane/world";
import { silentLog } from "../../src/runtime/log";
import { readSettings } from "../../src/runtime/settings";
import type { KubeClient } from "../../src/runtime/kube";
import { resourcesOf, type Snapshot, TYPE_URLS, type TypeUrl } from "../../src/xds/resource";
import type { ApiPod } from "../support/pod-tokens";
import type { HeldVersions } from "../support/crowd-app";
import { resourceJson } from "../support/envoy-json";
import type { EnvoyAdmin } from "../support/envoy-admin";

type Versions = Readonly<Record<string, string>>;
/** Resources as JSON, by type and name. */
type Shown = Readonly<Record<string, unknown>>;

/** A compiler that has just read the API server, and nothing before: what it makes is what everybody should hold. */
export class FreshWorld {
  private constructor(readonly world: World) {}

  static async start(kube: KubeClient, folder: string): Promise<FreshWorld> {
    const settings = readSettings({}, folder);
    const world = startWorld(settings, { kube, clock: systemClock, random: Math.random, log: silentLog });
    await world.synced;
    return new FreshWorld(world);
  }

  /** Names and versions that a pod's proxy should hold, by type. */
  wanted({ identity, uid, name }: ApiPod): ReadonlyMap<TypeUrl, Versions> {
    let latest: Snapshot = new Map();
    this.world.engine.flush();
    const proxy = { identity, podUid: uid, podName: name, expiresAt: Number.MAX_SAFE_INTEGER };
    this.world.engine
      .subscribe(proxy, snapshot => {
        latest = snapshot;
      })
      .close();
    const types = [...latest].map(
      ([type, set]) =>
        [type, Object.fromEntries([...resourcesOf(set)].map(one => [one.name, one.version]))] as const,
    );
    return new Map(types);
  }

  /** The resources themselves, as JSON by name. */
  shown({ identity, uid, name }: ApiPod): Shown {
    const shown: Record<string, unknown> = {};
    const proxy = { identity, podUid: uid, podName: name, expiresAt: Number.MAX_SAFE_INTEGER };
    this.world.engine
      .subscribe(proxy, snapshot => {
        for (const set of snapshot.values())
          for (const one of resourcesOf(set)) shown[`${one.typeUrl} ${one.name}`] = resourceJson(one);
      })
      .close();
    return shown;
  }

  stop(): void {
    this.world.stop();
  }
}

/** Writes what each Envoy has and should have, for whoever looks for a cause; the files are named. */
export async function writeBoth(
  fresh: FreshWorld,
  { sidecars }: Parties,
  folder: string,
): Promise<readonly string[]> {
  const written = await Promise.all(
    sidecars.map(async ({ pod, admin }) => {
      const [held, wanted] = ["held", "wanted"].map(word => path.join(folder, `${word}-${pod.name}.json`));
      writeFileSync(held ?? "", await admin.admin("/config_dump?include_eds").catch(String));
      writeFileSync(wanted ?? "", JSON.stringify(fresh.shown(pod), null, 2));
      return [held ?? "", wanted ?? ""];
    }),
  );
  return written.flat();
}

/** The first names of what differs; none: it is the same. */
function differences(wanted: Versions, held: Versions, all: boolean): readonly string[] {
  const missing = all ? Object.keys(wanted).filter(name => held[name] === undefined) : [];
  const other = Object.keys(held).filter(name => held[name] !== wanted[name]);
  return [...missing.map(name => `lacks ${name}`), ...other.map(name => `has another ${name}`)];
}

interface Dumped {
  readonly version_info?: string;
  readonly name?: string;
  readonly cluster?: { readonly name: string };
  readonly route_config?: { readonly name: string };
  readonly active_state?: { readonly version_info: string; readonly listener: unknown };
}

/** JSON in one spelling of its names, without the order of its fields. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).map(
    ([name, field]) => [name.replaceAll("_", "").toLowerCase(), normal(field)] as const,
  );
  return Object.fromEntries(fields.sort(([one], [other]) => (one < other ? -1 : 1)));
}

/**
 * Envoy keeps the version of the listener before it where only filter chains have changed (seen with 1.40.0), so a listener
 * of another version is looked at itself.
 */
function isSameListener(held: unknown, wanted: unknown): boolean {
  const typed = { "@type": TYPE_URLS.listener, ...(wanted as object | undefined) };
  return JSON.stringify(normal(held)) === JSON.stringify(normal(typed));
}

/** Versions of listeners as they should be called, where what is held is what is wanted. */
function byContent(rows: readonly Dumped[], wanted: ReadonlyMap<TypeUrl, Versions>, shown: Shown): Versions {
  const versions = rows.map(({ name = "", active_state: active }) => {
    const held = active?.version_info ?? "";
    const right = wanted.get(TYPE_URLS.listener)?.[name];
    const same =
      held !== right && isSameListener(active?.listener ?? {}, shown[`${TYPE_URLS.listener} ${name}`]);
    return [name, same && right !== undefined ? right : held] as const;
  });
  return Object.fromEntries(versions);
}

interface Dump {
  readonly configs: readonly Readonly<Record<string, readonly Dumped[] | undefined>>[];
}

/** Which lists of Envoy's configuration dump hold what came by ADS. */
const DUMPED: readonly (readonly [TypeUrl, string, (one: Dumped) => string | undefined])[] = [
  [TYPE_URLS.cluster, "dynamic_active_clusters", one => one.cluster?.name],
  [TYPE_URLS.listener, "dynamic_listeners", one => one.name],
  [TYPE_URLS.route, "dynamic_route_configs", one => one.route_config?.name],
];
/** Lists of what is there and not in force yet. */
const WARMING = ["dynamic_warming_clusters"];

/** What an Envoy itself says it has, by type; undefined: something of it is not in force yet. */
async function heldByEnvoy(
  admin: EnvoyAdmin,
  wanted: ReadonlyMap<TypeUrl, Versions>,
  shown: Shown,
): Promise<ReadonlyMap<TypeUrl, Versions> | undefined> {
  const dump = JSON.parse(await admin.admin("/config_dump")) as Dump;
  const list = (name: string): readonly Dumped[] => dump.configs.flatMap(config => config[name] ?? []);
  if (WARMING.some(name => list(name).length > 0)) return undefined;
  const types = DUMPED.map(([type, name, nameOf]) => {
    if (type === TYPE_URLS.listener) return [type, byContent(list(name), wanted, shown)] as const;
    const rows = list(name).map(one => [nameOf(one) ?? "", one.version_info ?? ""]);
    return [type, Object.fromEntries(rows) as Versions] as const;
  });
  return new Map(types);
}

/** Who is asked. */
export interface Parties {
  readonly controlPlane: ControlPlaneProcesses;
  readonly sidecars: readonly { readonly pod: ApiPod; readonly admin: EnvoyAdmin }[];
  readonly crowd: readonly ApiPod[];
  held(): Promise<Readonly<Record<string, HeldVersions>>>;
}

/** I3: what each replica of the control plane has read, against what there is. */
export async function storeDisagreements(fresh: FreshWorld, parties: Parties): Promise<readonly string[]> {
  const own = storesOf(fresh.world);
  const found = await Promise.all(
    parties.controlPlane.replicas.map(async (replica, index) => {
      const { stores } = await factsOf(replica);
      const kinds = Object.keys(own).filter(kind => stores[kind]?.digest !== own[kind]?.digest);
      return kinds.map(
        kind =>
          `replica ${index}: ${kind} (${stores[kind]?.count ?? 0}, in the API ${own[kind]?.count ?? 0})`,
      );
    }),
  );
  return found.flat();
}

/** I4: what each proxy holds, by its own words, against what follows from the API server. */
export async function proxyDisagreements(fresh: FreshWorld, parties: Parties): Promise<readonly string[]> {
  const sidecars = parties.sidecars.map(async ({ pod, admin }) => {
    const wanted = fresh.wanted(pod);
    const held = await heldByEnvoy(admin, wanted, fresh.shown(pod));
    if (held === undefined) return [`${pod.name}: is warming`];
    return [...held].flatMap(([type, versions]) =>
      differences(wanted.get(type) ?? {}, versions, type !== TYPE_URLS.route).map(
        text => `${pod.name}: ${text}`,
      ),
    );
  });
  const held = await parties.held();
  const crowd = parties.crowd.flatMap(pod => {
    const wanted = fresh.wanted(pod);
    const types = [TYPE_URLS.cluster, TYPE_URLS.endpoint, TYPE_URLS.listener, TYPE_URLS.route];
    return types.flatMap(type =>
      differences(wanted.get(type) ?? {}, held[pod.name]?.[type] ?? {}, true).map(
        text => `${pod.name}: ${text}`,
      ),
    );
  });
  return [...(await Promise.all(sidecars)).flat(), ...crowd];
}
