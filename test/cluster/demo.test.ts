import { expect } from "chai";
import { ensureCluster, kubectl, tryKubectl } from "../../hack/cluster";
import { repositoryRoot } from "../../hack/cluster/settings";
import { run, type RunResult } from "../../hack/cluster/shell";
import { DEMO_LABEL, DEMO_NAME } from "../../hack/demo/manifests";

/** The whole demo takes about six minutes on two idle cores. */
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

/** A step of the canary, as the demo tells it. */
interface Told {
  readonly weights: string;
  readonly ms: number;
  readonly v1: number;
  readonly v2: number;
  readonly failed: number;
}

/** The steps of the canary, without their repetition in the summary. */
function weighings(output: string): readonly Told[] {
  const step = /canary (\S+): .* seen (\d+) ms after .*; then v1 sold (\d+), v2 (\d+), (\d+) failed/g;
  const played = output.slice(0, output.indexOf("== What was shown"));
  return [...played.matchAll(step)].map(([, weights = "", ...numbers]) => {
    const [ms = NaN, v1 = NaN, v2 = NaN, failed = NaN] = numbers.map(Number);
    return { weights, ms, v1, v2, failed };
  });
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
      // Shoppers begin again at zero during the story.
      expect(Math.max(...counter)).to.be.greaterThan(counter[0] ?? Infinity);
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

  it("denies all when permissive mode is off: nobody gets a book, and the mesh says no at once", () => {
    expect(told.stdout).to.match(/deny all: the counters of books stand still/);
    const denied = told.stdout.indexOf("deny all: the counters");
    expect(told.stdout.indexOf("allow bookbuyer only")).to.be.greaterThan(denied);
  });

  it("allows bookbuyer by TrafficTargets, and bookthief stays at zero until permissive mode is back", () => {
    const allowed = /since then (\d+) bought, (\d+) stolen \((\d+) attempts\)/.exec(told.stdout);
    const [books, thefts, attempts] = allowed?.slice(1).map(Number) ?? [];
    expect(books).to.be.greaterThan(0);
    expect(thefts).to.equal(0);
    expect(attempts).to.be.greaterThan(0);
    const story = told.stdout.slice(allowed?.index, told.stdout.indexOf("== Permissive mode again"));
    expect(new Set(series(story, /stolen (\d+) \(/g))).to.deep.equal(new Set([0]));
    expect(story).to.include("bookthief is still at zero");
    expect(told.stdout).to.match(/permissive again: bookthief's first book \d+ ms after/);
  });

  it("moves the sales from v1 to v2 by a TrafficSplit, without a failed request", () => {
    const steps = weighings(told.stdout);
    expect(steps.map(({ weights }) => weights)).to.deep.equal(["100/0", "90/10", "50/50", "0/100"]);
    // Ten times what is aimed at: a second.
    for (const { ms } of steps) expect(ms).to.be.lessThan(10_000);
    expect(steps.map(({ failed }) => failed)).to.deep.equal([0, 0, 0, 0]);
    const shares = steps.map(({ v1, v2 }) => v2 / (v1 + v2));
    const [none = 1, some = 1, even = 1, all = 0] = shares;
    expect(none).to.equal(0);
    expect(some).to.be.lessThan(0.5);
    expect(even).to.be.within(0.1, 0.9);
    expect(all).to.equal(1);
  });

  it("removes its namespaces and leaves the MeshConfig as it was", async () => {
    expect(await demoNamespaces()).to.equal("");
    for (const field of ["enableEgress", "enablePermissiveTrafficPolicyMode"]) {
      const path = `jsonpath={.spec.traffic.${field}}`;
      const value = await kubectl(["-n", "osm-system", "get", "meshconfig", "osm-mesh-config", "-o", path]);
      expect(value, field).to.be.oneOf(["true", ""]);
    }
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
