import { expect } from "chai";
import { connect, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { until } from "../../hack/cluster/progress";
import type { KubeObject } from "../../src/runtime/kube";
import { systemClock } from "../../src/runtime/clock";
import { createKubeClient, type ClosableKubeClient } from "../../src/runtime/kube/client";
import { startInformer, type Informer } from "../../src/runtime/kube/informer";
import { namedSource, startInformers } from "../../src/runtime/kube/informers";
import { watchedLog } from "../support/told-errors";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { quantile, verdict } from "../support/verdict";

const FULL = process.env["OSM_FULL"] === "1";
/** How long connections are reset once a second, milliseconds, and between two changes meanwhile. */
const RESET_MS = FULL ? 60_000 : 6_000;
const CHANGE_MS = 50;
const MAPS = "/api/v1/namespaces/default/configmaps";

interface Value {
  readonly version: string;
  readonly text: string;
}

function configMap(name: string, text: string): KubeObject & { data: unknown } {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" }, data: { text } };
}

/** A link to the API server that can be cut, or made to swallow everything without a word. */
class Link {
  private readonly sockets = new Set<Socket>();
  private frozen = false;

  private constructor(
    private readonly server: Server,
    private readonly target: number,
  ) {
    server.on("connection", client => {
      this.join(client);
    });
  }

  static async to(target: number): Promise<Link> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Link(server, target);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Connections that exist go silent for good, as when a router forgets them; new ones work. */
  freeze(): void {
    for (const socket of this.sockets) socket.pause();
    for (const socket of this.sockets) socket.removeAllListeners("data");
    this.frozen = true;
  }

  reset(): void {
    for (const socket of this.sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.reset();
    this.server.close();
    if (this.server.listening) await once(this.server, "close");
  }

  private join(client: Socket): void {
    this.frozen = false;
    const upstream = connect(this.target, "127.0.0.1");
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.sockets.add(from);
      from.on("data", chunk => to.write(chunk));
      from.on("end", () => {
        if (!from.isPaused()) to.end();
      });
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.sockets.delete(from);
        if (!from.isPaused()) to.destroy();
      });
    }
  }
}

describe("informer against a real API server", function () {
  this.timeout(180_000);
  let server: TestApiServer;
  let direct: ClosableKubeClient;
  let link: Link;
  let linked: ClosableKubeClient;
  let informer: Informer<Value>;
  let regressions = 0;
  const newest = new Map<string, bigint>();

  before(async () => {
    server = await startApiServerForTest();
    direct = server.client();
    link = await Link.to(server.port);
    linked = createKubeClient(server.credentials(link.port));
    informer = startInformer<Value>({
      kube: linked,
      source: {
        kind: "ConfigMap",
        path: MAPS,
        project: object => ({
          version: object.metadata.resourceVersion ?? "",
          text: ((object as unknown as { data?: Record<string, string> }).data ?? {})["text"] ?? "",
        }),
      },
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
      pageSize: 3,
      onChange: change => {
        const entries = change.type === "upsert" ? [[change.key, change.value] as const] : [];
        for (const [key, value] of change.type === "reset" ? change.entries : entries) {
          const version = BigInt(value.version);
          if (version < (newest.get(key) ?? 0n)) regressions += 1;
          newest.set(key, version);
        }
      },
    });
    for (let n = 0; n < 10; n += 1) await direct.create(MAPS, configMap(`initial-${n}`, "ö".repeat(n)));
    await informer.synced;
  });
  after(async () => {
    informer.stop();
    linked.close();
    direct.close();
    await link.close();
    await server.stop();
  });

  async function seen(name: string, text: string | undefined, withinMs: number): Promise<number> {
    const began = Date.now();
    await until(
      `${name} to be seen`,
      withinMs,
      () => (informer.get(`default/${name}`)?.text === text ? true : undefined),
      5,
    );
    return Date.now() - began;
  }

  async function equalsServer(): Promise<void> {
    await until("equality with the server", 60_000, async () => {
      const list = await direct.get<{ items: KubeObject[] }>(MAPS);
      const want = Object.fromEntries(
        list.items.map(o => [`default/${o.metadata.name}`, o.metadata.resourceVersion]),
      );
      const got = Object.fromEntries([...informer.values()].map(([key, value]) => [key, value.version]));
      expect(got).to.deep.equal(want);
      return true;
    });
  }

  it("sees creations, changes and deletions within a moment", async () => {
    await direct.create(MAPS, configMap("first", "€"));
    expect(await seen("first", "€", 20_000)).to.be.below(5_000);
    await direct.mergePatch(`${MAPS}/first`, { data: { text: "😀" } });
    expect(await seen("first", "😀", 20_000)).to.be.below(5_000);
    await direct.delete(`${MAPS}/first`);
    expect(await seen("first", undefined, 20_000)).to.be.below(5_000);
    await equalsServer();
  });

  it("lives through connections reset once a second under 20 changes a second, without a new list", async () => {
    const before = informer.stats();
    const end = Date.now() + RESET_MS;
    const seenMs: number[] = [];
    for (let n = 0; Date.now() < end; n += 1) {
      if (n % 20 === 0) link.reset();
      const name = `churn-${n % 7}`;
      if (n % 11 === 10) {
        await direct.delete(`${MAPS}/${name}`).catch(() => undefined);
      } else {
        await direct.apply(`${MAPS}/${name}`, configMap(name, `round ${n}`), "test");
        seenMs.push(await seen(name, `round ${n}`, 30_000));
      }
      await until(
        "the next tick",
        20_000,
        () => (Math.floor((end - Date.now()) / CHANGE_MS) <= RESET_MS / CHANGE_MS - n ? true : undefined),
        5,
      );
    }
    await equalsServer();
    const lists = informer.stats().lists - before.lists;
    const p99Ms = quantile(seenMs, 0.99);
    verdict(`R-07: resets once a second for ${RESET_MS / 1_000} s`, lists === 0 && p99Ms <= 2_000, {
      count: seenMs.length,
      failed: regressions,
      p50Ms: quantile(seenMs, 0.5),
      p99Ms,
      bound: `nothing lost, 2000 ms to be seen, no new list; were ${lists}`,
    });
    expect(Math.max(...seenMs)).to.be.below(20_000);
    expect(lists).to.equal(0);
  });

  it("finds out that a link is dead without a word", async () => {
    await direct.create(MAPS, configMap("before-freeze", "here"));
    await seen("before-freeze", "here", 20_000);
    link.freeze();
    await direct.mergePatch(`${MAPS}/before-freeze`, { data: { text: "changed in silence" } });
    const tookMs = await seen("before-freeze", "changed in silence", 60_000);
    verdict("R-08: a watch that is dead without a word", tookMs <= 15_000, {
      longestMs: tookMs,
      bound: "15000 ms until a change made behind it is seen",
    });
    expect(informer.stats().stalls).to.be.at.least(1);
    await equalsServer();
  });

  it("lists again when the API server has forgotten the version (410), and once only", async () => {
    const lists = informer.stats().lists;
    await server.stopApiServer();
    // While nobody watches: changes and a compaction behind our back, straight in etcd through a second start.
    await server.startAgain();
    await compact(server);
    await direct.apply(`${MAPS}/after-restart`, configMap("after-restart", "new"), "test");
    expect(await seen("after-restart", "new", 60_000)).to.be.below(50_000);
    await equalsServer();
    expect(informer.stats().lists - lists).to.be.at.most(2);
  });

  it("does not notice an API server that is stopped for a while, other than by waiting", async () => {
    process.kill(server.pids.apiserver, "SIGSTOP");
    const stale = informer.staleness();
    await until("staleness to grow", 20_000, () => (informer.staleness() > stale + 3_000 ? true : undefined));
    process.kill(server.pids.apiserver, "SIGCONT");
    await direct.apply(`${MAPS}/after-stop`, configMap("after-stop", "new"), "test");
    expect(await seen("after-stop", "new", 60_000)).to.be.below(30_000);
    await equalsServer();
  });

  it("follows one named object with its own informer, and a table of kinds", async () => {
    const named = startInformer<string>({
      kube: direct,
      source: namedSource({
        kind: "ConfigMap",
        collection: MAPS,
        name: "only-me",
        project: (object: KubeObject) => object.metadata.name,
      }),
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
      onChange: () => undefined,
    });
    const kinds = startInformers({
      kube: direct,
      projectors: [
        { kind: "Namespace", apiPath: "/api/v1/namespaces", key: nameOf, project: nameOf },
        { kind: "ConfigMap", apiPath: "/api/v1/configmaps", key: nameOf, project: nameOf },
      ],
      only: { ConfigMap: { namespace: "default", name: "only-me" } },
      apply: () => undefined,
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
    });
    await direct.create(MAPS, configMap("only-me", ""));
    await direct.create(MAPS, configMap("not-me", ""));
    await kinds.synced;
    await until("the object", 60_000, () => named.get("default/only-me"));
    await until("the object", 60_000, () => kinds.byKind.get("ConfigMap")?.get("only-me"));
    expect([...named.values()].map(([key]) => key)).to.deep.equal(["default/only-me"]);
    expect([...(kinds.byKind.get("ConfigMap")?.values() ?? [])]).to.have.length(1);
    expect([...(kinds.byKind.get("Namespace")?.values().keys() ?? [])]).to.include("default");
    expect(kinds.waitingFor()).to.deep.equal([]);
    kinds.stop();
    named.stop();
  });

  it("never went back to an older version", () => {
    expect(regressions).to.equal(0);
    expect(newest.size).to.be.greaterThan(10);
  });
});

function nameOf(object: unknown): string {
  return (object as KubeObject).metadata.name;
}

/** Makes etcd forget its history, by its JSON gateway. */
async function compact(server: TestApiServer): Promise<void> {
  const post = async (path: string, body: unknown): Promise<unknown> => {
    const url = `http://127.0.0.1:${server.etcdPort}${path}`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(body) });
    return answer.json();
  };
  const range = (await post("/v3/kv/range", { key: Buffer.from("x").toString("base64") })) as {
    header: { revision: string };
  };
  await post("/v3/kv/compaction", { revision: range.header.revision, physical: true });
}
