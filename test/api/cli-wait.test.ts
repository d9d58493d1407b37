import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { osm } from "../support/cli";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { serveKinds } from "../support/served-kinds";
import { kubeconfigOf } from "../support/kubeconfig";

const ROUTES = "/apis/specs.smi-spec.io/v1alpha4/namespaces/default/tcproutes";

describe("osm wait, explain and plan on a real API server", function () {
  this.timeout(180_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let folder = "";
  let env: Record<string, string> = {};

  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-wait-"));
    server = await startApiServerForTest();
    kube = server.client();
    await serveKinds(kube);
    const { port, ca, token } = server;
    const access = { server: `https://127.0.0.1:${port}`, ca, token };
    writeFileSync(path.join(folder, "config"), kubeconfigOf(access));
    env = { KUBECONFIG: path.join(folder, "config") };
  });

  after(async () => {
    rmSync(folder, { recursive: true, force: true });
    kube.close();
    await server.stop();
  });

  async function create(name: string): Promise<KubeObject> {
    return kube.create<KubeObject>(ROUTES, {
      apiVersion: "specs.smi-spec.io/v1alpha4",
      kind: "TCPRoute",
      metadata: { name, namespace: "default" },
      spec: { matches: { ports: [1234] } },
    } as KubeObject);
  }

  /** Writes a status as the control plane does. */
  function judge(object: KubeObject, type: string, status: string, message: string): Promise<unknown> {
    const { name, generation } = object.metadata;
    const lastTransitionTime = "2026-01-01T00:00:00Z";
    const condition = {
      type,
      status,
      reason: "Test",
      message,
      observedGeneration: generation,
      lastTransitionTime,
    };
    return kube.mergePatch(`${ROUTES}/${name}/status`, { status: { conditions: [condition] } });
  }

  it("waits until an object is in force, and says for what", async () => {
    const route = await create("a");
    const waiting = osm(["wait", "TCPRoute/default/a", "--timeout", "2m"], { env });
    await judge(route, "Programmed", "False", "1 of 2 proxies");
    await judge(route, "Programmed", "True", "2 of 2 proxies");
    const { code, stdout } = await waiting;
    expect(code, stdout).to.equal(0);
    expect(stdout.trim().split("\n").at(-1)).to.equal("TCPRoute/default/a: Programmed");
  });

  it("waits for the objects of a file, in the namespace that is named for them", async () => {
    const route = await create("c");
    await judge(route, "Programmed", "True", "2 of 2 proxies");
    const file = path.join(folder, "routes.yaml");
    writeFileSync(file, `apiVersion: ${route.apiVersion ?? ""}\nkind: TCPRoute\nmetadata: { name: c }\n`);
    const named = await osm(["wait", "-f", file, "-n", "default", "--timeout", "2m"], { env });
    expect([named.code, named.stdout]).to.deep.equal([0, "TCPRoute/default/c: Programmed\n"]);
    const elsewhere = await osm(["wait", "-f", file, "-n", "shop", "--timeout", "1ms"], { env });
    expect([elsewhere.code, elsewhere.stderr.includes("it is not there")]).to.deep.equal([1, true]);
  });

  it("gives up in time, at once where it is of no use, and waits for deletions", async () => {
    const route = await create("b");
    const late = await osm(["wait", "TCPRoute/default/b", "--timeout", "1ms"], { env });
    expect(late.code).to.equal(1);
    expect(late.stderr).to.match(
      /TCPRoute\/default\/b: still waiting after 1ms; the control plane has not looked/,
    );
    await judge(route, "Accepted", "False", "spec.matches: no");
    const refused = await osm(["wait", "TCPRoute/default/b", "--timeout", "2m"], { env });
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.include("it is not accepted: spec.matches: no");
    const gone = osm(["wait", "--for", "delete", "TCPRoute/default/b", "--timeout", "2m"], { env });
    await kube.delete(`${ROUTES}/b`);
    expect((await gone).code).to.equal(0);
    expect((await osm(["wait"], { env })).code).to.equal(2);
  });

  it("explains and plans what the cluster has", async () => {
    const apply = (place: string, object: object): Promise<unknown> => kube.apply(place, object, "test");
    await apply("/api/v1/namespaces/shop", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "shop", labels: { "openservicemesh.io/monitored-by": "osm" } },
    });
    await apply("/api/v1/namespaces/shop/serviceaccounts/web", {
      apiVersion: "v1",
      kind: "ServiceAccount",
      metadata: { name: "web", namespace: "shop" },
    });
    await apply("/api/v1/namespaces/shop/services/cart", {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "cart", namespace: "shop" },
      spec: { selector: { app: "cart" }, ports: [{ name: "http", port: 80 }] },
    });
    const explained = await osm(["explain", "--from", "sa/web.shop", "--to", "cart"], { env });
    expect(explained.stderr).to.equal("");
    expect(explained.code).to.equal(3);
    expect(explained.stdout).to.match(/^NO: /m);
    const file = path.join(folder, "cart.yaml");
    writeFileSync(
      file,
      `apiVersion: apps/v1
kind: Deployment
metadata: { name: cart }
spec:
  replicas: 2
  template:
    metadata: { labels: { app: cart }, annotations: { openservicemesh.io/sidecar-injection: enabled } }
    spec: { serviceAccountName: web, containers: [{ name: app }] }
`,
    );
    const planned = await osm(["plan", "-f", file, "-n", "shop"], { env });
    expect(planned.stderr).to.equal("");
    expect(planned.stdout).to.match(/\+ Deployment\/shop\/cart/);
    expect(planned.stdout).to.match(/Deployment\/shop\/cart: 2 proxies more/);
  });
});
