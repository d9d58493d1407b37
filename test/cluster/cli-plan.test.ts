import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import {
  applicationManifests,
  asList,
  DEMO_LABEL,
  DEMO_NAME,
  type Manifest,
} from "../../hack/demo/manifests";
import { createNamespaces, deleteNamespaces } from "../../hack/demo/namespaces";
import { accessManifests, splitManifest } from "../../hack/demo/policies";
import type { Plan } from "../../src/cli/plan/plan";
import { osm } from "../support/cli";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { FULL, Mesh, report, type PodView } from "./support/mesh";

const NAMESPACES = ["bookbuyer", "bookthief", "bookstore", "bookwarehouse"];
const LONG_MS = 180_000;

interface MeshConfigSpec {
  readonly traffic?: object;
}

/** MeshConfig as it is but for its mode: of a policy in a file, what is not written is not there. */
const meshConfig = (spec: MeshConfigSpec, permissive: boolean): Manifest => ({
  apiVersion: "config.openservicemesh.io/v1alpha2",
  kind: "MeshConfig",
  metadata: { name: "osm-mesh-config", namespace: "osm-system" },
  spec: { ...spec, traffic: { ...spec.traffic, enablePermissiveTrafficPolicyMode: permissive } },
});

function scaled(replicas: number): Manifest {
  const found = applicationManifests().find(
    each => each["kind"] === "Deployment" && (each["metadata"] as { name: string }).name === "bookstore-v2",
  );
  return { ...found, spec: { ...(found?.["spec"] as object), replicas } };
}

/** What the demo applies, in its order. */
const stepsFrom = (spec: MeshConfigSpec): readonly (readonly [string, readonly Manifest[]])[] => [
  ["deny", [meshConfig(spec, false)]],
  ["allow", accessManifests()],
  ["split 100/0", [splitManifest(100, 0)]],
  ["v2 joins", [scaled(1)]],
  ["split 90/10", [splitManifest(90, 10)]],
  ["split 50/50", [splitManifest(50, 50)]],
  ["split 0/100", [splitManifest(0, 100)]],
];

interface Dump {
  readonly configs: readonly Readonly<Record<string, unknown>>[];
}
type Entry = Readonly<Record<string, unknown>> & { readonly version_info?: string };

/** A value as text in which neither the order of keys nor that of a list counts, as Envoy prints both as they come, nor what a proxy found out itself. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).sort().join()}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const told = Object.entries(value).filter(([key]) => key !== "health_status");
  const pairs = told.map(([key, part]) => `${JSON.stringify(key)}:${canonical(part)}`);
  return `{${pairs.sort().join()}}`;
}

/** Resources of an Envoy by `type name`, each with what tells one version from another. */
function resourcesIn({ configs }: Dump): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const add = (type: string, name: unknown, version: unknown): void => {
    found.set(`${type} ${String(name)}`, String(version));
  };
  const named = (value: unknown): unknown => (value as { readonly name?: string } | undefined)?.name;
  const discovered = new Set<unknown>(
    configs
      .flatMap(part => (part["dynamic_active_clusters"] ?? []) as readonly Entry[])
      .flatMap(({ cluster }) => ((cluster as Entry)["type"] === "EDS" ? [named(cluster)] : [])),
  );
  for (const part of configs) {
    const entries = (key: string): readonly Entry[] => (part[key] ?? []) as readonly Entry[];
    for (const { cluster, version_info } of entries("dynamic_active_clusters"))
      add("cluster", named(cluster), version_info);
    // One that is being drained stands there by the same name, without an active state; one whose chains alone have changed
    // keeps the version that is shown.
    for (const { name, active_state } of entries("dynamic_listeners"))
      if (active_state !== undefined) add("listener", name, canonical((active_state as Entry)["listener"]));
    for (const { route_config, version_info } of entries("dynamic_route_configs"))
      add("route", named(route_config), version_info);
    for (const { endpoint_config } of entries("dynamic_endpoint_configs")) {
      const { cluster_name, endpoints } = endpoint_config as Readonly<Record<string, unknown>>;
      // Of others, Envoy lists where it has connected to itself.
      if (discovered.has(cluster_name)) add("endpoint", cluster_name, canonical(endpoints));
    }
  }
  return found;
}

type Held = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** Addresses that a pod will have are nobody's to know: a plan makes one up, a cluster gives one of each family. */
function withoutAddresses(lines: readonly string[]): readonly string[] {
  const plain = lines.map(line =>
    line.replace(/ listener outbound\|[0-9a-f.:]+\|/, " listener outbound|ADDRESS|"),
  );
  return [...new Set(plain)].sort();
}

/** One line for each pod and resource that is different. */
function difference(before: Held, after: Held): readonly string[] {
  return [...before]
    .flatMap(([pod, was]) => {
      const is = after.get(pod) ?? new Map<string, string>();
      return [
        ...[...is].flatMap(([name, version]) => {
          if (!was.has(name)) return [`${pod} + ${name}`];
          return was.get(name) === version ? [] : [`${pod} ~ ${name}`];
        }),
        ...[...was.keys()].filter(name => !is.has(name)).map(name => `${pod} - ${name}`),
      ];
    })
    .sort();
}

/** The same of a plan, of pods that there are. */
function planned({ proxies }: Plan, pods: ReadonlySet<string>): readonly string[] {
  return proxies
    .flatMap(({ pods: all, added, changed, removed }) =>
      all
        .filter(pod => pods.has(pod))
        .flatMap(pod => [
          ...added.map(({ type, name }) => `${pod} + ${type} ${name}`),
          ...changed.map(({ type, name }) => `${pod} ~ ${type} ${name}`),
          ...removed.map(({ type, name }) => `${pod} - ${type} ${name}`),
        ]),
    )
    .sort();
}

if (FULL)
  describe("osm plan on the real cluster, before each step of the demo", function () {
    this.timeout(1_800_000);
    let mesh: Mesh;
    let config: LiveMeshConfig;
    let folder: string;

    before(async () => {
      mesh = await Mesh.open();
      const labelled = ["get", "namespaces", "-l", `${DEMO_LABEL}=${DEMO_NAME}`, "-o", "name"];
      expect((await mesh.kubectl.must(labelled)).trim(), "the demo's namespaces are free").to.equal("");
      config = await LiveMeshConfig.of(mesh);
      folder = mkdtempSync(path.join(os.tmpdir(), "osm-plan-"));
      await config.patch({ traffic: { enablePermissiveTrafficPolicyMode: true } });
      await createNamespaces(mesh.kubectl);
      await mesh.kubectl.must(["apply", "-f", "-"], asList(applicationManifests()));
      await running();
    });
    after(async () => {
      await deleteNamespaces(mesh.kubectl);
      await config.restore();
      rmSync(folder, { recursive: true });
    });

    const run = async (...args: readonly string[]): Promise<string> => {
      const env = { ...process.env, KUBECONFIG: mesh.cluster.kubeconfig };
      const { code, stdout, stderr } = await osm(args, { env });
      expect(code, `${args.join(" ")}: ${stderr}${stdout}`).to.equal(0);
      return stdout;
    };

    /** Waits until every Deployment and StatefulSet of the demo is rolled out. */
    async function running(): Promise<void> {
      for (const namespace of NAMESPACES) {
        const get = ["-n", namespace, "get", "deployments,statefulsets", "-o", "name"];
        const names = (await mesh.kubectl.must(get)).split("\n").filter(name => name !== "");
        const status = ["-n", namespace, "rollout", "status", "--timeout=200s"];
        await mesh.kubectl.must([...status, ...names], undefined, 220_000);
      }
    }

    /** What every sidecar of the demo has. */
    async function held(): Promise<Held> {
      const found = new Map<string, ReadonlyMap<string, string>>();
      for (const namespace of NAMESPACES) {
        const { items } = await mesh.kubectl.json<{ items: PodView[] }>(["-n", namespace, "get", "pods"]);
        for (const { metadata } of items.filter(pod => pod.metadata.deletionTimestamp === undefined)) {
          const page = await run("proxy", "get", "config_dump?include_eds", metadata.name, "-n", namespace);
          found.set(`${namespace}/${metadata.name}`, resourcesIn(JSON.parse(page) as Dump));
        }
      }
      return found;
    }

    /** The same, once it is the same twice and nobody is behind. */
    async function settled(): Promise<Held> {
      let why: unknown = "";
      const look = async (): Promise<Held | undefined> => {
        const { proxies } = JSON.parse(await run("status", "-o", "json")) as {
          proxies: readonly { pod: string; replica?: string; lateSince?: number }[];
        };
        const own = proxies.filter(({ pod }) => NAMESPACES.includes(pod.split("/")[0] ?? ""));
        why = own.filter(({ replica, lateSince }) => replica === undefined || lateSince !== undefined);
        if ((why as readonly unknown[]).length > 0) return undefined;
        const one = await held();
        const two = await held();
        why = difference(one, two);
        return (why as readonly string[]).length === 0 ? two : undefined;
      };
      return until("sidecars that are up to date", LONG_MS, () =>
        look().catch((error: unknown) => {
          why = error;
          return undefined;
        }),
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}: ${why instanceof Error ? why.message : JSON.stringify(why)}`);
      });
    }

    it("names exactly what then changes at each sidecar", async () => {
      const file = path.join(folder, "step.yaml");
      const get = ["-n", "osm-system", "get", "meshconfig", "osm-mesh-config"];
      const { spec } = await mesh.kubectl.json<{ spec: MeshConfigSpec }>(get);
      for (const [step, manifests] of stepsFrom(spec)) {
        const before = await settled();
        writeFileSync(file, asList(manifests));
        const plan = JSON.parse(await run("plan", "-f", file, "-o", "json")) as Plan;
        const expected = withoutAddresses(planned(plan, new Set(before.keys())));
        expect(expected, step).to.not.be.empty;
        await mesh.kubectl.must(["apply", "--server-side", "--force-conflicts", "-f", file]);
        await running();
        let happened: readonly string[] = [];
        await until(step, LONG_MS, async () => {
          happened = withoutAddresses(difference(before, await held()));
          return happened.length >= expected.length ? true : undefined;
        }).catch(() => undefined);
        expect(withoutAddresses(difference(before, await settled())), step).to.deep.equal(expected);
        report(`${step}: ${expected.length} resources at ${before.size} sidecars, as planned`);
      }
    });
  });
