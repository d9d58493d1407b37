/** What happens to a whole fleet: all connections break, a hundred pods are replaced, writes come in a storm. */
import { frontendName } from "../../src/policy/names";
import { TYPE_URLS } from "../../src/xds/resource";
import { monotonic, pause } from "./clock";
import { endpoint, type Scene } from "./changes";
import type { Condition } from "./fleet";
import { each, namespaceOf, podsOf, PODS_PER_SERVICE, PORT, type Endpoint } from "./mesh";
import type { Bench, Row, Upheaval } from "./run";
import type { Cost, Rig } from "./rig";

/** Pods that are replaced, ten at a time, as a rollout of two Services after the other does. */
const RESTARTED = 100;
const AT_ONCE = 10;
/** Writes a second of the storm, and how long it lasts. */
const STORM_RATE = 200;
const STORM_MS = 10_000;
const QUIET_MS = 500;

interface Measured {
  readonly bench: Bench;
  readonly rig: Rig;
}

/** Measures something of longer duration; time counts from its beginning. */
async function timed(
  { rig }: Measured,
  conditions: readonly Condition[],
  make: () => Promise<void>,
): Promise<Cost> {
  const { fleet } = rig;
  await fleet.quiet(QUIET_MS);
  const { arrival, expected } = await fleet.expect(conditions);
  const [began, before] = [monotonic(), rig.cpu];
  await make();
  const { first, last } = await arrival;
  const { counts, told } = await fleet.quiet(QUIET_MS);
  return {
    firstMs: first === 0 ? NaN : first - began,
    lastMs: Math.max(last, counts.lastAt) - began,
    cpuSeconds: rig.cpu - before,
    bytes: counts.bytes,
    responses: counts.responses,
    told,
    concerned: expected,
  };
}

type Place = Pick<Row, "mode" | "proxies" | "services">;

function rowOf(place: Place, key: string, title: string, cost: Cost): Row {
  const { mode, proxies, services } = place;
  return { key: `${mode}.${key}`, title, mode, proxies, services, median: cost, rounds: [cost] };
}

function everyEndpoint(service: number, { ip }: Endpoint, proxies?: readonly number[]): Condition {
  const name = frontendName({ service: `${namespaceOf(service)}/s${service}`, port: PORT });
  return { type: TYPE_URLS.endpoint, name, contains: ip, ...(proxies === undefined ? {} : { proxies }) };
}

/** All connections break at once while an endpoint changes: until every proxy that sees it is back and has it. */
export const reconnect: Upheaval = async (bench, rig, plan) => {
  const { mesh, policy } = bench;
  const scene: Scene = { mesh, policy, mode: plan.mode, proxies: plan.proxies };
  const change = endpoint(scene, 5);
  await change.prepare?.();
  const cost = await timed({ bench, rig }, change.conditions, async () => {
    await rig.fleet.break(0);
    await change.write();
  });
  return [rowOf(plan, "reconnect", `all ${plan.proxies} connections break`, cost)];
};

/** Pods of whole Services are replaced by others: until the last has its configuration and their callers know it. */
export const rollingRestart: Upheaval = async (bench, rig, plan) => {
  const { mesh, policy } = bench;
  const count = Math.min(RESTARTED, plan.proxies);
  const services = Array.from({ length: count / PODS_PER_SERVICE }, (_, i) => i);
  const last = services.at(-1) ?? 0;
  const tellers =
    plan.mode !== "open" ? policy.clients(last) : Array.from({ length: plan.proxies }, (_, i) => i);
  const callers = tellers.filter(number => number >= count && number < plan.proxies);
  const marker = { pod: mesh.pods[0], ip: mesh.nextAddress(count - 1) } as Endpoint;
  const cost = await timed({ bench, rig }, [everyEndpoint(last, marker, callers)], async () => {
    for (let at = 0; at < services.length; at += AT_ONCE / PODS_PER_SERVICE) {
      for (const service of services.slice(at, at + AT_ONCE / PODS_PER_SERVICE)) {
        const fresh = await mesh.addPods(service, PODS_PER_SERVICE);
        const numbers = podsOf(service);
        const old = numbers.flatMap((number, i) => {
          const next = fresh[i];
          return next === undefined ? [] : (mesh.swap(number, next) ?? []);
        });
        await mesh.patchSlice(service, mesh.endpointsOf(service));
        await rig.fleet.replace(numbers, mesh.tokens(numbers));
        await each(old, each => mesh.deletePod(each));
      }
    }
  });
  return [rowOf(plan, "rolling", `rolling restart of ${count} pods`, cost)];
};

/** Endpoints of all Services come and go: until the last proxies have the last of them, and how much was left out in between. */
export const storm: Upheaval = async (bench, rig, plan) => {
  const { mesh, policy } = bench;
  const services = Math.floor(plan.proxies / PODS_PER_SERVICE);
  const scene: Scene = { mesh, policy, mode: plan.mode, proxies: plan.proxies };
  const final = endpoint(scene, 6);
  await final.prepare?.();
  const cost = await timed({ bench, rig }, final.conditions, async () => {
    const began = monotonic();
    const writes: Promise<void>[] = [];
    for (let sent = 0; sent < (STORM_RATE * STORM_MS) / 1_000; sent += 1) {
      const ahead = (sent * 1_000) / STORM_RATE - (monotonic() - began);
      if (ahead > 1) await pause(ahead);
      const service = sent % services;
      const unready = 1 + (Math.floor(sent / services) % 2);
      writes.push(mesh.patchSlice(service, mesh.endpointsOf(service, unready)));
    }
    await Promise.all(writes);
    await each(
      Array.from({ length: services }, (_, i) => i),
      service => mesh.patchSlice(service, mesh.endpointsOf(service)),
    );
    await final.write();
  });
  return [rowOf(plan, "storm", `storm of ${STORM_RATE} writes/s for ${STORM_MS / 1_000} s`, cost)];
};
