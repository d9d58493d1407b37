import { chmodSync } from "node:fs";
import * as grpc from "@grpc/grpc-js";
import { createDiffCache, type DiffCache } from "../../src/xds/diff";
import {
  resourcesOf,
  TYPE_URLS,
  type EncodedResource,
  type ResourceSet,
  type Snapshot,
  type TypeUrl,
} from "../../src/xds/resource";
import { initialStreamState, type StreamInput, type StreamState } from "../../src/xds/stream";
import { step } from "../../src/xds/step";
import { pendingOf } from "../../src/xds/type-state";
import { decodeDeltaRequest, type DeltaRequest } from "../../src/xds/wire";

/** A rejection by an Envoy. */
export interface Nack {
  readonly node: string;
  readonly message: string;
}

/**
 * The product's delta state machine behind a unix socket, without TLS and identity: Envoys in any network namespace can
 * reach it, and a test decides what each of them (by node id) gets.
 */
export interface AdsPipe {
  /** What a node gets from now on. */
  set(node: string, resources: Iterable<EncodedResource>): void;
  /** Whether a node is connected and has acknowledged all of it, whatever that refers to included. */
  settled(node: string): boolean;
  /** Every rejection so far. */
  readonly nacks: readonly Nack[];
  close(): void;
}

const bytes = (value: Buffer): Buffer => value;
const SERVICE: grpc.ServiceDefinition = {
  DeltaAggregatedResources: {
    path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    requestStream: true,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

/** All resources as one snapshot of one layer per type. */
function snapshotOf(resources: Iterable<EncodedResource>): Snapshot {
  const layers = new Map<string, Map<string, EncodedResource>>();
  for (const resource of resources) {
    const layer = layers.get(resource.typeUrl) ?? new Map<string, EncodedResource>();
    layers.set(resource.typeUrl, layer.set(resource.name, resource));
  }
  return new Map(
    Object.values(TYPE_URLS).map(typeUrl => {
      const set: ResourceSet = { typeUrl, layers: [layers.get(typeUrl) ?? new Map()] };
      return [typeUrl, set];
    }),
  );
}

/** One stream of a node. */
interface Watcher {
  readonly onSnapshot: (snapshot: Snapshot) => void;
  readonly settled: () => boolean;
}

/** Types that Envoy asks for by name, after it has read who refers to them. */
const BY_NAME: readonly TypeUrl[] = [TYPE_URLS.endpoint, TYPE_URLS.route];

function isSettled({ snapshot, types }: StreamState, diffs: DiffCache): boolean {
  const quiet = [...types].every(([typeUrl, state]) => {
    const { changed, removed } = pendingOf(state, snapshot?.get(typeUrl), diffs);
    return state.inFlight === undefined && changed.length + removed.length === 0;
  });
  return quiet && BY_NAME.every(typeUrl => isAskedFor(typeUrl, snapshot, types));
}

function isAskedFor(typeUrl: TypeUrl, snapshot: Snapshot | undefined, types: StreamState["types"]): boolean {
  const set = snapshot?.get(typeUrl);
  return set === undefined || [...resourcesOf(set)].every(({ name }) => types.get(typeUrl)?.names.has(name));
}

/** Serves on the given socket path, for every user. */
export async function startAdsPipe(socket: string): Promise<AdsPipe> {
  const diffs = createDiffCache();
  const snapshots = new Map<string, Snapshot>();
  const watchers = new Map<string, Set<Watcher>>();
  const nacks: Nack[] = [];
  const serve = (call: grpc.ServerDuplexStream<Buffer, Buffer>): void => {
    let state = initialStreamState();
    let node: string | undefined;
    const advance = (input: StreamInput): void => {
      const [after, effects] = step(state, input, diffs);
      state = after;
      for (const { name, message } of effects.rejections)
        nacks.push({ node: node ?? "", message: `${name}: ${message}` });
      for (const response of effects.responses) call.write(Buffer.from(response.bytes));
      if (effects.wakeAt !== undefined)
        setTimeout(() => {
          advance({ now: Date.now(), kind: "tick" });
        }, effects.wakeAt - Date.now()).unref();
    };
    const watcher: Watcher = {
      onSnapshot: snapshot => {
        advance({ now: Date.now(), kind: "snapshot", snapshot });
      },
      settled: () => isSettled(state, diffs),
    };
    const identify = (request: DeltaRequest): void => {
      if (node !== undefined || request.nodeId === undefined) return;
      node = request.nodeId;
      const group = watchers.get(node) ?? new Set();
      watchers.set(node, group.add(watcher));
      const snapshot = snapshots.get(node);
      if (snapshot !== undefined) watcher.onSnapshot(snapshot);
    };
    const end = (): void => {
      if (node !== undefined) watchers.get(node)?.delete(watcher);
      call.end();
    };
    call.on("data", (message: Buffer) => {
      const request = decodeDeltaRequest(message);
      advance({ now: Date.now(), kind: "request", request });
      identify(request);
    });
    call.on("end", end);
    call.on("error", end);
    call.on("cancelled", end);
  };
  const server = new grpc.Server();
  server.addService(SERVICE, { DeltaAggregatedResources: serve });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), error => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  chmodSync(socket, 0o777);
  return {
    set: (node, resources) => {
      const snapshot = snapshotOf(resources);
      snapshots.set(node, snapshot);
      for (const watcher of watchers.get(node) ?? []) watcher.onSnapshot(snapshot);
    },
    settled: node => {
      const streams = [...(watchers.get(node) ?? [])];
      return streams.length > 0 && streams.every(stream => stream.settled());
    },
    nacks,
    close: () => {
      server.forceShutdown();
    },
  };
}
