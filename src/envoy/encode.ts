import { createHash } from "node:crypto";
import { originsWithin } from "../model/object-ref";
import type { Leaf } from "../policy/types";
import { TYPE_URLS, type EncodedResource, type TypeUrl } from "../xds/resource";
import type { Encoder } from "./any";
import { Cluster } from "./api/generated/envoy/config/cluster/v3/cluster";
import { ClusterLoadAssignment } from "./api/generated/envoy/config/endpoint/v3/endpoint";
import { Listener } from "./api/generated/envoy/config/listener/v3/listener";
import { RouteConfiguration } from "./api/generated/envoy/config/route/v3/route";
import { Resource } from "./api/generated/envoy/service/discovery/v3/discovery";
import { callerCluster } from "./cluster/caller";
import { externalCluster } from "./cluster/external";
import { localCluster } from "./cluster/local";
import { passthroughCluster } from "./cluster/passthrough";
import { upstreamCluster } from "./cluster/upstream";
import { endpointSet } from "./endpoint/endpoint-set";
import { routeTableOf } from "./http-connection-manager";
import { callerGate } from "./listener/caller-gate";
import { outboundCatchAll } from "./listener/catch-all";
import { inboundListener } from "./listener/inbound";
import { outboundListener } from "./listener/outbound";
import { routeTable } from "./route/route-table";

interface Body {
  readonly typeUrl: TypeUrl;
  readonly bytes: Uint8Array;
  /** Route tables it refers to; absent: none. */
  readonly needs?: readonly string[];
}

function body<T>(typeUrl: TypeUrl, type: Encoder<T>, message: T): Body {
  return { typeUrl, bytes: type.encode(message).finish() };
}

/** A listener, with the route tables its filters will ask for: noted when they were made, so nothing is decoded. */
function listener(message: Listener): Body {
  const filters = (message.filterChains ?? []).flatMap(chain => chain.filters ?? []);
  const needs = new Set(filters.flatMap(filter => routeTableOf(filter) ?? []));
  return {
    ...body(TYPE_URLS.listener, Listener, message),
    ...(needs.size === 0 ? {} : { needs: [...needs] }),
  };
}

type ClusterLeaf = Extract<Leaf, { kind: `${string}-cluster` }>;

function cluster(leaf: ClusterLeaf): Cluster {
  switch (leaf.kind) {
    case "upstream-cluster":
      return upstreamCluster(leaf);
    case "local-cluster":
      return localCluster(leaf);
    case "caller-cluster":
      return callerCluster(leaf);
    case "passthrough-cluster":
      return passthroughCluster(leaf);
    case "external-cluster":
      return externalCluster(leaf);
  }
}

function isCluster(leaf: Leaf): leaf is ClusterLeaf {
  return leaf.kind.endsWith("-cluster");
}

function build(leaf: Leaf): Body {
  if (isCluster(leaf)) return body(TYPE_URLS.cluster, Cluster, cluster(leaf));
  switch (leaf.kind) {
    case "endpoint-set":
      return body(TYPE_URLS.endpoint, ClusterLoadAssignment, endpointSet(leaf));
    case "route-table":
      return body(TYPE_URLS.route, RouteConfiguration, routeTable(leaf));
    case "outbound-listener":
      return listener(outboundListener(leaf));
    case "outbound-catch-all":
      return listener(outboundCatchAll(leaf));
    case "inbound-listener":
      return listener(inboundListener(leaf));
    case "caller-gate":
      return listener(callerGate(leaf));
  }
}

/** 96 bits of SHA-256: short in every request that lists versions, and no two contents will share one. */
function versionOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest().subarray(0, 12).toString("base64url");
}

/**
 * Turns one leaf into its one configuration resource. Pure: the same leaf gives the same bytes, so replicas agree and an
 * unchanged leaf is not sent again.
 */
export function encodeLeaf(leaf: Leaf): EncodedResource {
  const { typeUrl, bytes, needs } = build(leaf);
  const version = versionOf(bytes);
  const resource: Resource = { name: leaf.name, version, resource: { typeUrl, value: bytes } };
  return {
    typeUrl,
    name: leaf.name,
    version,
    body: bytes,
    fragment: Resource.encode(resource).finish(),
    origins: originsWithin(leaf),
    ...(needs === undefined ? {} : { needs }),
  };
}
