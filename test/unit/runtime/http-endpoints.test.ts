import { expect } from "chai";
import {
  createDebugEndpoint,
  healthPages,
  listenHttp,
  type Endpoint,
} from "../../../src/runtime/http-endpoints";
import { expectErrors, watchedLog } from "../../support/told-errors";
import { createMetrics } from "../../../src/runtime/metrics";
import { observeInformers, observeProcess } from "../../../src/runtime/observe";
import { Secret } from "../../../src/model/secret";

const HOST = "127.0.0.1";
const JWT = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl";

async function get(
  port: number,
  path: string,
  method = "GET",
  host = HOST,
): Promise<{ status: number; body: string }> {
  const answer = await fetch(`http://${host}:${port}${path}`, { method });
  return { status: answer.status, body: await answer.text() };
}

describe("health endpoint", () => {
  let endpoint: Endpoint;
  let reason: string | undefined = "waiting for Pod";
  before(async () => {
    const metrics = createMetrics();
    metrics.counter({ name: "osm_things_total", help: "Things." }).inc({}, 3);
    observeInformers(metrics, {
      byKind: new Map([["Pod", { ...informer, staleness: () => 1_500 }]]),
    });
    observeProcess(metrics);
    const pages = healthPages({ metrics, notReady: () => reason, version: { version: "0.1.0" } });
    endpoint = await listenHttp({ log: watchedLog, host: HOST, port: 0, pages });
  });
  after(() => endpoint.close());

  it("is alive at once and ready when nothing is waited for", async () => {
    expect((await get(endpoint.port, "/health/alive")).status).to.equal(200);
    expect(await get(endpoint.port, "/health/ready")).to.deep.equal({
      status: 503,
      body: "waiting for Pod\n",
    });
    reason = undefined;
    expect((await get(endpoint.port, "/health/ready?x=1")).status).to.equal(200);
  });

  it("serves metrics, version and SMI versions", async () => {
    const { body } = await get(endpoint.port, "/metrics");
    expect(body).to.contain("# TYPE osm_things_total counter\nosm_things_total 3\n");
    expect(body).to.contain('osm_informer_staleness_seconds{kind="Pod"} 1.5\n');
    expect(body).to.match(/process_resident_memory_bytes \d{7,}/);
    expect(JSON.parse((await get(endpoint.port, "/version")).body)).to.deep.equal({ version: "0.1.0" });
    expect((await get(endpoint.port, "/smi/version")).body).to.contain("split.smi-spec.io/v1alpha4");
  });

  it("knows exact paths only and reads only", async () => {
    for (const path of ["/", "/health", "/metrics/", "/constructor", "/__proto__", "/debug"]) {
      expect((await get(endpoint.port, path)).status, path).to.equal(404);
    }
    expect((await get(endpoint.port, "/metrics", "POST")).status).to.equal(405);
    expect((await get(endpoint.port, "/version", "HEAD")).body).to.equal("");
  });

  it("fails to start on a port that is taken, instead of ending the process", async () => {
    const again = listenHttp({ log: watchedLog, host: HOST, port: endpoint.port, pages: {} });
    const error: unknown = await again.catch((reason: unknown) => reason);
    expect((error as { code?: string }).code).to.equal("EADDRINUSE");
  });
});

const informer = {
  kind: "Pod",
  synced: Promise.resolve(),
  isSynced: true,
  values: () => new Map(),
  get: () => undefined,
  staleness: () => 0,
  stats: () => ({ lists: 1, watches: 2, events: 3, stale: 0, failures: 0, stalls: 0 }),
  relist: () => undefined,
  stop: () => undefined,
};

describe("debug endpoint", () => {
  expectErrors(/^page failed .*"\/debug\/broken"/);
  const debug = createDebugEndpoint({
    log: watchedLog,
    port: 0,
    pages: {
      "/debug/proxy": () => ({
        token: "abc",
        nested: { list: [{ note: `Bearer ${JWT}` }, { key: new Secret("private") }] },
        proxies: Array.from({ length: 500 }, (_, n) => n),
      }),
      "/debug/broken": () => {
        throw new Error(`internal ${JWT}`);
      },
    },
  });
  after(async () => {
    debug.setEnabled(false);
    await debug.settled();
  });

  it("is closed until it is switched on, and again after", async () => {
    expect(debug.port()).to.equal(undefined);
    debug.setEnabled(true);
    await debug.settled();
    const port = debug.port() ?? 0;
    expect((await get(port, "/debug")).body).to.equal("/debug/broken\n/debug/proxy\n");
    // Another address of this machine, as a pod's address is.
    const elsewhere = await get(port, "/debug", "GET", "127.0.0.2").then(
      () => "an answer",
      (error: unknown) => String((error as Error).cause),
    );
    expect(elsewhere).to.contain("ECONNREFUSED");
    debug.setEnabled(false);
    await debug.settled();
    const refused: unknown = await get(port, "/debug").catch((reason: unknown) => reason);
    expect(refused).to.be.instanceOf(Error);
  });

  it("follows the last word when it is switched quickly", async () => {
    for (const on of [true, false, true, true, false, true]) debug.setEnabled(on);
    await debug.settled();
    expect((await get(debug.port() ?? 0, "/debug")).status).to.equal(200);
  });

  it("shows whole pages and no secret", async () => {
    debug.setEnabled(true);
    await debug.settled();
    const { body } = await get(debug.port() ?? 0, "/debug/proxy");
    const page = JSON.parse(body) as { token: string; proxies: number[] };
    expect(page.proxies).to.have.length(500);
    expect(page.token).to.equal("[redacted]");
    expect(body).not.to.contain(JWT).and.not.to.contain('"private"');
    expect(await get(debug.port() ?? 0, "/debug/broken")).to.deep.equal({
      status: 500,
      body: "failed, see the log\n",
    });
  });
});
