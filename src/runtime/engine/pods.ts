import type { MeshPod } from "../../model/workload";
import type { LivePod, PodDirectory } from "../ports";
import type { EngineEventOf } from "./events";

/** Live pods by uid, kept beside the graph because authentication asks at any time. */
export interface PodRegister extends PodDirectory {
  /** Takes in a change of pods; those that are gone are announced before this returns. */
  apply(event: EngineEventOf<"Pod">): void;
}

function livePod(pod: MeshPod): LivePod | undefined {
  if (pod.terminated || pod.uid === "") return undefined;
  const { namespace, name, uid, identity, meshed } = pod;
  return { namespace, name, uid, serviceAccount: identity.serviceAccount, meshed };
}

/** An empty register. */
export function createPodRegister(): PodRegister {
  const byKey = new Map<string, LivePod>();
  const byUid = new Map<string, LivePod>();
  const listeners: ((uid: string) => void)[] = [];

  const update = (key: string, pod: MeshPod | undefined): void => {
    const before = byKey.get(key);
    const after = pod === undefined ? undefined : livePod(pod);
    if (before !== undefined && before.uid !== after?.uid) {
      byKey.delete(key);
      if (byUid.get(before.uid) === before) byUid.delete(before.uid);
      for (const listener of listeners) listener(before.uid);
    }
    if (after === undefined) return;
    byKey.set(key, after);
    byUid.set(after.uid, after);
  };

  return {
    byUid: uid => byUid.get(uid),
    onGone: listener => {
      listeners.push(listener);
    },
    apply: event => {
      switch (event.type) {
        case "upsert":
          update(event.key, event.compiled.value);
          return;
        case "delete":
          update(event.key, undefined);
          return;
        case "reset":
          for (const key of [...byKey.keys()]) if (!event.items.has(key)) update(key, undefined);
          for (const [key, { value }] of event.items) update(key, value);
      }
    },
  };
}
