import { expect } from "chai";
import type { Party } from "../../src/model/owner";
import type { Leaf, Tracing } from "../../src/policy/types";
import { type Mesh, startMesh } from "../support/mesh";
import {
  everyRequest,
  inboundLeaves,
  outboundLeaves,
  serviceLeaves,
  type TestPort,
  type TestService,
} from "../support/mesh-leaves";
import { startProgram } from "../support/pod-process";
import { startCollector, type Collector } from "../support/trace-collector";
import type { Span, TraceOperations } from "../support/trace-operations";
import { waitFor } from "../support/wait";

const PODS = ["client", "front", "back"] as const;
const identity = (name: string) => ({ namespace: "shop", serviceAccount: name });
const party = (name: string): Party => ({
  namespace: "shop",
  kind: "Deployment",
  name,
  pod: `${name}-7d9f-x2`,
});
const PORT: TestPort = { port: 80, targetPort: 8080, protocol: "http" };
const FRONT = { host: "10.20.0.1", port: PORT.port };
const BACK = { host: "10.20.0.2", port: PORT.port };
const PORTS = { zipkin: 9411, otlp: 4317 } as const;
const origins: [] = [];

/** With the real OpenTelemetry Collector at full counts (it takes minutes to build), else with a small one of our own. */
describe("traces", () => {
  let mesh: Mesh;
  let collector: Collector;
  const apps = new Map<string, TraceOperations>();
  const app = (name: (typeof PODS)[number]): TraceOperations => {
    const found = apps.get(name);
    if (found === undefined) throw new Error(`no app ${name}`);
    return found;
  };

  const service = (name: "front" | "back", address: string): TestService => ({
    name,
    addresses: [address],
    endpoints: [mesh.ip(name)],
    identities: [identity(name)],
    ports: [PORT],
  });
  const traced = (leaf: Leaf, tracing: Tracing): Leaf => {
    if (leaf.kind === "outbound-listener" && leaf.handling.kind === "http")
      return { ...leaf, handling: { ...leaf.handling, tracing } };
    if (leaf.kind !== "inbound-listener") return leaf;
    const ports = leaf.ports.map(port =>
      port.handling.kind === "http" ? { ...port, handling: { ...port.handling, tracing } } : port,
    );
    return { ...leaf, ports };
  };

  /** Every sidecar traces so; resolves when each does so. */
  const trace = async (protocol: Tracing["protocol"], samplingPercentage: number): Promise<void> => {
    const address = mesh.ip("outside");
    const port = PORTS[protocol];
    const cluster = `tracing-${protocol}`;
    const tracing: Tracing = {
      cluster,
      address,
      port,
      endpoint: "/api/v2/spans",
      protocol,
      samplingPercentage,
    };
    const external: Leaf = {
      kind: "external-cluster",
      name: cluster,
      origins,
      address,
      port,
      http2: protocol === "otlp",
    };
    for (const name of PODS) {
      const rules = everyRequest([{ cluster: "local|8080", weight: 1 }]);
      const leaves = [
        ...outboundLeaves(true),
        external,
        ...serviceLeaves(service("front", FRONT.host)),
        ...serviceLeaves(service("back", BACK.host)),
        ...inboundLeaves(identity(name), [{ port: 8080, protocol: "http", rules }]),
      ];
      mesh.configure(
        name,
        leaves.map(leaf => traced(leaf, tracing)),
      );
    }
    const inForce = async (name: string): Promise<boolean> => {
      const listeners = await mesh.sidecar(name).admin("/config_dump?resource=dynamic_listeners");
      const shares =
        protocol === "zipkin"
          ? [...listeners.matchAll(/"random_sampling": \{\s*(?:"value": ([\d.]+))?/g)].map(
              ([, share = "0"]) => +share,
            )
          : [...listeners.matchAll(/"sampling_percentage": \{\s*(?:"numerator": (\d+),)?/g)].map(
              ([, share = "0"]) => +share / 100,
            );
      const clusters = [...listeners.matchAll(/"(?:collector_cluster|cluster_name)": "(tracing-\w+)"/g)];
      return (
        shares.length >= 3 &&
        shares.every(share => share === samplingPercentage) &&
        clusters.every(([, named]) => named === cluster) &&
        !/"(warming_state|draining_state)"/.test(listeners)
      );
    };
    for (const name of PODS) await waitFor(`the tracing of ${name}`, () => inForce(name));
  };

  const call = async (path: string, count: number, headers?: Record<string, string>): Promise<void> => {
    await waitFor("an answer of both", async () => {
      const [status] = await app("client").call(FRONT, "/before", 1);
      return status === 200;
    });
    const statuses = await app("client").call(FRONT, path, count, headers);
    expect(new Set(statuses)).to.deep.equal(new Set([200]));
  };
  const spansOf = async (path: string): Promise<readonly Span[]> =>
    (await collector.spans()).filter(span => span.path === path);
  const tracesOf = async (path: string): Promise<ReadonlyMap<string, readonly Span[]>> => {
    const traces = new Map<string, Span[]>();
    for (const span of await spansOf(path)) traces.set(span.trace, [...(traces.get(span.trace) ?? []), span]);
    return traces;
  };

  before(async () => {
    const pods = Object.fromEntries(PODS.map(name => [name, identity(name)]));
    mesh = await startMesh(
      { ...pods, outside: undefined },
      Object.fromEntries(PODS.map(name => [name, party(name)])),
    );
    for (const name of PODS)
      apps.set(name, startProgram(mesh.network.pod(name), "trace-app.ts") as TraceOperations);
    collector = await startCollector(mesh.network.pod("outside"), PORTS);
    await Promise.all([app("front").serve(8080, BACK), app("back").serve(8080)]);
  }).timeout(3_600_000);

  after(() => mesh.close());

  for (const protocol of ["zipkin", "otlp"] as const) {
    describe(`by ${protocol}`, () => {
      it("are not begun at 0 %, unless a request comes with one", async () => {
        await trace(protocol, 0);
        const id = protocol === "zipkin" ? "a".repeat(32) : "b".repeat(32);
        const given =
          protocol === "zipkin"
            ? { "x-b3-traceid": id, "x-b3-spanid": "c".repeat(16), "x-b3-sampled": "1" }
            : { traceparent: `00-${id}-${"c".repeat(16)}-01` };
        await call(`/${protocol}/none`, 20, { "x-client-trace-id": "mine" });
        await call(`/${protocol}/given`, 5, given);
        await waitFor("the spans that were asked for", async () => {
          const spans = await spansOf(`/${protocol}/given`);
          return new Set(spans.map(({ service }) => service)).size === PODS.length;
        });
        const spans = await spansOf(`/${protocol}/given`);
        expect(new Set(spans.map(each => each.trace))).to.deep.equal(new Set([id]));
        expect(await spansOf(`/${protocol}/none`)).to.deep.equal([]);
      });

      it("are one from end to end at 100 %, by the names of the services", async () => {
        await trace(protocol, 100);
        await call(`/${protocol}/all`, 20);
        const traces = await waitFor("20 whole traces", async () => {
          const found = await tracesOf(`/${protocol}/all`);
          return found.size === 20 && [...found.values()].every(spans => spans.length === 4) && found;
        });
        for (const spans of traces.values()) {
          const of = (kind: Span["kind"], name: string): Span | undefined =>
            spans.find(span => span.kind === kind && span.service === `${name}.shop`);
          const chain = [
            of("client", "client"),
            of("server", "front"),
            of("client", "front"),
            of("server", "back"),
          ];
          expect(
            chain.every(span => span !== undefined),
            JSON.stringify(spans),
          ).to.equal(true);
          // B3 lets both ends of a request share a span; otherwise each has the one before it as its parent.
          for (const [index, span] of chain.entries()) {
            const before = chain[index - 1];
            if (before === undefined) expect(span?.parent).to.equal(undefined);
            else expect([before.id, before.parent]).to.include(span?.parent);
          }
        }
      });

      it("are about half at 50 %, and each is whole", async () => {
        await trace(protocol, 50);
        await call(`/${protocol}/half`, 200);
        // What is sent later is received later: the first of these to arrive ends the count.
        await waitFor("a later span of each", async () => {
          await call(`/${protocol}/end`, 5);
          const ends = await spansOf(`/${protocol}/end`);
          return new Set(ends.map(({ service }) => service)).size === PODS.length;
        });
        const traces = await waitFor("whole traces", async () => {
          const found = await tracesOf(`/${protocol}/half`);
          return [...found.values()].every(spans => spans.length === 4) && found;
        });
        // Six standard deviations to both sides.
        expect(traces.size).to.be.within(57, 143);
      });
    });
  }

  it("had nothing rejected by any Envoy", () => {
    expect(mesh.ads.nacks).to.deep.equal([]);
  });
});
