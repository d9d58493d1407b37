/**
 * What a change costs in the compiler: 1,000 Services with 5 pods each in permissive mode, all pods' groups watched by
 * some proxies. Prints a table; run with `node --import tsx test/bench/engine.ts [services] [proxies]`.
 */
import { encodeLeaf } from "../../src/envoy/encode";
import type { TestObject } from "../support/objects";
import { meshConfig, namespace, pod, service, slice } from "../support/objects";
import type { World } from "../support/world";
import { createWorld, upsert } from "../support/world";

const PODS = 5;

function podIp(s: number, p: number): string {
  const n = s * PODS + p;
  return `10.${100 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
}

function podsOf(s: number, count = PODS): readonly TestObject[] {
  return Array.from({ length: count }, (_, p) =>
    pod({
      namespace: `ns${s % 10}`,
      name: `s${s}-${p}`,
      ips: [podIp(s, p)],
      labels: { app: `s${s}` },
      serviceAccount: `sa${s % 200}`,
    }),
  );
}

function sliceOf(s: number, count = PODS): TestObject {
  return slice({
    namespace: `ns${s % 10}`,
    service: `s${s}`,
    ports: [{ name: "http", port: 8080 }],
    endpoints: Array.from({ length: count }, (_, p) => ({ address: podIp(s, p), pod: `s${s}-${p}` })),
  });
}

function serviceOf(s: number): TestObject {
  return service({
    namespace: `ns${s % 10}`,
    name: `s${s}`,
    clusterIPs: [`10.120.${s >> 8}.${s & 255}`],
    ports: [{ name: "http", port: 80, targetPort: 8080 }],
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** Runs a change several times; prints median milliseconds of apply plus flush, and encodings and deliveries of one. */
function measure(world: World, what: string, change: (round: number) => readonly TestObject[]): void {
  const times: number[] = [];
  const cpu: number[] = [];
  const encodes: number[] = [];
  const rounds = 15;
  for (let round = 0; round < rounds; round++) {
    const events = change(round).map(upsert);
    const before = world.engine.stats().encodes;
    const start = performance.now();
    const cpuStart = process.cpuUsage();
    for (const event of events) world.engine.apply(event);
    world.engine.flush();
    const { user, system } = process.cpuUsage(cpuStart);
    cpu.push((user + system) / 1000);
    times.push(performance.now() - start);
    encodes.push(world.engine.stats().encodes - before);
  }
  const [min, max] = [Math.min(...times), Math.max(...times)].map(ms => ms.toFixed(2));
  console.log(
    `${what.padEnd(44)} median ${median(times).toFixed(2).padStart(8)} ms (${min}–${max}), cpu ${median(cpu).toFixed(2).padStart(7)} ms, encodes ${median(encodes)} (first ${encodes[0] ?? 0})`,
  );
}

function main(services: number, proxies: number): void {
  const world = createWorld(encodeLeaf);
  const objects: TestObject[] = Array.from({ length: 10 }, (_, n) => namespace(`ns${n}`));
  const pods: TestObject[] = [];
  for (let s = 0; s < services; s++) {
    pods.push(...podsOf(s));
    objects.push(serviceOf(s), sliceOf(s));
  }
  const events = [...objects, ...pods].map(upsert);
  let start = performance.now();
  for (const event of events) world.engine.apply(event);
  world.engine.flush();
  console.log(`${events.length} objects in: ${(performance.now() - start).toFixed(0)} ms`);
  start = performance.now();
  let delivered = 0;
  const step = Math.max(1, Math.floor(pods.length / proxies));
  for (let i = 0; i < pods.length && delivered < proxies; i += step) {
    const target = pods[i];
    if (target === undefined) continue;
    world.connect(target);
    delivered++;
  }
  const { encodes, computedCells } = world.engine.stats();
  console.log(
    `${delivered} proxies connected: ${(performance.now() - start).toFixed(0)} ms, ${encodes} encodes, ${computedCells} cells, RSS ${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`,
  );
  measure(world, "nothing changed (re-delivered slice)", () => [sliceOf(3)]);
  measure(world, "one EndpointSlice (one endpoint fewer/more)", round => [
    sliceOf(7, round % 2 === 0 ? 4 : 5),
  ]);
  measure(world, "one new pod (pod + slice)", round => [
    ...podsOf(11, PODS + 1 + (round % 2)).slice(-1),
    sliceOf(11, PODS + 1 + (round % 2)),
  ]);
  measure(world, "one new Service with 5 pods", round => [
    ...podsOf(services + round),
    serviceOf(services + round),
    sliceOf(services + round),
  ]);
  measure(world, "MeshConfig: egress", round => [meshConfig({ traffic: { enableEgress: round % 2 === 1 } })]);
  measure(world, "MeshConfig: tracing (every HTTP listener)", round => [
    meshConfig({ observability: { tracing: { enable: round % 2 === 0 } } }),
  ]);
  if (world.errors.length > 0) console.log(`errors: ${world.errors.slice(0, 3).join("\n")}`);
}

main(Number(process.argv[2] ?? 1000), Number(process.argv[3] ?? 200));
