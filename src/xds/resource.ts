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
}

/** Resources by name: one shared part of a set. Never changed after it is built; a change makes a new map. */
export type Layer = ReadonlyMap<string, EncodedResource>;

/**
 * An immutable part of a set, shared by every set that has the same part (all proxies of a view share one layer of
 * thousands of resources). Compared by identity.
 */
export type ResourceLayer = ReadonlyMap<string, EncodedResource>;

/**
 * An immutable set of resources of one type, made of layers so that a change of one proxy's own part never copies what
 * it shares. A name occurs in one layer only; the order of layers means nothing. Sets are compared by identity first,
 * then layer by layer: see docs/architecture.md.
 */
export interface ResourceSet {
  readonly typeUrl: TypeUrl;
  readonly layers: readonly ResourceLayer[];
}

/** Everything one proxy should hold, per type. A type that is absent has no resources. */
export type Snapshot = ReadonlyMap<TypeUrl, ResourceSet>;

/** A set of the given layers. */
export function resourceSet(typeUrl: TypeUrl, ...layers: readonly ResourceLayer[]): ResourceSet {
  return { typeUrl, layers };
}

/** The resource of a name, or undefined when the set is absent or does not hold it. */
export function findResource(set: ResourceSet | undefined, name: string): EncodedResource | undefined {
  for (const layer of set?.layers ?? []) {
    const found = layer.get(name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Every resource of a set, layer by layer; nothing when the set is absent. */
export function* eachResource(set: ResourceSet | undefined): IterableIterator<EncodedResource> {
  for (const layer of set?.layers ?? []) yield* layer.values();
}
