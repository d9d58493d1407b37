import type { MeshPod } from "../../model/workload";
import type { LivePod, PodDirectory } from "../ports";
import type { EngineEventOf } from "./events";

/** Live pods by uid, kept beside the graph because authentication asks at any time. */
export interface PodRegister extends PodDirectory {
  /** Takes in a change of pods; those that are gone are announced before this returns. */
  apply(event: EngineEventOf<"Pod">): void;
  /** Namespaces may have joined or left the mesh. A pod whose namespace left is not gone: its streams stay. */
  lookAtNamespaces(): void;
  /** Pods whose proxy should be connected, by uid. */
  readonly expected: ReadonlyMap<string, LivePod>;
  /** Whether {@link PodRegister.expected} changed since the last call. */
  takeExpectedChanged(): boolean;
}

/** A proxy without an address has not come up yet, and carries no traffic; one that is leaving is not waited for. */
function isExpected(pod: MeshPod): boolean {
  return pod.meshed && !pod.terminated && !pod.terminating && pod.ips.length > 0;
}

function livePod(pod: MeshPod): LivePod | undefined {
  if (pod.terminated || pod.uid === "") return undefined;
  const { namespace, name, uid, identity, meshed: sidecar } = pod;
  return { namespace, name, uid, serviceAccount: identity.serviceAccount, sidecar, meshed: sidecar };
}

/** An empty register; `isMeshed` says whether a namespace belongs to the mesh now. */
export function createPodRegister(isMeshed: (namespace: string) => boolean): PodRegister {
  const byKey = new Map<string, LivePod>();
  const byUid = new Map<string, LivePod>();
  /** Those that count as soon as their namespace belongs to the mesh. */
  const candidates = new Map<string, LivePod>();
  const expected = new Map<string, LivePod>();
  let expectedChanged = false;
  const listeners: ((uid: string) => void)[] = [];
  const expect = (uid: string, candidate: LivePod | undefined): void => {
    if (candidate === undefined) candidates.delete(uid);
    else candidates.set(uid, candidate);
    const pod = candidate !== undefined && isMeshed(candidate.namespace) ? candidate : undefined;
    if (expected.has(uid) === (pod !== undefined)) return;
    if (pod === undefined) expected.delete(uid);
    else expected.set(uid, pod);
    expectedChanged = true;
  };

  const update = (key: string, pod: MeshPod | undefined): void => {
    const before = byKey.get(key);
    const after = pod === undefined ? undefined : livePod(pod);
    if (before !== undefined && before.uid !== after?.uid) {
      byKey.delete(key);
      expect(before.uid, undefined);
      if (byUid.get(before.uid) === before) byUid.delete(before.uid);
      for (const listener of listeners) listener(before.uid);
    }
    if (after === undefined) return;
    byKey.set(key, after);
    byUid.set(after.uid, after);
    expect(after.uid, pod !== undefined && isExpected(pod) ? after : undefined);
  };

  return {
    expected,
    takeExpectedChanged: () => {
      const changed = expectedChanged;
      expectedChanged = false;
      return changed;
    },
    lookAtNamespaces: () => {
      for (const [uid, pod] of [...candidates]) expect(uid, pod);
    },
    byUid: uid => {
      const pod = byUid.get(uid);
      return pod && { ...pod, meshed: pod.sidecar && isMeshed(pod.namespace) };
    },
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
