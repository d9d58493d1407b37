import { expect } from "chai";
import { ADS_SAN } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsClient } from "../support/ads-client";
import { ChildProgram } from "../support/child-program";
import type { DeafProxies } from "../support/deaf-app";
import type { FloodServer, FloodTarget } from "../support/flood-server-app";
import { quantile, verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
const [HONEST, DEAF] = FULL ? [50, 10] : [10, 4];
const FOR_MS = FULL ? 600_000 : 12_000;
/** Half of the deaf ones wait until they are cut; the others begin anew after this much. */
const PATIENCE_MS = FULL ? 10_000 : 2_000;
/** A response unanswered for that long ends a stream; at full counts as in the product. */
const LIMITS = FULL ? {} : { stalledMs: 3_000 };
/** Bytes that change for everybody, and the rest after everybody has them. */
const SIZE = 200_000;
const PUSH_EVERY_MS = 100;
/** What is aimed at for the others, and for the memory of the server. */
const AIM = { pushMs: 500, megabytes: 64 } as const;
const READ_EVERY_MS = 2_000;

const names = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${kind}-${n}`);
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** Resident memory and the event loop of the server, as they were read one after the other. */
interface Readings {
  readonly megabytes: number[];
  readonly lagP99Ms: number[];
  readonly lagLongestMs: number[];
}

describe(`${DEAF} of ${HONEST + DEAF} proxies that read nothing for ${FOR_MS / 1_000} s and come again (R-12)`, function () {
  this.timeout(FOR_MS + 300_000);
  let server: ChildProgram<FloodServer>;
  let deaf: ChildProgram<DeafProxies>;
  let target: FloodTarget;
  let clients: readonly AdsClient[] = [];
  let version = 0;

  before(async () => {
    // As the product's pods are started.
    const env = { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "131072" };
    server = ChildProgram.start("test/support/flood-server-app.ts", { env });
    deaf = ChildProgram.start("test/support/deaf-app.ts");
    const pods = [...names("honest", HONEST), ...names("deaf", DEAF)];
    target = await server.ask("start", { limits: LIMITS, pods });
    await push();
    clients = names("honest", HONEST).map(name => {
      const token = `shop/buyer/${name}/uid-${name}`;
      const address = `127.0.0.1:${target.port}`;
      const client = new AdsClient({ address, root: target.root, serverName: ADS_SAN, token });
      client.send({ typeUrl: TYPE_URLS.cluster });
      return client;
    });
    await arrived();
  });
  after(async () => {
    for (const client of clients) client.close();
    await Promise.all([server.stop(), deaf.stop()]);
  });

  const push = async (): Promise<void> => {
    version += 1;
    await server.ask("push", { version: String(version), size: SIZE });
  };
  const hasCome = (client: AdsClient): boolean =>
    client.held.get(TYPE_URLS.cluster)?.get("shop")?.version === String(version);
  /** The milliseconds until every honest proxy has what there is. */
  const arrived = async (): Promise<number> => {
    const began = performance.now();
    await waitFor("the change at every honest proxy", () => clients.every(hasCome), 120_000);
    // What was received is kept by name; the responses themselves would only grow.
    for (const client of clients) client.responses.splice(0);
    return performance.now() - began;
  };
  const read = async (readings: Readings): Promise<void> => {
    const { rssMegabytes, lagP99Ms, lagLongestMs } = await server.ask("read", undefined as never);
    readings.megabytes.push(rssMegabytes);
    readings.lagP99Ms.push(lagP99Ms);
    readings.lagLongestMs.push(lagLongestMs);
  };

  it("cost it no memory and the others nothing", async () => {
    const readings: Readings = { megabytes: [], lagP99Ms: [], lagLongestMs: [] };
    const pushesMs: number[] = [];
    const pushAndRead = async (): Promise<void> => {
      await push();
      pushesMs.push(await arrived());
      await new Promise(resolve => setTimeout(resolve, PUSH_EVERY_MS));
    };
    // What it takes without them.
    for (let n = 0; n < 50; n += 1) await pushAndRead();
    await read(readings);
    const [alone] = readings.megabytes.splice(0);
    pushesMs.splice(0);
    const state = { over: false };
    const running = deaf
      .ask("run", { target, proxies: DEAF, patienceMs: PATIENCE_MS, forMs: FOR_MS })
      .finally(() => (state.over = true));
    running.catch(() => undefined);
    let last = Date.now();
    while (!state.over) {
      await pushAndRead();
      if (Date.now() - last < READ_EVERY_MS) continue;
      last = Date.now();
      await read(readings);
    }
    const { opened, cut, longestMs, shortestMs } = await running;
    const third = Math.floor(readings.megabytes.length / 3);
    const [early, late] = [mean(readings.megabytes.slice(0, third)), mean(readings.megabytes.slice(-third))];
    const most = Math.max(...readings.megabytes) - (alone ?? 0);
    const lost = clients.filter(client => client.ended !== undefined).length;
    const p99Ms = Math.round(quantile(pushesMs, 0.99));
    const round = (value: number): string => value.toFixed(0);
    verdict(
      `R-12: ${DEAF} deaf proxies beside ${HONEST} for ${FOR_MS / 1_000} s, ${opened} streams of theirs, ${cut} cut after ${shortestMs} to ${longestMs} ms`,
      lost === 0 && p99Ms <= AIM.pushMs && most <= AIM.megabytes,
      {
        count: pushesMs.length,
        failed: lost,
        p50Ms: Math.round(quantile(pushesMs, 0.5)),
        p99Ms,
        longestMs: Math.round(Math.max(...pushesMs)),
        bound: `others' push p99 ${AIM.pushMs} ms, +${AIM.megabytes} MB over ${round(alone ?? 0)} without them; at most +${round(most)}, mean of the first third ${round(early)}, of the last ${round(late)}; event loop p99 ${round(quantile(readings.lagP99Ms, 0.99))}, longest ${round(Math.max(...readings.lagLongestMs))} ms`,
      },
    );
    expect(lost, "honest proxies that lost their stream").to.equal(0);
    expect(cut, "deaf streams that were cut").to.be.at.least(DEAF / 2);
    expect(opened).to.be.above(2 * DEAF);
    expect(p99Ms).to.be.below(10 * AIM.pushMs);
    expect(most).to.be.below(10 * AIM.megabytes);
    expect(late - early, "growth over the time").to.be.below(AIM.megabytes);
    // Nothing of them is left.
    const gone = async (): Promise<boolean> => {
      const { stats } = await server.ask("read", undefined as never);
      return stats.connections === HONEST && stats.streams === HONEST;
    };
    await waitFor("the deaf ones to be gone", gone, 120_000);
  });
});
