import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { expect } from "chai";
import { KubeError, type KubeObject, type WatchEvent } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { createKubeClient } from "../../src/runtime/kube/client";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { until } from "../../hack/cluster/progress";

const MAPS = "/api/v1/namespaces/default/configmaps";

function configMap(name: string, data: Record<string, string>): KubeObject & { data: unknown } {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default" }, data };
}

async function failure(work: Promise<unknown>): Promise<KubeError> {
  try {
    await work;
  } catch (error) {
    expect(error).to.be.instanceOf(KubeError);
    return error as KubeError;
  }
  throw new Error("did not fail");
}

describe("Kubernetes client against a real API server", function () {
  this.timeout(120_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
  });
  after(async () => {
    kube.close();
    await server.stop();
  });

  it("creates, reads, applies, patches and deletes", async () => {
    await kube.create(MAPS, configMap("one", { a: "ä€😀" }));
    const read = await kube.get<{ data: Record<string, string> }>(`${MAPS}/one`);
    expect(read.data).to.deep.equal({ a: "ä€😀" });
    await kube.apply(`${MAPS}/one`, configMap("one", { b: "2" }), "test");
    await kube.mergePatch(`${MAPS}/one`, { data: { c: "3" } });
    await kube.jsonPatch(`${MAPS}/one`, [{ op: "remove", path: "/data/a" }]);
    const after = await kube.get<{ data: Record<string, string> }>(`${MAPS}/one`);
    expect(after.data).to.deep.equal({ b: "2", c: "3" });
    await kube.delete(`${MAPS}/one`);
    expect((await failure(kube.get(`${MAPS}/one`))).status).to.equal(404);
  });

  it("names status and reason of refusals", async () => {
    await kube.create(MAPS, configMap("twice", {}));
    const conflict = await failure(kube.create(MAPS, configMap("twice", {})));
    expect([conflict.status, conflict.reason]).to.deep.equal([409, "AlreadyExists"]);
    expect(conflict.message).to.contain(`POST ${MAPS}: 409 configmaps "twice" already exists`);
    const test = [{ op: "test", path: "/metadata/resourceVersion", value: "1" }];
    expect((await failure(kube.jsonPatch(`${MAPS}/twice`, test))).status).to.equal(422);
  });

  it("reads the published token keys, which are of a JSON type of their own", async () => {
    const keys = await kube.get<{ keys: { kty: string }[] }>("/openid/v1/jwks");
    expect(keys.keys[0]?.kty).to.equal("RSA");
  });

  it("says status 0 when nobody answers", async () => {
    const nobody = createKubeClient({ server: "https://127.0.0.1:1", current: () => ({ token: "secret" }) });
    const error = await failure(nobody.get("/api"));
    expect([error.status, error.reason]).to.deep.equal([0, "ECONNREFUSED"]);
    expect(error.message).not.to.contain("secret");
  });

  it("asks for renewed credentials when the server refuses the old ones", async () => {
    const asked: boolean[] = [];
    const renewing = createKubeClient({
      server: `https://127.0.0.1:${server.port}`,
      current: (refresh = false) => {
        asked.push(refresh);
        return { ca: server.ca, token: refresh ? server.token : "expired" };
      },
    });
    const namespace = await renewing.get<KubeObject>("/api/v1/namespaces/default");
    expect(namespace.metadata.name).to.equal("default");
    expect(asked).to.deep.equal([false, true]);
    renewing.close();
  });

  it("streams events in order until aborted", async () => {
    const abort = new AbortController();
    const seen: string[] = [];
    const list = await kube.get<{ metadata: { resourceVersion: string } }>(MAPS);
    const path = `${MAPS}?watch=true&resourceVersion=${list.metadata.resourceVersion}`;
    const ended = kube.watch(
      path,
      (event: WatchEvent) => seen.push(event.object.metadata.name),
      abort.signal,
    );
    const names = Array.from({ length: 50 }, (_, n) => `stream-${n}`);
    for (const name of names) await kube.create(MAPS, configMap(name, { filler: "€".repeat(3_000) }));
    await until("all events", 60_000, () => (seen.length >= 50 ? true : undefined), 10);
    abort.abort();
    await ended;
    expect(seen).to.deep.equal(names);
  });

  it("reports a refused watch as an error, and a bug of the handler as it is", async () => {
    const never = new AbortController().signal;
    const noop = (): void => undefined;
    const error = await failure(kube.watch(`${MAPS}?watch=true&resourceVersion=abc`, noop, never));
    expect(error.status).to.be.at.least(400);
    const bug = new Error("bug");
    const thrown: unknown = await kube
      .watch(
        `${MAPS}?watch=true`,
        () => {
          throw bug;
        },
        never,
      )
      .catch((reason: unknown) => reason);
    expect(thrown).to.equal(bug);
  });

  it("reuses one connection for reads one after the other", async () => {
    const before = connections(server);
    for (let n = 0; n < 100; n += 1) await kube.get("/api/v1/namespaces/default");
    // Those of the other tests end meanwhile; the first read may need one of its own.
    expect(connections(server) - before).to.be.at.most(1);
  });
});

/** Established TCP connections of this process to the API server, which has some to itself as well. */
function connections(server: TestApiServer): number {
  const link = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  };
  const own = new Set(readdirSync("/proc/self/fd").map(link));
  const hex = server.port.toString(16).toUpperCase().padStart(4, "0");
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n");
  return lines
    .map(line => line.trim().split(/\s+/))
    .filter(([, , remote, state]) => remote === `0100007F:${hex}` && state === "01")
    .filter(columns => own.has(`socket:[${columns[9] ?? ""}]`)).length;
}
