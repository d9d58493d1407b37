import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { gatherReport } from "../../../src/cli/bug-report";
import { denialsIn, isCut, nothingDenied } from "../../../src/cli/commands/logs";
import { wantedBy } from "../../../src/cli/install/set-values";
import { tarOf } from "../../../src/cli/tar";
import { KubeError } from "../../../src/runtime/kube";
import { osm } from "../../support/cli";
import { KubeStore } from "../../support/kube-store";

describe("osm support and logs", () => {
  it("explains reasons, and OSM's codes by where the same is told here", async () => {
    expect((await osm(["support", "error-info", "refusedbyproxy"])).stdout).to.contain("Envoy's words");
    expect((await osm(["support", "error-info", "E4012"])).stdout).to.match(/E4012 +OSM's certificates/);
    const all = JSON.parse((await osm(["support", "error-info", "-o", "json"])).stdout) as unknown[];
    expect(all.length).to.be.greaterThan(20);
    expect(await osm(["support", "error-info", "E9999"])).to.deep.include({
      code: 1,
      stderr: "Error: there is no code E9999; osm support error-info lists them\n",
    });
  });

  it("packs archives that tar reads, long names too", () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-tar-"));
    const long = `${"namespaces/a-namespace/".repeat(4)}${"pod-".repeat(20)}/config_dump.txt`;
    const files = new Map([
      ["version.txt", "1\n"],
      [long, "ä".repeat(1_000)],
      ["empty", ""],
    ]);
    writeFileSync(path.join(folder, "a.tar"), tarOf(files, 1_700_000_000));
    execFileSync("tar", ["xf", "a.tar"], { cwd: folder });
    for (const [name, text] of files)
      expect(readFileSync(path.join(folder, name), "utf8"), name).to.equal(text);
    rmSync(folder, { recursive: true });
  });

  const report = (
    kube: KubeStore,
    more: { readonly deployments?: readonly string[]; readonly ingress?: boolean } = {},
  ): Promise<ReadonlyMap<string, string>> =>
    gatherReport({
      kube,
      // Nobody listens there: each page that is no JSON is a file with the reason.
      credentials: { server: "http://127.0.0.1:1", current: () => ({}) },
      pods: [],
      namespaces: ["shop"],
      deployments: [],
      ingress: false,
      all: false,
      say: () => undefined,
      ...more,
    });

  it("reports no environment, command or annotation of a pod, and nothing of pods that are none of the mesh's", async () => {
    const secret = "hunter2";
    const container = { name: "app", image: "app:1", env: [{ name: "KEY", value: secret }], args: [secret] };
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": secret };
    const kube = new KubeStore();
    for (const [place, app] of [
      ["pepr-system/pods/pepr-osm-1", "pepr-osm"],
      ["pepr-system/pods/other-1", "pepr-other"],
      ["shop/pods/shop-1", "shop"],
    ] as const)
      kube.put(
        `/api/v1/namespaces/${place}`,
        { labels: { app }, annotations },
        { spec: { containers: [container] } },
      );
    const files = await report(kube);
    expect(files.get("control-plane/pods.json")).to.contain("app:1");
    expect(files.get("namespaces/shop/shop-1/pod.json")).to.contain("app:1");
    for (const [name, text] of files) expect(text, name).not.to.contain(secret);
    expect([...files.keys()].filter(name => name.includes("other-1"))).to.deep.equal([]);
  });

  it("reports the pods of Deployments, and of the Services that IngressBackends let in, by their own labels", async () => {
    const kube = new KubeStore();
    const secret = "hunter2";
    const env = [{ name: "PASSWORD", value: secret }];
    const containers = [{ name: "app", image: "app:1", env, command: ["serve", secret] }];
    const annotated = { annotations: { "kubectl.kubernetes.io/last-applied-configuration": secret } };
    kube.put("/apis/networking.k8s.io/v1/namespaces/front/ingresses/shop", annotated, { spec: {} });
    kube.put("/apis/apps/v1/namespaces/bank/deployments/pay", annotated, {
      spec: { selector: { matchLabels: { app: "pay" } }, template: { metadata: {}, spec: { containers } } },
    });
    for (const [place, app] of [
      ["bank/pods/pay-1", "pay"],
      ["bank/pods/other-1", "other"],
      ["front/pods/nginx-1", "nginx"],
      ["front/pods/docs-1", "docs"],
    ] as const)
      kube.put(`/api/v1/namespaces/${place}`, { labels: { app }, ...annotated }, { spec: { containers } });
    kube.put("/api/v1/namespaces/front/services/nginx", annotated, { spec: { selector: { app: "nginx" } } });
    const sources = [{ kind: "Service", namespace: "front", name: "nginx" }, { kind: "IPRange" }];
    kube.put(
      "/apis/policy.openservicemesh.io/v1alpha1/namespaces/bank/ingressbackends/pay",
      {},
      { spec: { sources } },
    );
    const files = await report(kube, { deployments: ["bank/pay", "bank/none"], ingress: true });
    for (const [name, text] of files) expect(text, name).not.to.contain(secret);
    expect(files.get("ingress/ingresses.json")).to.contain("shop");
    const names = [...files.keys()];
    expect(names).to.include.members([
      "namespaces/bank/deployment-pay.json",
      "namespaces/bank/pay-1/pod.json",
      "namespaces/bank/deployment-none.json.failed",
      "ingress/ingresses.json",
      "ingress/front/nginx/service.json",
      "ingress/front/nginx/nginx-1/pod.json",
    ]);
    expect(names.filter(name => /other-1|docs-1/.test(name))).to.deep.equal([]);
  });

  it("reports the pods of a Deployment that selects by sets", async () => {
    const kube = new KubeStore();
    const matchExpressions = [
      { key: "app", operator: "In", values: ["pay", "pay-old"] },
      { key: "tier", operator: "Exists" },
      { key: "canary", operator: "DoesNotExist" },
      { key: "zone", operator: "NotIn", values: ["lab", "home"] },
    ];
    kube.put(
      "/apis/apps/v1/namespaces/bank/deployments/pay",
      {},
      { spec: { selector: { matchExpressions } } },
    );
    const fits = { app: "pay", tier: "back" };
    for (const [name, labels] of [
      ["meant-1", fits],
      ["meant-2", { ...fits, app: "pay-old", zone: "west" }],
      ["other-app", { ...fits, app: "shop" }],
      ["other-tier", { app: "pay" }],
      ["other-canary", { ...fits, canary: "yes" }],
      ["other-zone", { ...fits, zone: "lab" }],
    ] as const)
      kube.put(`/api/v1/namespaces/bank/pods/${name}`, { labels }, { spec: { containers: [] } });
    const files = await report(kube, { deployments: ["bank/pay"] });
    expect(files.get("namespaces/bank/deployment-pay.pods.txt")).to.equal("meant-1\nmeant-2\n");
    expect([...files.keys()]).to.include("namespaces/bank/meant-1/pod.json");
  });

  it("reports the rest where pods may not be listed", async () => {
    const kube = new KubeStore();
    kube.beforeGet = path => {
      if (/\/pods(\?|$)/.test(path)) throw new KubeError(403, "Forbidden", "pods is forbidden");
    };
    const files = await report(kube);
    for (const place of ["control-plane", "namespaces/shop"])
      expect(files.get(`${place}/pods.txt.failed`)).to.equal("pods is forbidden\n");
    expect([...files.keys()]).to.include.members(["objects/meshconfigs.json", "namespaces/shop/events.json"]);
  });

  it("does not say that callers without a certificate were let in, and tells of a log that was cut", () => {
    expect(nothingDenied(3, "shop", "10m")).to.match(/^Nobody was refused by the 3 sidecars of shop/);
    expect(nothingDenied(3, "shop", "10m")).to.contain("Callers without a certificate");
    expect([isCut("ä".repeat(50), 100), isCut("a".repeat(100), 200)]).to.deep.equal([true, false]);
  });

  it("finds refusals in a sidecar's log, and nothing else", () => {
    const line = (details: string | null, code: number): string =>
      JSON.stringify({
        start_time: "2026-01-01T00:00:00Z",
        method: "POST",
        authority: "shop",
        path: "/buy",
        response_code: code,
        response_code_details: details,
        caller: "spiffe://cluster.local/ns/a/sa/thief",
      });
    const connection = (flags: string, caller: string | null): string =>
      JSON.stringify({
        start_time: "2026-01-01T00:00:01Z",
        method: null,
        response_code: 0,
        response_code_details: null,
        response_flags: flags,
        requested_server_name: "shop.a.svc.cluster.local",
        caller,
      });
    const text = [
      "[warning] no JSON",
      line("via_upstream", 200),
      line("rbac_access_denied_matched_policy[none]", 403),
      line(null, 0),
      "{broken",
      connection("NC", "spiffe://cluster.local/ns/a/sa/thief"),
      // A plain caller's, whom nobody knows; and one that went well.
      connection("NC", null),
      connection("-", "spiffe://cluster.local/ns/a/sa/buyer"),
    ].join("\n");
    expect(denialsIn(text, "shop-1")).to.deep.equal([
      {
        time: "2026-01-01T00:00:00Z",
        pod: "shop-1",
        caller: "spiffe://cluster.local/ns/a/sa/thief",
        request: "POST shop/buy",
        code: 403,
        flags: "-",
        why: "rbac_access_denied_matched_policy[none]",
      },
      {
        time: "2026-01-01T00:00:01Z",
        pod: "shop-1",
        caller: "spiffe://cluster.local/ns/a/sa/thief",
        request: "TCP shop.a.svc.cluster.local",
        code: 0,
        flags: "NC",
        why: "no rule lets this caller in to the TCP port",
      },
    ]);
  });
});

describe("--set of osm install", () => {
  it("reads OSM's names with either prefix or none, lists as Helm writes them, and the last one wins", () => {
    const wanted = wantedBy([
      "OpenServiceMesh.meshName=a,osm.meshName=b",
      "outboundPortExclusionList={22,80}",
      "osm.inboundPortExclusionList[0]=6379,osm.inboundPortExclusionList[1]=7070",
      "tracing.enable=true,osm.tracing.address=jaeger\\,east",
      "osm.deployGrafana=true,osm.deployJaeger=false",
      "imagePullSecrets[0].name=registry",
    ]);
    expect(wanted.environment).to.deep.equal({ OSM_MESH_NAME: "b" });
    expect(wanted.meshConfig).to.deep.equal([
      [
        ["traffic", "outboundPortExclusionList"],
        [22, 80],
      ],
      [
        ["traffic", "inboundPortExclusionList"],
        [6379, 7070],
      ],
      [["observability", "tracing", "enable"], true],
      [["observability", "tracing", "address"], "jaeger,east"],
    ]);
    expect([wanted.addOns, wanted.imagePullSecrets]).to.deep.equal([["grafana"], ["registry"]]);
  });

  it("reads numbers with a fraction", () => {
    expect(wantedBy(["osm.tracing.samplingPercentage=12.5"]).meshConfig).to.deep.equal([
      [["observability", "tracing", "samplingPercentage"], 12.5],
    ]);
  });

  it("refuses what is neither true nor false where that is asked", async () => {
    for (const name of [
      "deployPrometheus",
      "enableEgress",
      "tracing.enable",
      "featureFlags.enableRetryPolicy",
    ])
      expect(() => wantedBy([`${name}=maybe`]), name).to.throw(
        `--set: ${name} is "maybe", neither true nor false`,
      );
    const flag = await osm(["install", "--enable-prometheus=maybe"]);
    expect(flag).to.deep.equal({
      code: 2,
      stdout: "",
      stderr: 'Error: --enable-prometheus is "maybe", neither true nor false\n',
    });
  });

  it("says why a value of OSM's does nothing, and refuses one that is none", () => {
    expect(wantedBy(["vault.host=vault.vault"]).warnings).to.deep.equal([
      "vault.host has no effect: Vault is named by a MeshRootCertificate",
    ]);
    expect(() => wantedBy(["osm.nonsense=1"])).to.throw("--set: there is no value nonsense");
  });
});
