import { expect } from "chai";
import fc from "fast-check";
import { containersOf, type PodJson } from "../../src/injector/pod";
import { injected } from "../support/injection";
import { randomRequest } from "../support/random-pod";
import { SEED } from "../support/seed";
import { FULL, Mesh, report } from "./support/mesh";
import { hasSidecar, TestNamespace } from "./support/namespace";

/** 1,000 pods in the long run. */
const numRuns = FULL ? 1000 : 100;
/** Pods that go through the webhook of the running mesh; each is three calls of it. */
const numWebhook = FULL ? 300 : 30;

describe("random injected pods before the real API server", function () {
  this.timeout(900_000);
  let mesh: Mesh;
  let plain: TestNamespace;
  let meshed: TestNamespace;

  before(async () => {
    mesh = await Mesh.open();
    plain = await TestNamespace.create(mesh, "random", false);
    meshed = await TestNamespace.create(mesh, "random", true);
  });
  after(async () => {
    await TestNamespace.removeAll();
  });

  /** What the API server would store. */
  async function dryRun(namespace: TestNamespace, pod: PodJson): Promise<PodJson> {
    const path = `/api/v1/namespaces/${namespace.name}/pods?dryRun=All&fieldValidation=Strict`;
    const metadata = { ...pod.metadata, name: "random", namespace: namespace.name };
    return mesh.api.create(path, { ...pod, apiVersion: "v1", kind: "Pod", metadata });
  }

  it("are accepted, and a second call after the API server's own defaults changes nothing", async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(randomRequest, async request => {
        const stored = await dryRun(plain, injected(request));
        expect(injected({ ...request, pod: stored, uid: "another" })).to.deep.equal(stored);
        // What the API server gives to every container (the application's API token) is not given to ours.
        for (const name of ["envoy", "osm-init"])
          expect(mountsOf(stored, name)).to.not.contain("kube-api-access");
        accepted += 1;
      }),
      { numRuns, seed: SEED, endOnFailure: true },
    );
    report(`${accepted} random pods accepted with a sidecar, OSM_SEED=${SEED}`);
    expect(accepted).to.equal(numRuns);
  });

  it("get the same from the running mesh's webhook, once or twice", async () => {
    await fc.assert(
      fc.asyncProperty(randomRequest, async request => {
        const once = await dryRun(meshed, request.pod);
        expect(hasSidecar(once as never)).to.equal(true);
        const twice = await dryRun(meshed, { metadata: once.metadata ?? {}, spec: once.spec ?? {} });
        expect(twice.spec).to.deep.equal(once.spec);
        expect(twice.metadata?.annotations).to.deep.equal(once.metadata?.annotations);
        expect(twice.metadata?.labels).to.deep.equal(once.metadata?.labels);
      }),
      { numRuns: numWebhook, seed: SEED + 1, endOnFailure: true },
    );
    report(`${numWebhook} random pods through the webhook, OSM_SEED=${SEED}`);
  });
});

function mountsOf(pod: PodJson, name: string): string {
  const all = [...containersOf(pod, "initContainers"), ...containersOf(pod, "containers")];
  const found = all.find(container => container.name === name);
  return JSON.stringify(found?.volumeMounts);
}
