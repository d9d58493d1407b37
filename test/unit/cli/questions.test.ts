/** explain, plan, policy and migrate as they are called, of files alone. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import { accessManifests, splitManifest } from "../../../hack/demo/policies";
import { applicationManifests, namespaceManifests } from "../../../hack/demo/manifests";
import type { Explanation } from "../../../src/cli/explain/request";
import type { Migration } from "../../../src/cli/migrate/check";
import type { Plan } from "../../../src/cli/plan/plan";
import { osm } from "../../support/cli";

const BUYER = ["-H", "client-app: bookbuyer", "-H", "User-Agent=Go-http-client/1.1"];

const MESH_CONFIG = `apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: { name: osm-mesh-config, namespace: osm-system }
spec: { traffic: { enablePermissiveTrafficPolicyMode: false } }
`;

const ODD = `apiVersion: v1
kind: Pod
metadata: { name: host, namespace: bookbuyer, labels: { app: host } }
spec: { hostNetwork: true, containers: [{ name: app }] }
---
apiVersion: v1
kind: Pod
metadata:
  { name: out, namespace: bookbuyer, annotations: { openservicemesh.io/sidecar-injection: disabled } }
spec: { containers: [{ name: app }] }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: nobody, namespace: bookbuyer }
`;

describe("questions to files", function () {
  this.timeout(120_000);
  let folder = "";

  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-questions-"));
    mkdirSync(path.join(folder, "policy"));
    const list = {
      apiVersion: "v1",
      kind: "List",
      items: [...namespaceManifests(), ...applicationManifests()],
    };
    writeFileSync(path.join(folder, "apps.json"), JSON.stringify(list));
    const documents = [...accessManifests(), splitManifest(100, 0)].map(each => stringify(each));
    writeFileSync(path.join(folder, "policy", "access.yaml"), documents.join("---\n"));
    writeFileSync(path.join(folder, "policy", "kustomization.yaml"), "resources: [access.yaml]\n");
  });

  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** Asks in the demo's world; the MeshConfig comes by standard input. */
  const ask = (...args: readonly string[]) => askWith(MESH_CONFIG, ...args);

  async function askWith(
    config: string,
    ...args: readonly string[]
  ): Promise<{ readonly code: number; readonly answer: Explanation; readonly stderr: string }> {
    const ended = await osm([...args, "-f", folder, "-f", "-", "-o", "json"], {
      stdin: `${config}---\n${ODD}`,
    });
    return { ...ended, answer: (ended.stdout === "" ? {} : JSON.parse(ended.stdout)) as Explanation };
  }

  const explain = (from: string, to: string, ...more: readonly string[]) =>
    ask("explain", "--from", from, "--to", to, ...more);

  it("names what lets a request in", async () => {
    const { code, answer } = await explain(
      "deploy/bookbuyer.bookbuyer",
      "bookstore.bookstore",
      "--path",
      "/books-bought",
      ...BUYER,
    );
    expect(code).to.equal(0);
    expect(answer.verdict).to.equal("delivered");
    expect(answer.cases.map(({ share, pod }) => ({ share, pod }))).to.deep.equal([
      { share: 1, pod: "bookstore/bookstore-v1-1" },
    ]);
    expect(answer.cases[0]?.decides).to.deep.equal([
      { object: "TrafficTarget bookstore/bookstore-v1", field: "spec.rules[0]" },
      { object: "HTTPRouteGroup bookstore/bookstore-service-routes", field: "spec.matches[0]" },
    ]);
    expect(answer.cases[0]?.steps.map(({ at }) => at)).to.deep.equal([
      "sidecar",
      "outbound",
      "route",
      "split",
      "backend",
      "identity",
      "access",
    ]);
    expect(answer.notes.join("\n")).to.match(/pods are assumed.*Deployment\/bookbuyer\/bookbuyer/);
  });

  it("names what came nearest where none does, with exit code 3", async () => {
    const { code, answer } = await explain(
      "bookbuyer/bookbuyer",
      "bookstore/bookstore-v1",
      "--method",
      "post",
      "--path",
      "/books-bought",
      ...BUYER,
    );
    expect(code).to.equal(3);
    const [refused] = answer.cases;
    expect(refused).to.include({ outcome: "forbidden", status: 403 });
    expect(refused?.nearest).to.match(
      /TrafficTarget bookstore\/bookstore-v1, rule 0, match “books-bought”, allows GET \/books-bought.*; asked for POST$/,
    );
    expect(refused?.decides[1]?.field).to.equal("spec.matches[0].methods");
    expect(answer.granted).to.have.length(2);
    const thief = await explain(
      "sa/bookthief.bookthief",
      "http://bookstore-v1.bookstore.svc.cluster.local:14001/books-bought",
      ...BUYER,
    );
    expect(thief.code).to.equal(3);
    expect(thief.answer.cases[0]?.decides[0]).to.deep.equal({
      object: "TrafficTarget bookstore/bookstore-v1",
      field: "spec.sources",
    });
    expect(thief.answer.granted).to.deep.equal([]);
  });

  it("says why a caller has no sidecar, and judges accounts that no pod runs as", async () => {
    const host = await explain("host.bookbuyer", "bookstore.bookstore");
    expect(host.answer.cases[0]?.steps[0]?.text).to.include("host's network");
    expect(host.answer.cases[0]).to.include({ outcome: "refused", reached: false });
    const out = await explain("bookbuyer/out", "bookstore.bookstore");
    expect(out.answer.cases[0]?.steps[0]?.text).to.include("sidecar-injection says no");
    const nobody = await explain("sa/nobody.bookbuyer", "bookstore.bookstore");
    expect(nobody.answer.notes[0]).to.include("no pod runs as ServiceAccount bookbuyer/nobody");
    expect(nobody.answer.cases[0]?.outcome).to.equal("forbidden");
  });

  it("finds headless Services, and hosts outside", async () => {
    const mysql = await explain("bookwarehouse.bookwarehouse", "mysql-0.mysql.bookwarehouse:mysql");
    expect(mysql.answer).to.include({ verdict: "delivered", request: "a TCP connection" });
    const outside = await explain(
      "bookbuyer.bookbuyer",
      "https://www.example.org",
      "--address",
      "203.0.113.7",
    );
    expect(outside.answer.cases[0]?.decides).to.deep.equal([
      { object: "MeshConfig osm-system/osm-mesh-config", field: "spec.traffic.enableEgress" },
    ]);
  });

  it("says that a sidecar is not told of what its identity may not call", async () => {
    const scoped = MESH_CONFIG.replace(
      "Mode: false",
      "Mode: false, enableEgress: false, clientScope: Permitted",
    );
    const call = ["--from", "sa/bookthief.bookthief", "--to", "bookstore-v1.bookstore"];
    const { answer } = await askWith(scoped, "explain", ...call);
    expect(answer.cases[0]).to.include({ outcome: "refused", reached: false });
    expect(answer.cases[0]?.decides.map(({ field }) => field)).to.deep.equal([
      "spec.traffic.clientScope",
      "spec.traffic.enablePermissiveTrafficPolicyMode",
    ]);
  });

  it("says that a pod's own address is called which no headless Service leads to", async () => {
    const call = ["--from", "bookbuyer.bookbuyer", "--to", "pod/bookstore/bookstore-v1-1:14001"];
    const decides = async (config: string): Promise<readonly unknown[]> => {
      const { answer } = await askWith(config, "explain", ...call, "--path", "/books-bought", ...BUYER);
      return [answer.verdict, ...(answer.cases[0]?.decides ?? []).map(({ field }) => field)];
    };
    const traffic = (fields: string): string => MESH_CONFIG.replace("Mode: false", `Mode: false, ${fields}`);
    expect(await decides(traffic("enableEgress: false"))).to.deep.equal([
      "refused",
      "spec.traffic.podAddresses",
      "spec.traffic.enableEgress",
    ]);
    expect(await decides(MESH_CONFIG)).to.deep.equal([
      "refused",
      "spec.traffic.podAddresses",
      "metadata.annotations[openservicemesh.io/inbound-plaintext]",
    ]);
    expect((await decides(traffic("podAddresses: Mesh")))[1]).to.equal("spec.rules[0]");
  });

  it("tells people all of it", async () => {
    const { code, stdout } = await osm(
      [
        "explain",
        "-n",
        "bookthief",
        "--from",
        "bookthief",
        "--to",
        "bookstore-v1.bookstore",
        "-f",
        folder,
        "-f",
        "-",
      ],
      { stdin: MESH_CONFIG },
    );
    expect(code).to.equal(3);
    expect(stdout).to.match(
      /^ServiceAccount bookthief\/bookthief → Service bookstore\/bookstore-v1 port 14001: GET \/\n/m,
    );
    expect(stdout).to.include("NO: forbidden: HTTP 403 (body “RBAC: access denied”)");
    expect(stdout).to.include("  decides   TrafficTarget bookstore/bookstore-v1, spec.sources");
  });

  it("says in one line what is wrong with the question", async () => {
    const faults: readonly (readonly [readonly string[], RegExp])[] = [
      [
        ["explain", "--from", "nobody.bookbuyer2", "--to", "a"],
        /there is no Pod, ServiceAccount or workload/,
      ],
      [
        ["explain", "--from", "bookbuyer.bookbuyer", "--to", "bookstore"],
        /there is no Service bookbuyer\/bookstore; there is bookstore\.bookstore/,
      ],
      [
        ["explain", "--from", "bookbuyer.bookbuyer", "--to", "bookstore.bookstore:web"],
        /no TCP port web; it has 14001 \(http\)/,
      ],
      [["explain", "--from", "bookbuyer.bookbuyer", "--to", "a", "--path", "x"], /a path begins with/],
      [["explain", "--from", "bookbuyer.bookbuyer", "--to", "a", "-H", "x"], /expected NAME: VALUE/],
      [["policy", "check-pods", "a/b", "c/d"], /there is no pod a\/b/],
    ];
    for (const [args, words] of faults) {
      const { code, stderr } = await ask(...args);
      expect(code, args.join(" ")).to.be.oneOf([1, 2]);
      expect(stderr.trim().split("\n")[0], args.join(" ")).to.match(words);
    }
    const bad = await osm(["explain", "--from", "a", "--to", "b", "-f", "-"], { stdin: "kind: {" });
    expect(bad.stderr).to.match(/^Error: standard input, document 1: /);
    const none = await osm(["explain", "--from", "a", "--to", "b", "-f", "/nonexistent.yaml"]);
    expect(none.stderr).to.equal("Error: there is no file /nonexistent.yaml\n");
  });

  it("plans without a cluster", async () => {
    const target = "TrafficTarget/bookstore/bookstore-v1";
    const { code, stdout } = await osm(
      ["plan", "--delete", target, "--base", folder, "--base", "-", "-o", "json"],
      { stdin: MESH_CONFIG },
    );
    expect(code).to.equal(0);
    const plan = JSON.parse(stdout) as Plan;
    expect(new Set(plan.access.lost.map(({ from }) => from))).to.deep.equal(new Set(["bookbuyer/bookbuyer"]));
    expect(plan.proxies.flatMap(({ pods }) => pods)).to.deep.equal(["bookstore/bookstore-v1-1"]);
    expect((await osm(["plan"])).code).to.equal(2);
  });

  it("says what one pod may send to another", async () => {
    const yes = await osm(
      ["policy", "check-pods", "bookbuyer/bookbuyer-1", "bookstore/bookstore-v1-1", "-f", folder, "-f", "-"],
      { stdin: MESH_CONFIG },
    );
    expect(yes.code).to.equal(0);
    expect(yes.stdout).to.match(
      /\[\+] .*port 14001: GET \/books-bought.*\(TrafficTarget bookstore\/bookstore-v1\)/s,
    );
    const no = await ask("policy", "check-pods", "bookthief/bookthief-1", "bookstore/bookstore-v1-1");
    expect(no.code).to.equal(3);
    const open = await osm([
      "policy",
      "check-pods",
      "bookthief/bookthief-1",
      "bookstore/bookstore-v1-1",
      "-f",
      folder,
    ]);
    expect(open.stdout).to.include("every request (permissive mode)");
  });

  it("finds IngressBackends that name the same backend", async () => {
    const one = (name: string, port: number): string =>
      stringify({
        apiVersion: "policy.openservicemesh.io/v1alpha1",
        kind: "IngressBackend",
        metadata: { name, namespace: "shop" },
        spec: {
          backends: [{ name: "cart", port: { number: port, protocol: "http" } }],
          sources: [{ kind: "IPRange", name: "10.0.0.0/8" }],
        },
      });
    const check = (stdin: string) =>
      osm(["policy", "check-conflicts", "IngressBackend", "-f", "-"], { stdin });
    const same = await check(`${one("a", 80)}---\n${one("b", 80)}`);
    expect(same.code).to.equal(1);
    expect(same.stdout).to.match(
      /IngressBackend shop\/b and IngressBackend shop\/a: both name backend cart port 80/,
    );
    const elsewhere = ["-n", "bank", "-f", "-"];
    const none = await osm(["policy", "check-conflicts", "IngressBackend", ...elsewhere], {
      stdin: `${one("a", 80)}---\n${one("b", 80)}`,
    });
    expect(none.code, "only those of a namespace").to.equal(0);
    const different = await check(`${one("a", 80)}---\n${one("b", 81)}`);
    expect(different).to.include({ code: 0, stdout: "No conflicts among IngressBackend objects.\n" });
  });

  it("says of each object of OSM what becomes of it", async () => {
    const old = `apiVersion: apps/v1
kind: Deployment
metadata: { name: osm-controller, namespace: osm-system }
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: { name: osm-mesh-config, namespace: osm-system }
spec: { certificate: { certKeyBitSize: 2048 }, featureFlags: { enableMulticlusterMode: true } }
---
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Retry
metadata: { name: wrong, namespace: shop }
spec: { source: {} }
`;
    const ended = await osm(["migrate", "check", "-f", folder, "-f", "-", "-o", "json"], { stdin: old });
    expect(ended.code).to.equal(1);
    const found = JSON.parse(ended.stdout) as readonly Migration[];
    const verdicts = new Map(found.map(({ object, verdict }) => [object, verdict]));
    expect(verdicts.get("Deployment/osm-system/osm-controller")).to.equal("action");
    expect(verdicts.get("Deployment/bookbuyer/bookbuyer")).to.equal(undefined);
    expect(verdicts.get("Retry/shop/wrong")).to.equal("refused");
    expect(verdicts.get("TCPRoute/bookwarehouse/mysql")).to.equal("carries-over");
    expect(verdicts.get("MeshConfig/osm-system/osm-mesh-config")).to.equal("changes");
  });
});
