import type { ObjectRef } from "../model/object-ref";

/** xDS type URLs the mesh serves, in send order of additions (clusters before what refers to them). */
export const TYPE_URLS = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  extension: "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
} as const;

/** One of {@link TYPE_URLS}. */
export type TypeUrl = (typeof TYPE_URLS)[keyof typeof TYPE_URLS];

/** A configuration resource, encoded once whoever asks for it. */
export interface EncodedResource {
  readonly typeUrl: TypeUrl;
  readonly name: string;
  /** Hash of the bytes (leaf secrets: issuer and renewal time), so replicas agree. */
  readonly version: string;
  /** Serialised `google.protobuf.Any` value bytes of the resource itself (without the Any wrapper). */
  readonly body: Uint8Array;
  /**
   * Serialised `envoy.service.discovery.v3.Resource` (name, version, resource Any), ready to be framed as
   * field 2 of a DeltaDiscoveryResponse.
   */
  readonly fragment: Uint8Array;
  /** The objects a rejection of this resource is reported on. */
  readonly origins: readonly ObjectRef[];
  /** Listeners: names of the route tables that a proxy asks for once it has this. A function of the bytes; absent: none. */
  readonly needs?: readonly string[];
}

/** Resources by name: one shared part of a set. Never changed after it is built; a change makes a new map. */
export type Layer = ReadonlyMap<string, EncodedResource>;

/**
 * An immutable set of resources of one type, made of shared parts. Layers are compared by position and by identity
 * first: two sets with the same layer objects need no further look, and the difference of two layers is computed and
 * framed once for all streams that make the same step. A name occurs in at most one layer of a set.
 */
export interface ResourceSet {
  readonly typeUrl: TypeUrl;
  /** By position, e.g. 0 what the view shares, 1 what is the proxy's own. */
  readonly layers: readonly Layer[];
}

/** Everything one proxy should hold, per type. A type that is absent has no resources. */
export type Snapshot = ReadonlyMap<TypeUrl, ResourceSet>;

/** A set of the given layers. */
export function resourceSet(typeUrl: TypeUrl, ...layers: readonly Layer[]): ResourceSet {
  return { typeUrl, layers };
}

/** The resource of that name, whichever layer holds it. */
export function findResource(set: ResourceSet, name: string): EncodedResource | undefined {
  for (const layer of set.layers) {
    const found = layer.get(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** All resources of a set, layer by layer. */
export function* resourcesOf(set: ResourceSet): Generator<EncodedResource> {
  for (const layer of set.layers) yield* layer.values();
}

/** How many resources a set has. */
export function sizeOf(set: ResourceSet): number {
  return set.layers.reduce((sum, layer) => sum + layer.size, 0);
}
