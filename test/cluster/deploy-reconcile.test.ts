import { expect } from "chai";
import { apiKind } from "../../src/api/kinds";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { controlPlaneNamespace } from "../../src/install/namespaces";
import { objectPath } from "../../src/install/object";
import { ensureDefinitions } from "../../src/runtime/control-plane/bootstrap";
import { startReporting, type Reporting } from "../../src/runtime/control-plane/reporting";
import { startWorld, type World } from "../../src/runtime/control-plane/world";
import { systemClock } from "../../src/runtime/clock";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isNotFound } from "../../src/runtime/kube/errors";
import { watchedLog } from "../support/told-errors";
import { createIfAbsent } from "../../src/runtime/ownership";
import { readSettings } from "../../src/runtime/settings";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";
import { kindSamples } from "./support/kind-samples";

const TARGETS = "/apis/access.smi-spec.io/v1alpha3/namespaces/default/traffictargets";
const MESH_CONFIG =
  "/apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshconfigs/osm-mesh-config";

interface WithStatus {
  readonly status?: { readonly conditions?: readonly { type: string; status: string; message: string }[] };
}

function target(name: string, destinationNamespace: string): KubeObject {
  return {
    apiVersion: "access.smi-spec.io/v1alpha3",
    kind: "TrafficTarget",
    metadata: { name, namespace: "default" },
    spec: {
      destination: { kind: "ServiceAccount", name: "server", namespace: destinationNamespace },
      sources: [{ kind: "ServiceAccount", name: "client", namespace: "default" }],
      rules: [{ kind: "TCPRoute", name: "route" }],
    },
  } as KubeObject;
}

describe("Reconcile is what writes status and defaults", function () {
  this.timeout(120_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let reporting: Reporting;
  let world: World;

  const accepted = async (name: string): Promise<string | undefined> => {
    const { status } = await kube.get<WithStatus>(`${TARGETS}/${name}`);
    return status?.conditions?.find(condition => condition.type === "Accepted")?.status;
  };
  const exists = (path: string): Promise<boolean> =>
    kube.get(path).then(
      () => true,
      (error: unknown) => {
        if (isNotFound(error)) return false;
        throw error;
      },
    );

  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    const settings = readSettings({}, "unused");
    const around = { kube, clock: systemClock, log: watchedLog, random: Math.random, settings };
    await createIfAbsent(kube, controlPlaneNamespace(settings));
    await ensureDefinitions({ ...around, mayChange: true }, EMBEDDED_CRDS);
    world = startWorld(settings, around);
    await world.synced;
    reporting = startReporting({ ...around, engine: world.engine, fleet: undefined });
  });
  after(async () => {
    reporting.stop();
    world.stop();
    kube.close();
    await server.stop();
  });

  it("all definitions are established, also when they are applied a second time", async () => {
    const settings = readSettings({}, "unused");
    const around = { kube, clock: systemClock, log: watchedLog, settings, mayChange: true };
    await ensureDefinitions(around, EMBEDDED_CRDS);
    for (const definition of EMBEDDED_CRDS) expect(await exists(objectPath(definition))).to.equal(true);
  });

  it("an object that was triggered gets its status; one that was not gets none", async () => {
    await kube.create(TARGETS, target("untouched", "default"));
    await kube.create(TARGETS, target("good", "default"));
    await kube.create(TARGETS, target("bad", "elsewhere"));
    for (const name of ["good", "bad"])
      reporting.reconcile({ kind: "TrafficTarget", namespace: "default", name });
    expect(await waitFor("status of good", () => accepted("good"))).to.equal("True");
    expect(await waitFor("status of bad", () => accepted("bad"))).to.equal("False");
    // Written last of all, so whatever writes without a trigger has had its time.
    expect(await accepted("untouched")).to.equal(undefined);
  });

  for (const { object } of kindSamples("default")) {
    const sample = object as KubeObject & { readonly kind: string };
    it(`of two ${sample.kind}s the one that was triggered gets its status`, async () => {
      const { group = "", version = "", plural = "" } = apiKind(sample.kind) ?? {};
      const path = `/apis/${group}/${version}/namespaces/default/${plural}`;
      const named = (name: string): KubeObject => ({ ...sample, metadata: { name, namespace: "default" } });
      const conditions = async (name: string): Promise<number> =>
        (await kube.get<WithStatus>(`${path}/${name}`)).status?.conditions?.length ?? 0;
      await kube.create(path, named("quiet"));
      await kube.create(path, named("asked"));
      reporting.reconcile({ kind: sample.kind, namespace: "default", name: "asked" });
      await waitFor("its status", async () => (await conditions("asked")) > 0);
      expect(await conditions("quiet")).to.equal(0);
    });
  }

  it("the default MeshConfig comes with a trigger, and only then", async () => {
    expect(await exists(MESH_CONFIG)).to.equal(false);
    const name = { kind: "MeshConfig", namespace: "osm-system", name: "osm-mesh-config" };
    reporting.reconcile(name);
    await waitFor("the default MeshConfig", () => exists(MESH_CONFIG));
    await kube.delete(MESH_CONFIG);
    reporting.reconcile(name);
    await waitFor("the default MeshConfig again", () => exists(MESH_CONFIG));
  });

  it("an event tells the owner of what is refused", async () => {
    interface Events {
      readonly items: readonly { readonly regarding?: { readonly name: string }; readonly note?: string }[];
    }
    const about = await waitFor("the event", async () => {
      const { items } = await kube.get<Events>("/apis/events.k8s.io/v1/namespaces/default/events");
      return items.find(event => event.regarding?.name === "bad");
    });
    expect(about.note).to.include("namespace");
  });
});
