import { expect } from "chai";
import { stringify } from "yaml";
import { until } from "../../hack/cluster/progress";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import { objectPath } from "../../src/install/object";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { cliCluster, type CliCluster } from "../support/cli-cluster";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";

const ROOTS = "/apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshrootcertificates";
const root = (name: string): KubeObject & { spec: unknown } => ({
  apiVersion: "config.openservicemesh.io/v1alpha2",
  kind: "MeshRootCertificate",
  metadata: { name, namespace: "osm-system" },
  spec: {
    role: "active",
    trustDomain: "cluster.local",
    provider: { tresor: { ca: { secretRef: { name, namespace: "osm-system" } } } },
  },
});

describe("osm alpha certificate rotate against a real API server", function () {
  this.timeout(180_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let cli: CliCluster;
  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    cli = cliCluster(server);
    const metadata = { name: "osm-system" };
    await kube.create("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata });
    const crd = EMBEDDED_CRDS.find(one => one.metadata.name.startsWith("meshrootcertificates."));
    if (crd === undefined) throw new Error("no definition");
    await kube.apply(objectPath(crd), crd as KubeObject, "test");
    await until("the kind", 60_000, async () => {
      await kube.create(ROOTS, root("old"));
      return true;
    });
  });
  after(async () => {
    cli.remove();
    kube.close();
    await server.stop();
  });
  const role = async (name: string): Promise<string | undefined> =>
    (await kube.get<{ spec: { role?: string } }>(`${ROOTS}/${name}`)).spec.role;
  /** What the control plane says once all proxies have proven a step. */
  const proven = async (name: string, as: string, state: string): Promise<void> => {
    await until(`${name} ${as}`, 60_000, async () =>
      (await role(name).catch(() => undefined)) === as ? true : undefined,
    );
    await kube.mergePatch(`${ROOTS}/${name}/status`, { status: { state, progress: `${state} by all` } });
  };

  it("makes the root of a file trusted, then issuing, then drops the old one, each step when it is proven", async () => {
    const args = ["alpha", "mrc", "rotate", "-f", "-", "-t", "example.org", "-y", "-d", "-w", "60s"];
    const running = cli.osm(args, { stdin: stringify(root("new")) });
    await until("the new root", 60_000, async () =>
      (await role("new").catch(() => undefined)) ? true : undefined,
    );
    expect([await role("new"), await role("old")], "trusted first").to.deep.equal(["passive", "active"]);
    await proven("new", "passive", "validating");
    await proven("old", "passive", "validating");
    expect(await role("new")).to.equal("active");
    await proven("new", "active", "issuing");
    await proven("old", "inactive", "unused");
    const { code, stdout, stderr } = await running;
    expect(code, stderr).to.equal(0);
    const steps = ["new is active", "old is passive", "old is inactive", "old is deleted"];
    expect(stdout.split("\n").filter(line => steps.includes(line))).to.deep.equal(steps);
    expect(stdout).to.contain("The mesh's certificates are issued by new\n");
    const { items } = await kube.get<{ items: { metadata: object; spec: object }[] }>(ROOTS);
    expect(items.map(({ spec }) => spec)).to.have.nested.property("[0].trustDomain", "example.org");
    expect(items).to.have.length(1);
  });

  it("says who is waited for, refuses what is none, and asks before it begins", async () => {
    await kube.create(ROOTS, {
      ...root("next"),
      spec: { ...(root("next").spec as object), role: "passive" },
    } as KubeObject);
    await kube.mergePatch(`${ROOTS}/next/status`, {
      status: { state: "unused", progress: "waiting for shop/web-1" },
    });
    const late = await cli.osm(["alpha", "certificate", "rotate", "-c", "next", "-y", "-w", "1s"]);
    expect([late.code, late.stderr]).to.deep.equal([
      1,
      "Error: next is unused, not validating: waiting for shop/web-1. The rotation goes on; run the command again to wait on\n",
    ]);
    const none = await cli.osm(["alpha", "certificate", "rotate", "-c", "nowhere", "-y"]);
    expect(none.stderr).to.equal("Error: there is no MeshRootCertificate osm-system/nowhere\n");
    expect((await cli.osm(["alpha", "certificate", "rotate", "-y"])).code).to.equal(2);
    expect(
      (await cli.osm(["alpha", "certificate", "rotate", "-c", "next"], { answers: ["no"] })).code,
    ).to.equal(0);
    expect(await role("next")).to.equal("passive");
  });
});
