import { expect } from "chai";
import { ensureCluster, kubectl, tryKubectl } from "../../hack/cluster";
import { repositoryRoot } from "../../hack/cluster/settings";
import { run, type RunResult } from "../../hack/cluster/shell";
import { DEMO_LABEL, DEMO_NAME } from "../../hack/demo/manifests";

/** The whole demo takes about five minutes on two idle cores. */
const DEMO_MS = 1_500_000;

/** What `npm run demo` runs. */
function demo(...args: readonly string[]): Promise<RunResult> {
  const command = ["hack/bootstrap.cjs", "demo", ...args];
  return run(process.execPath, command, { cwd: repositoryRoot(), timeoutMs: DEMO_MS });
}

async function demoNamespaces(): Promise<string> {
  return (await kubectl(["get", "namespaces", "-l", `${DEMO_LABEL}=${DEMO_NAME}`, "-o", "name"])).trim();
}

/** Numbers that follow a word in the demo's lines of counters, in the order they were printed. */
function series(output: string, pattern: RegExp): number[] {
  return [...output.matchAll(pattern)].map(match => Number(match[1]));
}

describe("npm run demo", function () {
  this.timeout(DEMO_MS + 60_000);
  let told: RunResult;

  before(async () => {
    await ensureCluster(() => undefined);
    told = await demo("--duration", "12");
  });

  it("ends by itself, with exit code 0", () => {
    expect(told.code, `${told.stdout.slice(-6000)}\n${told.stderr.slice(-2000)}`).to.equal(0);
  });

  it("says what it needs first", () => {
    expect(told.stderr.split("\n")[0]).to.match(/demo needs: root on Linux/);
  });

  it("shows counters that rise: bought from both versions, stolen, restocked", () => {
    const bought = series(told.stdout, /bought (\d+) /g);
    const stolen = series(told.stdout, /stolen (\d+) /g);
    const restocked = series(told.stdout, /restocked (\d+) /g);
    for (const counter of [bought, stolen, restocked]) {
      expect(counter.at(-1)).to.be.greaterThan(counter[0] ?? Infinity);
    }
    const closing = /· (\d+) books bought \(v1 (\d+), v2 (\d+)\), (\d+) stolen, (\d+) restocked/.exec(
      told.stdout,
    );
    expect(closing, "closing numbers").not.to.equal(null);
    for (const number of closing?.slice(1) ?? []) expect(Number(number)).to.be.greaterThan(0);
  });

  it("gives every pod of the meshed namespaces a sidecar, and the one outside none", () => {
    expect(told.stdout.match(/: with sidecar$/gm)).to.have.length(5);
    expect(told.stdout.match(/: outside the mesh, no sidecar$/gm)).to.have.length(1);
  });

  it("proves by capture that pods speak TLS 1.3, with a control that the marker was sent", () => {
    expect(told.stdout).to.match(/client hello: TLS 1\.3, protocols osm/);
    expect(told.stdout).to.match(/server hello: TLS 1\.3/);
    expect(told.stdout).to.match(/marker readable between the pods: no/);
    expect(told.stdout).to.match(/marker readable on the server pod's loopback \(the control\): yes/);
  });

  it("sees a pod without sidecar refused, and a MeshConfig switch take effect without a failed request", () => {
    expect(told.stdout).to.match(/one without sidecar is refused/);
    expect(told.stdout).to.match(/calls out of the mesh are refused .* \d+ books bought meanwhile, 0 failed/);
    expect(told.stdout).to.match(/calls out of the mesh are answered again/);
  });

  it("removes its namespaces and leaves the MeshConfig as it was", async () => {
    expect(await demoNamespaces()).to.equal("");
    const egress = "jsonpath={.spec.traffic.enableEgress}";
    const value = await kubectl(["-n", "osm-system", "get", "meshconfig", "osm-mesh-config", "-o", egress]);
    expect(value).to.be.oneOf(["true", ""]);
  });

  it("leaves a namespace of somebody else alone, and does not start", async () => {
    await kubectl(["create", "namespace", "bookthief"]);
    try {
      const refused = await demo();
      expect(refused.code).to.equal(1);
      expect(refused.stdout).to.match(/namespace bookthief exists and has no label/);
      expect(refused.stdout).not.to.include("npx pepr deploy");
      expect((await tryKubectl(["get", "namespace", "bookthief"])).code).to.equal(0);
      expect(await demoNamespaces()).to.equal("");
    } finally {
      await kubectl(["delete", "namespace", "bookthief", "--wait=true"], { timeoutMs: 120_000 });
    }
  });
});
