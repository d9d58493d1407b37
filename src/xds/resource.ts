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

/**
 * An immutable set of resources of one type. Sets are shared between proxies that see the same, and compared by
 * identity first: two snapshots with the same set object need no further look.
 */
export interface ResourceSet {
  readonly typeUrl: TypeUrl;
  readonly resources: ReadonlyMap<string, EncodedResource>;
}

/** Everything one proxy should hold, per type. A type that is absent has no resources. */
export type Snapshot = ReadonlyMap<TypeUrl, ResourceSet>;
