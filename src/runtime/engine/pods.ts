import type { MeshPod } from "../../model/workload";
import { contained } from "../contained";
import type { LivePod, Log, PodDirectory } from "../ports";
import type { EngineEventOf } from "./events";

/** Kinds behind which a proxy stands. */
type PodEvent = EngineEventOf<"Pod"> | EngineEventOf<"ExternalWorkload">;

/** Live pods by uid, kept beside the graph because authentication asks at any time. */
export interface PodRegister extends PodDirectory {
  /** Takes in a change of pods, or of what runs outside; those that are gone are announced before this returns. */
  apply(event: PodEvent): void;
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
  const { namespace, name, uid, identity, meshed: sidecar, external } = pod;
  const own = external === undefined ? {} : { publicKey: external.publicKey };
  return { namespace, name, uid, serviceAccount: identity.serviceAccount, sidecar, meshed: sidecar, ...own };
}

/** Whether who has proven to be the one before is not the one that is there now. */
function isReplaced(before: LivePod, after: LivePod | undefined): boolean {
  return before.uid !== after?.uid || before.publicKey !== after.publicKey;
}

/** Which pods are expected to have their proxy connected. */
interface Expectations {
  readonly expected: ReadonlyMap<string, LivePod>;
  /** A pod that counts as soon as its namespace belongs to the mesh; undefined: it does not count. */
  put(uid: string, candidate: LivePod | undefined): void;
  /** Namespaces may have joined or left the mesh. */
  lookAgain(): void;
  /** Whether there was a change since the last call. */
  takeChanged(): boolean;
}

function createExpectations(isMeshed: (namespace: string) => boolean): Expectations {
  const candidates = new Map<string, LivePod>();
  const expected = new Map<string, LivePod>();
  let changed = false;
  const put = (uid: string, candidate: LivePod | undefined): void => {
    if (candidate === undefined) candidates.delete(uid);
    else candidates.set(uid, candidate);
    const pod = candidate !== undefined && isMeshed(candidate.namespace) ? candidate : undefined;
    if (expected.has(uid) === (pod !== undefined)) return;
    if (pod === undefined) expected.delete(uid);
    else expected.set(uid, pod);
    changed = true;
  };
  return {
    expected,
    put,
    lookAgain: () => {
      for (const [uid, pod] of [...candidates]) put(uid, pod);
    },
    takeChanged: () => {
      const was = changed;
      changed = false;
      return was;
    },
  };
}

/** An empty register; `isMeshed` says whether a namespace belongs to the mesh now. */
export function createPodRegister(isMeshed: (namespace: string) => boolean, log: Log): PodRegister {
  const byKey = new Map<string, LivePod>();
  const byUid = new Map<string, LivePod>();
  const expectations = createExpectations(isMeshed);
  const listeners: ((uid: string) => void)[] = [];

  const update = (key: string, pod: MeshPod | undefined): void => {
    const before = byKey.get(key);
    const after = pod === undefined ? undefined : livePod(pod);
    if (before !== undefined && isReplaced(before, after)) {
      byKey.delete(key);
      expectations.put(before.uid, undefined);
      if (byUid.get(before.uid) === before) byUid.delete(before.uid);
      for (const listener of listeners) {
        contained(
          log,
          "a pod is gone",
          () => {
            listener(before.uid);
          },
          { pod: `${before.namespace}/${before.name}` },
        );
      }
    }
    if (after === undefined) return;
    byKey.set(key, after);
    byUid.set(after.uid, after);
    expectations.put(after.uid, pod !== undefined && isExpected(pod) ? after : undefined);
  };

  return {
    expected: expectations.expected,
    takeExpectedChanged: () => expectations.takeChanged(),
    lookAtNamespaces: () => {
      expectations.lookAgain();
    },
    byUid: uid => {
      const pod = byUid.get(uid);
      return pod && { ...pod, meshed: pod.sidecar && isMeshed(pod.namespace) };
    },
    onGone: listener => {
      listeners.push(listener);
    },
    apply: event => {
      const keyed = (key: string): string => `${event.kind}/${key}`;
      switch (event.type) {
        case "upsert":
          update(keyed(event.key), event.compiled.value);
          return;
        case "delete":
          update(keyed(event.key), undefined);
          return;
        case "reset": {
          const items = new Map([...event.items].map(([key, { value }]) => [keyed(key), value]));
          const known = [...byKey.keys()].filter(key => key.startsWith(keyed("")));
          for (const key of known) if (!items.has(key)) update(key, undefined);
          for (const [key, value] of items) update(key, value);
        }
      }
    },
  };
}
