import type { MeshConfigSpec } from "../../api/mesh-config";
import { CLOSED_MESH_CONFIG } from "../../api/mesh-config";
import { encodeLeaf } from "../../envoy/encode";
import { createProjectors } from "../../ingest/index";
import type { Diagnostic } from "../../model/diagnostic";
import type { TrustDomain } from "../../model/identity";
import { MESH_CONFIG_NAME } from "../../model/mesh-words";
import type { Engine, EngineEvent } from "../engine";
import { createEngine, LINGER_MS, PATIENCE_MS } from "../engine";
import { createListeners } from "../engine/listeners";
import { KEEP_MS } from "../held";
import type { Informers } from "../kube/informers";
import { startInformers } from "../kube/informers";
import type { KeeperOptions } from "../ownership";
import { startResync } from "./resync";
import type { Settings } from "../settings";
import { candidateOf } from "../engine/foresight";
import type { AdmittedObject } from "./actions";

/** The model of the cluster and what follows from it, fed by informers. */
export interface World {
  readonly engine: Engine;
  readonly informers: Informers;
  /** Resolves when every kind has been listed and the first compilation is done. */
  readonly synced: Promise<void>;
  /** What would be found about an object of a kind of policy beside all others that are there, were it stored now. */
  foresee(kind: string, object: AdmittedObject): readonly Diagnostic[];
  /** Called with every event, after it has been taken in. */
  onEvent(listener: (event: EngineEvent) => void): void;
  stop(): void;
}

/**
 * Starts following the cluster and compiling. The same in every pod of the control plane. `initial` is in force until a
 * MeshConfig has been seen that can be used; by default nothing passes that nobody has allowed. The trust domain is that of
 * the roots that are trusted at the start; {@link Engine.setTrustDomain} changes it.
 */
export function startWorld(
  settings: Settings,
  options: KeeperOptions & { readonly trustDomain?: TrustDomain; readonly callerDomain?: TrustDomain },
  initial: MeshConfigSpec = CLOSED_MESH_CONFIG,
): World {
  const { osmNamespace, meshName } = settings;
  const trustDomain = options.trustDomain ?? settings.trustDomain;
  const engine = createEngine({
    ...options,
    encode: encodeLeaf,
    lingerMs: LINGER_MS,
    holdMs: KEEP_MS,
    patienceMs: PATIENCE_MS,
    osmNamespace,
    trustDomain,
  });
  engine.apply({
    kind: "MeshConfig",
    type: "upsert",
    key: `${osmNamespace}/${MESH_CONFIG_NAME}`,
    compiled: { value: initial, diagnostics: [] },
  });
  const projectors = createProjectors(meshName);
  const listeners = createListeners<EngineEvent>(options.log, "event of the API server");
  const informers = startInformers({
    ...options,
    projectors: Object.values(projectors),
    only: { MeshConfig: { namespace: osmNamespace, name: MESH_CONFIG_NAME } },
    apply: event => {
      engine.apply(event);
      listeners.notify(event);
    },
  });
  const resync = startResync({ ...options, engine, informers });
  return {
    engine,
    informers,
    synced: informers.synced.then(() => {
      engine.flush();
    }),
    foresee: (kind, object) => {
      const candidate = candidateOf(projectors, kind, object);
      return candidate === undefined ? [] : engine.foresee(candidate);
    },
    onEvent: next => {
      listeners.add(next);
    },
    stop: () => {
      resync.stop();
      informers.stop();
      engine.stop();
    },
  };
}
