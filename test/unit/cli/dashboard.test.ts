import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { until } from "../../../hack/cluster/progress";
import { openBrowser } from "../../../src/cli/dashboard/browser";
import { graphOf } from "../../../src/cli/dashboard/graph";
import { placesOf } from "../../../src/cli/dashboard/layout";
import { contentPolicy, startDashboard, type Dashboard } from "../../../src/cli/dashboard/server";
import type { TopologyPage, TrafficPage, WorkloadLine } from "../../../src/runtime/api/pages";
import { osm } from "../../support/cli";

const HTML = "<style>a{}</style><script>1</script>";

describe("the dashboard's server", () => {
  let dashboard: Dashboard;
  before(async () => {
    const ask = (name: string, query: string): Promise<unknown> =>
      name === "bad"
        ? Promise.reject(new Error("no"))
        : Promise.resolve(name === "x" ? { query } : undefined);
    dashboard = await startDashboard({ port: 0, html: HTML, ask });
  });
  after(() => dashboard.close());
  const status = (given: http.RequestOptions, at = dashboard.url): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      http
        .get(at, given, response => {
          response.resume();
          resolve(response.statusCode);
        })
        .on("error", reject);
    });

  it("answers whoever has the address, with the page and what it asks for", async () => {
    const page = await fetch(dashboard.url);
    expect([page.status, await page.text()]).to.deep.equal([200, HTML]);
    expect(page.headers.get("content-security-policy")).to.equal(contentPolicy(HTML));
    expect(await (await fetch(`${dashboard.url}api/x?a=b`)).json()).to.deep.equal({ query: "a=b" });
    const failed = await fetch(`${dashboard.url}api/bad`);
    expect([failed.status, await failed.json()]).to.deep.equal([502, { error: "no" }]);
    expect((await fetch(`${dashboard.url}api/none`)).status).to.equal(404);
  });

  it("answers nobody else: no secret, another host's name, or a method that writes", async () => {
    expect(await status({}, new URL("/", dashboard.url).href)).to.equal(403);
    expect(await status({ headers: { host: "elsewhere.example" } })).to.equal(421);
    expect(await status({ method: "POST" })).to.equal(405);
  });

  it("allows the page its own script and style alone", () => {
    expect(contentPolicy(HTML)).to.match(
      /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; connect-src 'self';/,
    );
  });
});

describe("the dashboard's browser", () => {
  it("is given a file that only the user can read, never the secret itself", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-opener-"));
    const out = path.join(folder, "argv");
    const record = `require("fs").writeFileSync(${JSON.stringify(out)}, process.argv.at(-1))`;
    const url = "http://127.0.0.1:1/secret-of-the-page/";
    const forget = openBrowser(url, [process.execPath, "-e", record]);
    const given = await until("the opener", 30_000, () => existsSync(out) && readFileSync(out, "utf8"));
    const file = fileURLToPath(given);
    expect(given).not.to.contain("secret-of-the-page");
    expect(readFileSync(file, "utf8")).to.contain(url);
    expect(statSync(file).mode & 0o077).to.equal(0);
    forget();
    expect(existsSync(file)).to.equal(false);
    rmSync(folder, { recursive: true });
  });
});

describe("the dashboard's picture", () => {
  const workload = (id: string, more: Partial<WorkloadLine> = {}): WorkloadLine => ({
    workload: id,
    pods: 1,
    proxies: 1,
    identities: [id.replace("/Deployment", "")],
    open: false,
    plaintext: false,
    allows: [],
    ...more,
  });
  const topology: TopologyPage = {
    at: 0,
    workloads: [
      workload("a/Deployment/web"),
      workload("a/Deployment/idle"),
      workload("b/Deployment/v1", { allows: [{ by: "b/ok", sources: ["a/web", "a/idle"] }] }),
      workload("b/Deployment/v2"),
    ],
    services: [
      {
        service: "b/pay",
        ports: [80],
        workloads: ["b/Deployment/v1"],
        splits: [
          {
            by: "b/s",
            matches: [],
            backends: [
              { service: "b/v1", weight: 3 },
              { service: "b/v2", weight: 1 },
            ],
          },
        ],
      },
      { service: "b/v1", ports: [80], workloads: ["b/Deployment/v1"], splits: [] },
      { service: "b/v2", ports: [80], workloads: ["b/Deployment/v2"], splits: [] },
    ],
  };
  const trafficOf = (failed: number, refused: number): TrafficPage => ({
    at: 0,
    windowMs: 1000,
    asked: 1,
    silent: [],
    calls: [{ from: "a/Deployment/web", service: "b/pay", port: 80, rate: 10, failed, refused }],
    pairs: [{ from: "a/Deployment/web", to: "b/Deployment/v1", rate: 10, failed, refused, forbidden: 0 }],
  });
  const stateOf = (failed: number, refused: number): string | undefined =>
    graphOf(topology, trafficOf(failed, refused)).edges.find(({ id }) => id === "a/Deployment/web>b/pay:80")
      ?.state;

  it("tells how calls fare", () => {
    expect([stateOf(0, 0), stateOf(0.1, 0), stateOf(1, 0), stateOf(0, 6), stateOf(1, 9)]).to.deep.equal([
      "well",
      "well",
      "failing",
      "refused",
      "failing",
    ]);
  });

  it("draws shares of a split, and who may call and does not", () => {
    const { edges } = graphOf(topology, trafficOf(0, 0));
    const shares = edges
      .filter(({ from }) => from === "b/pay")
      .map(({ to, weight, measured }) => [to, weight, measured]);
    expect(shares).to.deep.equal([
      ["b/Deployment/v1", 0.75, 1],
      ["b/Deployment/v2", 0.25, 0],
    ]);
    const idle = edges.filter(({ by }) => by.length > 0).map(({ from, to, by }) => [from, to, ...by]);
    expect(idle).to.deep.equal([["a/Deployment/idle", "b/Deployment/v1", "b/ok"]]);
  });

  it("gives every node a place of its own, callers left of those they call", () => {
    const graph = graphOf(topology, trafficOf(0, 0));
    const places = placesOf(graph);
    expect(new Set([...places.values()].map(({ column, row }) => `${column} ${row}`)).size).to.equal(
      graph.nodes.length,
    );
    for (const { from, to } of graph.edges)
      expect(places.get(from)?.column ?? 9, `${from} > ${to}`).to.be.lessThan(places.get(to)?.column ?? 0);
  });
});

describe("osm dashboard where others manage the mesh", () => {
  it("is no command", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-managed-"));
    const file = path.join(folder, "config.yaml");
    writeFileSync(file, "install:\n  kind: managed\n");
    const { code, stderr } = await osm(["dashboard"], { env: { OSM_CONFIG: file } });
    expect([code, stderr.includes("unknown command")]).to.deep.equal([2, true]);
    rmSync(folder, { recursive: true });
  });
});
