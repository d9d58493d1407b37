/** What `osm uninstall mesh`, an upgrade that goes back and `osm install --atomic` leave alone. */
import { expect } from "chai";
import { applyObjects, undo, type Installer } from "../../../src/cli/install/apply";
import { isOlder, refuseDowngrade } from "../../../src/cli/install/downgrade";
import { uninstallMesh } from "../../../src/cli/install/uninstall";
import { CommandError } from "../../../src/cli/failure";
import { meshLabels } from "../../../src/install/names";
import { objectPath, type InstallObject } from "../../../src/install/object";
import { KubeError } from "../../../src/runtime/kube";
import { KubeStore } from "../../support/kube-store";

const SETTINGS = { meshName: "osm", osmNamespace: "osm-system" };
const ALL = { ...SETTINGS, namespaces: true, clusterWide: true };
const LABELS = meshLabels(SETTINGS);
const APPS = "/apis/apps/v1/namespaces";
const CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const TARGETS = `${CRDS}/traffictargets.access.smi-spec.io`;
const WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const DEFINITION = { labels: { "app.kubernetes.io/name": "openservicemesh.io" } };
const applied = (manager: string): object => ({
  ...DEFINITION,
  managedFields: [{ manager, operation: "Apply" }],
});

function installer(kube: KubeStore): Installer & { readonly said: readonly string[] } {
  let now = 0;
  const said: string[] = [];
  return {
    kube,
    now: () => now,
    pause: ms => Promise.resolve(void (now += ms)),
    say: line => void said.push(line),
    deadline: 5_000,
    said,
  };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    expect(error).to.be.instanceOf(CommandError);
    return (error as Error).message;
  }
  return "nothing was refused";
}

/** Open Service Mesh as its own command installs it, and pepr-system of somebody else. */
function classic(): KubeStore {
  return new KubeStore()
    .put("/api/v1/namespaces/osm-system", { labels: { "app.kubernetes.io/name": "openservicemesh.io" } })
    .put("/api/v1/namespaces/osm-system/secrets/osm-ca-bundle")
    .put(`${WEBHOOK}/osm-webhook-osm`, { labels: { "app.kubernetes.io/name": "openservicemesh.io" } })
    .put(TARGETS, applied("osm-bootstrap"))
    .put("/api/v1/namespaces/pepr-system");
}

/** This mesh, after it has made what it makes. */
function ours(): KubeStore {
  return new KubeStore()
    .put("/api/v1/namespaces/osm-system", { labels: LABELS })
    .put("/api/v1/namespaces/pepr-system")
    .put(`${APPS}/pepr-system/deployments/pepr-osm`, { labels: { app: "pepr-osm" } })
    .put(`${APPS}/pepr-system/deployments/pepr-osm-watcher`, { labels: { app: "pepr-osm-watcher" } })
    .put(`${WEBHOOK}/pepr-osm`)
    .put("/api/v1/namespaces/pepr-system/secrets/pepr-osm-tls")
    .put("/api/v1/namespaces/pepr-system/configmaps/kube-root-ca.crt")
    .put("/api/v1/namespaces/pepr-system/configmaps/osm-ca-root-cert", { labels: LABELS })
    .put("/api/v1/namespaces/pepr-system/serviceaccounts/default")
    .put("/api/v1/namespaces/pepr-system/services/osm-controller", { labels: LABELS })
    .put(TARGETS, applied("osm-pepr"));
}

describe("osm uninstall mesh beside others", () => {
  for (const app of ["osm-controller", "osm-injector", "osm-bootstrap"])
    for (const part of [{ namespaces: true }, { clusterWide: true }])
      it(`deletes nothing while ${app} is there and ${Object.keys(part).join()} is asked for`, async () => {
        for (const kube of [classic(), ours()]) {
          kube.put(`${APPS}/mesh-of-old/deployments/${app}`, { labels: { app } });
          const removal = { ...SETTINGS, namespaces: false, clusterWide: false, ...part };
          expect(await refusal(uninstallMesh(installer(kube), removal))).to.contain(
            `Deployment mesh-of-old/${app}`,
          );
          expect(kube.deleted).to.deep.equal([]);
        }
      });

  it("leaves Open Service Mesh's namespace, definitions and webhooks although its Deployments are gone", async () => {
    const kube = classic();
    const run = installer(kube);
    await uninstallMesh(run, ALL);
    expect(kube.deleted).to.deep.equal(["/api/v1/namespaces/pepr-system"]);
    expect(run.said.join("\n")).to.contain("traffictargets.access.smi-spec.io left");
    expect(run.said.join("\n")).to.contain("namespaces osm-system left");
  });

  it("without either flag takes the control plane alone, beside Open Service Mesh too", async () => {
    const kube = ours().put(`${APPS}/old/deployments/osm-controller`, { labels: { app: "osm-controller" } });
    kube.put(`${WEBHOOK}/osm-webhook-osm`);
    await uninstallMesh(installer(kube), { ...SETTINGS, namespaces: false, clusterWide: false });
    expect(kube.has(`${APPS}/pepr-system/deployments/pepr-osm`)).to.equal(false);
    for (const path of [TARGETS, `${WEBHOOK}/osm-webhook-osm`, "/api/v1/namespaces/osm-system"])
      expect(kube.has(path), path).to.equal(true);
  });

  it("takes all that the mesh made", async () => {
    const kube = ours();
    await uninstallMesh(installer(kube), ALL);
    for (const path of [TARGETS, `${WEBHOOK}/pepr-osm`, "/api/v1/namespaces/osm-system"])
      expect(kube.has(path), path).to.equal(false);
    expect(kube.has("/api/v1/namespaces/pepr-system")).to.equal(false);
  });

  it("leaves the namespace of a mesh of another name", async () => {
    const kube = ours();
    await uninstallMesh(installer(kube), { ...ALL, meshName: "other" });
    expect(kube.has("/api/v1/namespaces/osm-system")).to.equal(true);
  });

  /** For somebody who may not read or delete what is at these paths. */
  function bounded(kube: KubeStore, { read = /^$/, remove = /^$/ }): KubeStore {
    const refuse = (paths: RegExp) => (path: string) => {
      if (paths.test(path)) throw new KubeError(403, "Forbidden", `${path}: 403 forbidden`);
    };
    return Object.assign(kube, { beforeGet: refuse(read), beforeDelete: refuse(remove) });
  }

  it("goes on where the chart's own kinds may not be listed, and says so", async () => {
    const run = installer(bounded(ours(), { read: /horizontalpodautoscalers|networkpolicies/ }));
    expect(await uninstallMesh(run, { ...SETTINGS, namespaces: false, clusterWide: false })).to.deep.equal(
      [],
    );
    expect(run.said).to.include.members([
      "  horizontalpodautoscalers left, if there are any: you may not list them",
      "  networkpolicies left, if there are any: you may not list them",
      "  services osm-controller deleted",
    ]);
  });

  it("goes on where other things may not be listed or deleted, and gives what it left", async () => {
    const kube = bounded(ours(), {
      read: /(services|configmaps)(\?|$)/,
      remove: /customresourcedefinitions/,
    });
    const run = installer(kube);
    const left = await uninstallMesh(run, ALL);
    expect(left).to.include.members([
      "services",
      "configmaps",
      "customresourcedefinitions traffictargets.access.smi-spec.io",
    ]);
    expect(run.said).to.include(
      "  customresourcedefinitions traffictargets.access.smi-spec.io left: you may not delete it",
    );
    expect(kube.has("/api/v1/namespaces/pepr-system/secrets/pepr-osm-tls"), "what may be deleted").to.equal(
      false,
    );
    expect(kube.has("/api/v1/namespaces/osm-system")).to.equal(false);
    expect(kube.has("/api/v1/namespaces/pepr-system"), "nobody knows what it holds").to.equal(true);
  });

  it("leaves namespaces that may not be listed", async () => {
    const kube = bounded(ours(), { read: /namespaces\?/ });
    expect(await uninstallMesh(installer(kube), ALL)).to.deep.equal(["namespaces"]);
    expect(kube.has("/api/v1/namespaces/osm-system")).to.equal(true);
  });

  for (const theirs of [
    `${APPS}/pepr-system/statefulsets/database`,
    "/apis/batch/v1/namespaces/pepr-system/cronjobs/nightly",
    "/api/v1/namespaces/pepr-system/secrets/osm-tiles",
    "/api/v1/namespaces/pepr-system/configmaps/osm-data",
    "/apis/pepr.dev/v1/namespaces/pepr-system/peprstores/pepr-other-store",
  ])
    it(`leaves pepr-system for ${theirs.split("/").slice(-2).join(" ")}`, async () => {
      const store = `${CRDS}/peprstores.pepr.dev`;
      const kube = ours().put(theirs).put(store);
      const run = installer(kube);
      await uninstallMesh(run, ALL);
      for (const path of [theirs, store, "/api/v1/namespaces/pepr-system"])
        expect(kube.has(path), path).to.equal(true);
      expect(run.said.join("\n")).to.contain(theirs.split("/").slice(-2).join(" "));
      expect(kube.has("/api/v1/namespaces/pepr-system/secrets/pepr-osm-tls")).to.equal(false);
    });

  it("leaves pepr-system where it may not look", async () => {
    const kube = ours();
    kube.beforeGet = path => {
      if (path.endsWith("/statefulsets")) throw new KubeError(403, "Forbidden", "no");
    };
    await uninstallMesh(installer(kube), ALL);
    expect(kube.has("/api/v1/namespaces/pepr-system")).to.equal(true);
  });
});

const object = (kind: string, name: string, apiVersion = "v1"): InstallObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace: "pepr-system" },
});

describe("osm install --atomic", () => {
  const objects = [
    object("ConfigMap", "c1"),
    object("Deployment", "pepr-osm", "apps/v1"),
    object("Secret", "c3"),
  ];

  it("takes back what was made before the object that failed, and webhooks with nobody behind them", async () => {
    const kube = new KubeStore();
    kube.beforeApply = path => {
      if (!path.endsWith("/c3")) return;
      kube.put(`${WEBHOOK}/pepr-osm`);
      throw new KubeError(403, "Forbidden", "not you");
    };
    const run = installer(kube);
    const made: InstallObject[] = [];
    const failed = await applyObjects(run, objects, made).catch((error: unknown) => error);
    expect(failed).to.have.property("status", 403);
    expect(made.map(({ metadata }) => metadata.name)).to.deep.equal(["c3", "pepr-osm", "c1"]);
    await undo(run, made);
    for (const path of [...objects.map(one => objectPath(one)), `${WEBHOOK}/pepr-osm`])
      expect(kube.has(path), path).to.equal(false);
  });

  it("goes on with the rest where one object may not be deleted", async () => {
    const kube = new KubeStore();
    for (const one of [object("Secret", "c3"), object("ConfigMap", "c1")]) kube.put(objectPath(one));
    const remove = kube.delete.bind(kube);
    kube.delete = path =>
      path.endsWith("/c3") ? Promise.reject(new KubeError(403, "Forbidden", "not you")) : remove(path);
    const run = installer(kube);
    await undo(run, [object("Secret", "c3"), object("ConfigMap", "c1")]);
    expect(kube.deleted).to.deep.equal([objectPath(object("ConfigMap", "c1"))]);
    expect(run.said).to.deep.equal(["  Secret c3 is left: not you", "  ConfigMap c1 deleted again"]);
  });
});

describe("osm mesh upgrade to an older version", () => {
  const secret = "/api/v1/namespaces/osm-system/secrets/osm-ca-bundle";
  const mesh = {
    name: "osm",
    namespace: "osm-system",
    controlNamespace: "pepr-system",
    product: "osm-pepr",
    version: "0.2.0",
    ready: 2,
    wanted: 2,
  } as const;
  const withRecord = (text: string): KubeStore => {
    return new KubeStore().put(
      secret,
      {},
      { data: { "control-plane.json": Buffer.from(text).toString("base64") } },
    );
  };
  it("is refused once the control plane has another root than the built-in one", async () => {
    const rotated = withRecord(JSON.stringify({ keys: { abc: { keyPem: "k", crossPem: "" } } }));
    // A later release may write what this one cannot read.
    for (const kube of [rotated, withRecord("v2:…")])
      expect(await refusal(refuseDowngrade(kube, mesh, "0.1.9"))).to.contain("cannot go back to 0.1.9");
    expect(await refusal(refuseDowngrade(withRecord('{"keys":{}}'), mesh, "0.1.9"))).to.match(/^nothing/);
    expect(await refusal(refuseDowngrade(rotated, mesh, "0.2.0"))).to.equal("nothing was refused");
    const never = new KubeStore().put(secret, {}, { data: {} });
    expect(await refusal(refuseDowngrade(never, mesh, "0.1.9"))).to.equal("nothing was refused");
  });

  it("tells older from newer by numbers", () => {
    expect(isOlder("0.9.0", "0.10.0")).to.equal(true);
    expect(isOlder("1.0.0", "0.10.0")).to.equal(false);
    expect(isOlder("0.1.0", "unknown")).to.equal(false);
  });
});
