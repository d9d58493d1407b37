/** The changes of the table, each on a part of the mesh of its own. */
import { frontendName, inboundRouteTableName } from "../../src/policy/names";
import { TYPE_URLS } from "../../src/xds/resource";
import type { Condition } from "./fleet";
import { each, namespaceOf, podsOf, PODS_PER_SERVICE, PORT, type BenchMesh, type Endpoint } from "./mesh";
import { FAN_IN, type BenchPolicy, type Mode } from "./policy";
import type { Change } from "./rig";

/** What changes are made of. */
export interface Scene {
  readonly mesh: BenchMesh;
  readonly policy: BenchPolicy;
  readonly mode: Mode;
  /** Proxies that are connected: those of the first pods. */
  readonly proxies: number;
}

/** The change of that round, on a Service that no other round has touched. */
export type ChangeOf = (scene: Scene, round: number) => Change;

/** Steps between the Services of two rounds: beyond each other's callers. */
const STEP = FAN_IN + 2;

/** Of the Services whose pods have proxies, callers included. */
function serviceOf({ proxies }: Scene, round: number, kind: number): number {
  const services = Math.floor(proxies / PODS_PER_SERVICE);
  return (round * STEP + kind) % services;
}

function nameOf(service: number, name = `s${service}`): string {
  return frontendName({ service: `${namespaceOf(service)}/${name}`, port: PORT });
}

/** Proxies that call a Service: its callers', or all. */
function toldOf(scene: Scene, service: number): readonly number[] {
  const all =
    scene.mode !== "open"
      ? scene.policy.clients(service)
      : Array.from({ length: scene.proxies }, (_, i) => i);
  return all.filter(number => number < scene.proxies);
}

function endpointCondition(service: number, { ip }: Endpoint, proxies: readonly number[]): Condition {
  return { type: TYPE_URLS.endpoint, name: nameOf(service), contains: ip, proxies };
}

/** A pod of a Service becomes ready. */
export const endpoint: ChangeOf = (scene, round) => {
  const service = serviceOf(scene, round, 0);
  const { mesh } = scene;
  const proxies = toldOf(scene, service);
  const endpoints = mesh.endpointsOf(service);
  const [first] = endpoints;
  if (first === undefined) throw new Error(`Service ${service} has no pods`);
  return {
    prepare: () => mesh.patchSlice(service, mesh.endpointsOf(service, 0)),
    conditions: [endpointCondition(service, first, proxies)],
    concerned: proxies.length,
    write: () => mesh.patchSlice(service, endpoints),
  };
};

/** A Service may be called by another one: the servers let it in, and its proxies learn of the Service. */
export const accessRule: ChangeOf = (scene, round) => {
  const service = serviceOf(scene, round, 1);
  const services = Math.floor(scene.proxies / PODS_PER_SERVICE);
  const caller = (service + FAN_IN + Math.floor(services / 2)) % services;
  const account = `/ns/${namespaceOf(caller)}/sa/s${caller}`;
  const name = nameOf(service);
  return {
    conditions: [
      {
        type: TYPE_URLS.route,
        name: inboundRouteTableName(PORT),
        contains: account,
        proxies: podsOf(service),
      },
      { type: TYPE_URLS.route, name, unlessHeld: true, proxies: podsOf(caller) },
    ],
    concerned: 2 * PODS_PER_SERVICE,
    write: () => scene.policy.allow(service, caller),
  };
};

let weights = 0;

/** The weights of a split change, to such as it has not had lately. */
export const splitWeight: ChangeOf = (scene, round) => {
  const roots = scene.policy.roots().filter(root => (root + FAN_IN) * PODS_PER_SERVICE < scene.proxies);
  const root = roots[round % roots.length] ?? 0;
  const proxies = toldOf(scene, root);
  return {
    conditions: [{ type: TYPE_URLS.route, name: nameOf(root), proxies }],
    concerned: proxies.length,
    write: () => scene.policy.weigh(root, 1 + (weights++ % 98)),
  };
};

let services = 0;

/** A Service with five pods of an account that is known appears, complete with its endpoints. */
export const newService: ChangeOf = (scene, round) => {
  const { mesh } = scene;
  const like = serviceOf(scene, round, 2);
  const [namespace, name] = [namespaceOf(like), `new${services++}`];
  const proxies = toldOf(scene, like);
  let pods: Endpoint[] = [];
  return {
    prepare: async () => {
      pods = await mesh.addPods(like, PODS_PER_SERVICE);
    },
    conditions: [{ type: TYPE_URLS.route, name: nameOf(like, name), proxies }],
    concerned: proxies.length,
    write: async () => {
      await mesh.addService(namespace, name, `s${like}`);
      await mesh.putSlice(namespace, name, pods);
    },
  };
};

/** Pods whose annotations change before an endpoint does. */
const UNRELATED = 300;

/** An endpoint behind what happens to pods that have nothing to do with it. */
export const endpointBehindNoise: ChangeOf = (scene, round) => {
  const { mesh } = scene;
  const change = endpoint(scene, round);
  const pods = Array.from({ length: UNRELATED }, (_, i) => i % mesh.pods.length);
  return {
    ...change,
    write: async () => {
      await each(pods, index => mesh.annotate(index, `${round}-${Math.random()}`));
      await change.write();
    },
  };
};

const MORE_PODS = 100;

/** A Service gets a hundred pods more; its clients have the last of them. */
export const scaleUp: ChangeOf = (scene, round) => {
  const { mesh } = scene;
  const service = serviceOf(scene, round, 3);
  const proxies = toldOf(scene, service);
  let pods: Endpoint[] = [];
  // Addresses are given in order, so the last one is known before the pods are there.
  const marker = mesh.nextAddress(MORE_PODS - 1);
  return {
    conditions: [{ type: TYPE_URLS.endpoint, name: nameOf(service), contains: marker, proxies }],
    concerned: proxies.length,
    write: async () => {
      pods = await mesh.addPods(service, MORE_PODS);
      await mesh.putSlice(namespaceOf(service), `s${service}`, pods, 2);
    },
    undo: async () => {
      await mesh.deleteSlice(namespaceOf(service), `s${service}-2`);
      await each(pods, pod => mesh.deletePod(pod));
    },
  };
};
