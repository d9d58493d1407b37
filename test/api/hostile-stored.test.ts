import { expect } from "chai";
import fc from "fast-check";
import { until } from "../../hack/cluster/progress";
import { apiKind } from "../../src/api/kinds";
import { encodeLeaf } from "../../src/envoy/encode";
import { createProjectors, POLICY_KINDS } from "../../src/ingest/index";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { systemClock } from "../../src/runtime/clock";
import type { KubeObject } from "../../src/runtime/kube";
import { KubeError } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { startInformers, type Informers } from "../../src/runtime/kube/informers";
import { watchedLog } from "../support/told-errors";
import { hostileMesh, type HostileMesh } from "../support/hostile-mesh";
import { hostileObject } from "../support/hostile-objects";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { RIGHT_OBJECTS } from "../support/right-objects";
import { SEED } from "../support/seed";
import type { Written } from "../support/smi-versions";
import { verdict } from "../support/verdict";
import { createWorld, type World } from "../support/world";

const FULL = process.env["OSM_FULL"] === "1";
const RUNS = FULL ? 2_000 : 100;
/** Objects that are stored before everything is looked at. */
const BATCH = 100;
const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/** Last of what is stored of its kind in a batch: events of a kind come in order. */
const MARK = "mark-";

type Stored = Written & { readonly metadata: { readonly name: string } };

/** A definition whose schema takes everything. */
function opened(definition: unknown): Record<string, unknown> {
  const { spec, ...rest } = JSON.parse(JSON.stringify(definition)) as {
    readonly spec: { readonly versions: readonly Record<string, unknown>[] };
  };
  const openAPIV3Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  const versions = spec.versions.map(version => ({ ...version, schema: { openAPIV3Schema } }));
  return { ...rest, spec: { ...spec, versions } };
}

const collectionOf = ({ apiVersion, kind }: Written): string =>
  `/apis/${apiVersion}/namespaces/shop/${apiKind(kind)?.plural ?? kind}`;

describe("hostile policies that are stored: no webhook looks at them", function () {
  this.timeout(1_200_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let informers: Informers | undefined;
  let world: World;
  let mesh: HostileMesh;
  /** Keys of marks that the informers have handed over. */
  const marks = new Set<string>();
  const objects = fc.sample(hostileObject(3), { numRuns: RUNS }) as unknown as readonly Stored[];

  before(async () => {
    if (FULL) process.stdout.write(`\nobjects of OSM_SEED=${SEED}\n`);
    server = await startApiServerForTest();
    kube = server.client();
    await kube.create("/api/v1/namespaces", { metadata: { name: "shop" } });
    await define(definition => definition);
    for (const right of RIGHT_OBJECTS) await until(`${right.kind} to be taken`, 60_000, () => tried(right));
    world = createWorld(encodeLeaf, { soon: setImmediate });
    mesh = hostileMesh(world);
  });

  after(async () => {
    informers?.stop();
    kube.close();
    await server.stop();
  });

  async function define(as: (definition: unknown) => unknown): Promise<void> {
    for (const definition of EMBEDDED_CRDS)
      await kube.apply(`${DEFINITIONS}/${definition.metadata.name}`, as(definition) as KubeObject, "test");
  }

  /** Whether the API server would store an object; false when it finds something wrong with it. */
  async function tried(object: Written, name = "it"): Promise<boolean> {
    const body = { ...object, metadata: { name, namespace: "shop" } };
    try {
      await kube.create(`${collectionOf(object)}?dryRun=All`, body);
      return true;
    } catch (error) {
      if (error instanceof KubeError && error.status >= 400 && error.status < 500) return false;
      throw error;
    }
  }

  /** Stores an object in the place of another of its name; false when the API server does not take it at all. */
  async function store(object: Stored): Promise<boolean> {
    const { apiVersion, kind, metadata, ...body } = object;
    const at = collectionOf(object);
    try {
      await kube.delete(`${at}/${metadata.name}`).catch((error: unknown) => {
        if (!(error instanceof KubeError) || error.status !== 404) throw error;
      });
      await kube.create(at, { ...body, apiVersion, kind, metadata: { name: metadata.name } } as KubeObject);
      return true;
    } catch (error) {
      if (error instanceof KubeError && (error.status === 400 || error.status === 422)) return false;
      throw error;
    }
  }

  function follow(): Informers {
    const projectors = createProjectors("osm");
    return startInformers({
      kube,
      projectors: POLICY_KINDS.map(kind => projectors[kind]),
      apply: event => {
        const keys = event.type === "reset" ? [...event.items.keys()] : [event.key];
        world.engine.apply(event);
        for (const key of keys.filter(key => key.includes(MARK))) marks.add(`${event.kind} ${key}`);
      },
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
    });
  }

  /** Resolves when everything that is stored has come through the informers, and through the engine. */
  async function through(batch: number): Promise<void> {
    const name = `${MARK}${batch}`;
    const kinds = new Map(RIGHT_OBJECTS.map(right => [right.kind, right] as const));
    const followed = [...kinds.values()].filter(({ kind }) =>
      (POLICY_KINDS as readonly string[]).includes(kind),
    );
    for (const right of followed) expect(await store({ ...right, metadata: { name } })).to.equal(true);
    await until("the marks of every kind", 120_000, () =>
      followed.every(({ kind }) => marks.has(`${kind} shop/${name}`)) ? true : undefined,
    );
    world.engine.flush();
    for (const right of followed) await kube.delete(`${collectionOf(right)}/${name}`);
  }

  it("are mostly refused by the schemas where these are in force", async () => {
    const taken = [];
    for (const object of objects.slice(0, BATCH)) taken.push(await tried(object, object.metadata.name));
    expect(taken.filter(each => each).length).to.be.above(0);
    expect(taken.filter(each => !each).length).to.be.above(BATCH / 4);
  });

  it(`break nothing where nothing refuses them, ${RUNS} of them`, async () => {
    await define(opened);
    for (const right of RIGHT_OBJECTS)
      await until(`the schema of ${right.kind} to be open`, 60_000, () =>
        tried({ ...right, spec: "nonsense", matches: 1 } as unknown as Written),
      );
    informers = follow();
    await informers.synced;
    const before = mesh.ofBank();
    expect(before).to.not.be.empty;
    let stored = 0;
    for (let start = 0; start < objects.length; start += BATCH) {
      for (const object of objects.slice(start, start + BATCH)) stored += (await store(object)) ? 1 : 0;
      await through(start / BATCH);
      expect(world.errors).to.deep.equal([]);
      expect(await mesh.complaint()).to.equal(undefined);
      expect(mesh.ofBank()).to.deep.equal(before);
    }
    verdict("random custom resources stored through the API server, admission off", true, {
      count: stored,
      failed: 0,
      bound: "no error, nothing refused by Envoy, others' bytes unchanged",
    });
    expect(stored, "stored").to.be.above(RUNS * 0.9);
    expect(world.engine.diagnostics().size, "findings").to.be.above(0);
  });
});
