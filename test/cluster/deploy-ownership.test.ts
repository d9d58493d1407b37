import { expect } from "chai";
import { isAsWanted } from "../../src/install/covers";
import { controlPlaneNamespace } from "../../src/install/namespaces";
import { objectPath } from "../../src/install/object";
import { ownedObjects } from "../../src/install/owned";
import { systemClock } from "../../src/runtime/clock";
import { sizeAtStart } from "../../src/runtime/control-plane/deployments";
import { MeshNamespaceKeeper } from "../../src/runtime/control-plane/mesh-namespaces";
import { followNamespaces, type Namespaces } from "../../src/runtime/control-plane/namespaces";
import { ensureWebhookIdentity } from "../../src/runtime/control-plane/webhook-identity";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isNotFound } from "../../src/runtime/kube/errors";
import { watchedLog } from "../support/told-errors";
import { createIfAbsent, keep, keptAs, type Keeper } from "../../src/runtime/ownership";
import { readSettings } from "../../src/runtime/settings";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";

const MARK = "openservicemesh.io/sidecar-injection";
const LABEL = "openservicemesh.io/monitored-by";

describe("the watcher's duties against a real API server", function () {
  this.timeout(120_000);
  const settings = readSettings({}, "unused");
  const owned = ownedObjects(settings, { caPem: "pem", path: "stable" });
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let keeper: Keeper;
  let namespaces: Namespaces;
  let meshNamespaces: MeshNamespaceKeeper;
  let roots = "root one";

  const read = async (path: string): Promise<KubeObject | undefined> => {
    try {
      return await kube.get<KubeObject>(path);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  const namespace = (name: string, metadata: object): Promise<unknown> =>
    kube.create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name, ...metadata },
    } as KubeObject);
  const label = async (name: string): Promise<string | undefined> =>
    (await read(`/api/v1/namespaces/${name}`))?.metadata.labels?.[LABEL];
  const rootsIn = async (name: string): Promise<string | undefined> =>
    (
      (await read(`/api/v1/namespaces/${name}/configmaps/osm-ca-root-cert`)) as
        | { data?: Record<string, string> }
        | undefined
    )?.data?.["ca.crt"];

  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    const around = { kube, clock: systemClock, random: Math.random, log: watchedLog };
    await createIfAbsent(kube, controlPlaneNamespace(settings));
    await namespace("pepr-system", {});
    keeper = keep(owned.map(keptAs), around);
    namespaces = followNamespaces(settings, around);
    meshNamespaces = new MeshNamespaceKeeper({ ...around, settings, namespaces, rootsPem: () => roots });
    await keeper.settled;
  });
  after(async () => {
    keeper.stop();
    meshNamespaces.stop();
    namespaces.stop();
    kube.close();
    await server.stop();
  });

  it("makes everything the mesh owns", async () => {
    for (const { object } of owned) {
      const live = await read(objectPath(object));
      expect(live !== undefined && isAsWanted(live, object), object.kind).to.equal(true);
    }
  });

  for (const { object } of owned) {
    it(`makes ${object.kind} ${object.metadata.name} again after it was deleted`, async () => {
      await kube.delete(objectPath(object));
      await waitFor(object.kind, async () => (await read(objectPath(object))) !== undefined);
    });
  }

  it("takes what pepr deploy writes over the webhook back, in full", async () => {
    const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/pepr-osm";
    const peprs = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: { name: "pepr-osm" },
      webhooks: [
        {
          name: "pepr-osm.pepr.dev",
          admissionReviewVersions: ["v1"],
          clientConfig: { service: { name: "pepr-osm", namespace: "pepr-system", path: "/mutate/other" } },
          failurePolicy: "Ignore",
          sideEffects: "None",
          rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
        },
      ],
    };
    // The same field manager as Pepr's command line, so its next deploy meets no conflict either.
    await kube.apply(path, peprs, "pepr");
    const begun = Date.now();
    const names = async (): Promise<string> =>
      ((await read(path)) as unknown as { webhooks: { name: string; failurePolicy: string }[] }).webhooks
        .map(w => `${w.name} ${w.failurePolicy}`)
        .join();
    await waitFor("the repair", async () => (await names()) === "inject.openservicemesh.io Fail");
    console.log(`      repaired after ${Date.now() - begun} ms`);
  });

  interface DeploymentObject extends KubeObject {
    readonly spec: { readonly template: { readonly spec: { readonly containers: readonly PodContainer[] } } };
  }
  interface PodContainer {
    readonly image: string;
    readonly resources?: { readonly limits?: Readonly<Record<string, string>> };
  }
  const deployment = (image: string): KubeObject =>
    ({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "pepr-osm", namespace: "pepr-system", labels: { app: "pepr-osm" } },
      spec: {
        selector: { matchLabels: { app: "pepr-osm" } },
        template: {
          metadata: { labels: { app: "pepr-osm" } },
          spec: { containers: [{ name: "server", image }] },
        },
      },
    }) as KubeObject;

  it("sizes a Deployment without taking back what a deploy writes at the same moment", async () => {
    const path = "/apis/apps/v1/namespaces/pepr-system/deployments/pepr-osm";
    await kube.apply(path, deployment("controller:1"), "pepr");
    let meddled = false;
    // A deploy between our reading and our writing, exactly once.
    const interrupted = new Proxy(kube, {
      get: (client, property: keyof ClosableKubeClient) => {
        if (property !== "get") return client[property].bind(client);
        return async (at: string) => {
          const found = await client.get(at);
          if (at === path && !meddled) {
            meddled = true;
            await client.apply(path, deployment("controller:2"), "pepr");
          }
          return found;
        };
      },
    });
    await sizeAtStart(interrupted, settings);
    const { spec } = (await read(path)) as DeploymentObject;
    const [container] = spec.template.spec.containers;
    expect(container?.image).to.equal("controller:2");
    expect(container?.resources?.limits).to.deep.equal({ cpu: "1", memory: "1Gi" });
    await kube.delete(path);
  });

  it("corrects what there is after a wait, not what there was before it", async () => {
    const path = "/api/v1/namespaces/pepr-system/configmaps/disputed";
    interface Disputed {
      readonly data: { readonly ours: string; readonly theirs: string };
    }
    const object = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "disputed", namespace: "pepr-system" },
    };
    const data = async (): Promise<Disputed["data"]> => (await kube.get<Disputed>(path)).data;
    let waits = 0;
    const late = { data: { ours: "no", theirs: "late" } };
    const clock = {
      ...systemClock,
      setTimeout: (run: () => void, ms: number) => {
        // The first wait of a dispute: meanwhile the object becomes another one, and the news of it arrives.
        if (ms !== 500) return systemClock.setTimeout(run, ms);
        waits += 1;
        void kube.mergePatch(path, late).then(() => systemClock.setTimeout(run, 500));
        return { cancel: () => undefined };
      },
    };
    await kube.create("/api/v1/namespaces/pepr-system/configmaps", {
      ...object,
      data: { ours: "no", theirs: "0" },
    } as KubeObject);
    const disputed = keep(
      [
        {
          object,
          correction: live => {
            const found = (live as Partial<Disputed> | undefined)?.data;
            if (found === undefined || found.ours === "yes") return undefined;
            return { object: { ...object, data: { ...found, ours: "yes" } }, manager: "test" };
          },
        },
      ],
      { kube, clock, random: Math.random, log: watchedLog },
    );
    try {
      for (let round = 1; waits === 0 && round < 20; round += 1) {
        await waitFor("our word", async () => (await data()).ours === "yes");
        await kube.mergePatch(path, { data: { ours: "no", theirs: String(round) } });
        await waitFor("an answer", async () => waits > 0 || (await data()).ours === "yes");
      }
      await waitFor("our word after the wait", async () => (await data()).ours === "yes");
      expect(waits).to.equal(1);
      expect((await data()).theirs).to.equal("late");
    } finally {
      disputed.stop();
      await kube.delete(path);
    }
  });

  it("mirrors the annotation to the label and brings the root, and takes both away again", async () => {
    await namespace("noted", { annotations: { [MARK]: "enabled" } });
    await waitFor("the label", async () => (await label("noted")) === "osm");
    await waitFor("the root", async () => (await rootsIn("noted")) === "root one");
    await kube.mergePatch("/api/v1/namespaces/noted", { metadata: { annotations: { [MARK]: null } } });
    await waitFor("the label to go", async () => (await label("noted")) === undefined);
    await waitFor("the root to go", async () => (await rootsIn("noted")) === undefined);
  });

  it("leaves a label alone that somebody else has set", async () => {
    await namespace("labelled", { labels: { [LABEL]: "osm" }, annotations: { [MARK]: "enabled" } });
    await waitFor("the root", async () => (await rootsIn("labelled")) !== undefined);
    await kube.mergePatch("/api/v1/namespaces/labelled", { metadata: { annotations: { [MARK]: null } } });
    // A later namespace is worked on after it, so by then it has been looked at.
    await namespace("later", { annotations: { [MARK]: "enabled" } });
    await waitFor("a later one", async () => (await label("later")) === "osm");
    expect(await label("labelled")).to.equal("osm");
  });

  it("brings new roots to every mesh namespace", async () => {
    roots = "root one\nroot two";
    meshNamespaces.lookAtAll();
    for (const name of ["labelled", "later"]) {
      await waitFor(`roots in ${name}`, async () => (await rootsIn(name)) === roots);
    }
  });

  it("waits for news of a namespace that was labelled a moment ago", async () => {
    const asked = namespaces.labelled("soon", 5_000);
    await namespace("soon", { labels: { [LABEL]: "osm" } });
    expect((await asked)?.labels[LABEL]).to.equal("osm");
    expect(await namespaces.labelled("never", 50)).to.equal(undefined);
  });

  it("agrees on one webhook identity, whoever comes first", async () => {
    const all = await Promise.all([1, 2, 3].map(() => ensureWebhookIdentity(kube, settings, systemClock)));
    expect(new Set(all.map(identity => JSON.stringify(identity))).size).to.equal(1);
  });
});
