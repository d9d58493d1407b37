import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { encodeLeaf } from "../../src/envoy/encode";
import type { PolicyDescription } from "../../src/runtime/engine";
import { type EncodedResource, resourcesOf } from "../../src/xds/resource";
import type { TestObject } from "./objects";
import { afterStep, keyOf, type SceneStep, type StepDocument } from "./scene-step";
import { createWorld, KINDS, proxyOf, type Connection, type World } from "./world";

/** Folder of all scenes; a scene is a folder with `given.yaml`. What may stand in it: test/golden/README.md. */
export const SCENES = path.resolve(__dirname, "../golden");

/** Names of all scenes. */
export function sceneNames(): readonly string[] {
  return readdirSync(SCENES, { withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => entry.name)
    .sort();
}

/** Documents of a file of a scene; none when there is no such file. */
export function documentsOf(scene: string, file: string): readonly unknown[] {
  const target = path.join(SCENES, scene, file);
  if (!existsSync(target)) return [];
  return parseAllDocuments(readFileSync(target, "utf8")).map(document => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return document.toJS() as unknown;
  });
}

/** Objects a scene starts with, in the order of the file. */
export function givenOf(name: string): readonly TestObject[] {
  return documentsOf(name, "given.yaml") as readonly TestObject[];
}

/** Steps of a scene, in order. */
export function stepsOf(name: string): readonly SceneStep[] {
  const folder = path.join(SCENES, name, "steps");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap(file => /^(\d\d-[a-z0-9-]+)\.yaml$/.exec(file)?.[1] ?? [])
    .sort()
    .map(step => ({
      name: step,
      documents: documentsOf(name, `steps/${step}.yaml`) as readonly StepDocument[],
    }));
}

/** Proxies with the same configuration. */
export interface SceneGroup {
  /** Like `shop/cart-1`, sorted; the first names the group. */
  readonly pods: readonly string[];
  readonly description: PolicyDescription;
  readonly resources: readonly EncodedResource[];
}

/** `namespace/name` of a pod, as a scene's files call it. */
export function podName(object: TestObject): string {
  return `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
}

/** Addresses of a pod, of both families. */
export function podAddresses(pod: TestObject | undefined): readonly string[] {
  const status = pod?.["status"] as { podIPs?: readonly { ip: string }[] } | undefined;
  return (status?.podIPs ?? []).map(({ ip }) => ip);
}

/** A scene with every proxy connected, at `given` or after some of its steps. */
export class Scene {
  readonly world: World = createWorld(encodeLeaf);
  private readonly present = new Map<string, TestObject>();
  private readonly connections = new Map<string, Connection>();

  constructor(given: readonly TestObject[]) {
    for (const object of given) this.present.set(keyOf(object), object);
    this.world.feed(...given.filter(isFed));
    this.reconnect();
  }

  /** The objects that are there now. */
  get objects(): readonly TestObject[] {
    return [...this.present.values()];
  }

  /** Pods that are there now, with or without a sidecar. */
  get pods(): readonly TestObject[] {
    return this.objects.filter(object => object.kind === "Pod");
  }

  /** Pods with a sidecar. */
  get meshed(): readonly string[] {
    return [...this.connections.keys()].sort();
  }

  /** Whatever the proxy of a pod should have now; nothing when there is no such proxy. */
  resources(pod: string): readonly EncodedResource[] {
    const snapshot = this.connections.get(pod)?.latest();
    return snapshot === undefined ? [] : [...snapshot.values()].flatMap(set => [...resourcesOf(set)]);
  }

  /** Makes the changes of a step, as one event each and one flush for all. */
  apply(step: SceneStep): void {
    const { upserts, removals } = afterStep(this.present, step);
    for (const object of removals) this.present.delete(keyOf(object));
    for (const object of upserts) this.present.set(keyOf(object), object);
    this.world.change({ upserts: upserts.filter(isFed), removals: removals.filter(isFed) });
    this.reconnect();
  }

  /** Proxies with the same configuration, in order of their first pods. */
  groups(): readonly SceneGroup[] {
    const groups = new Map<string, SceneGroup>();
    for (const target of this.pods) {
      const description = this.world.engine.describe(proxyOf(target).podUid);
      if (description === undefined) continue;
      const pod = podName(target);
      const key = JSON.stringify(description.group);
      const pods = [...(groups.get(key)?.pods ?? []), pod].sort();
      groups.set(key, { pods, description, resources: this.resources(pod) });
    }
    return [...groups.values()].sort((a, b) => ((a.pods[0] ?? "") < (b.pods[0] ?? "") ? -1 : 1));
  }

  /** Proxies of new pods connect, those of deleted ones are gone. */
  private reconnect(): void {
    const pods = new Map(this.pods.map(pod => [podName(pod), pod]));
    for (const [name, connection] of this.connections) {
      if (pods.has(name)) continue;
      connection.close();
      this.connections.delete(name);
    }
    for (const [name, target] of pods) {
      if (this.connections.has(name)) continue;
      if (this.world.engine.describe(proxyOf(target).podUid) === undefined) continue;
      this.connections.set(name, this.world.connect(target));
    }
  }
}

/** Kinds that the engine does not take have a status and no other effect. */
function isFed(object: TestObject): boolean {
  return (KINDS as readonly string[]).includes(object.kind);
}

/** A scene as it is before its first step. */
export function compileScene(name: string): Scene {
  return new Scene(givenOf(name));
}
