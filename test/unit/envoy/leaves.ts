import type {
  HttpMatch,
  HttpRule,
  InboundListenerLeaf,
  InboundPort,
  RouteTableLeaf,
  UpstreamClusterLeaf,
} from "../../../src/policy/types";
import { ANYBODY, TLS_13 } from "../../support/mesh-leaves";

/** Leaves of the tables below, to be varied by spreading. */

export const origins: [] = [];
export const TRUST_DOMAIN = "cluster.local";
export const CART = { namespace: "shop", serviceAccount: "cart.v1" };
export const PAY = { namespace: "bank", serviceAccount: "pay" };

export const UPSTREAM: UpstreamClusterLeaf = {
  kind: "upstream-cluster",
  name: "outbound|shop/cart|80",
  origins,
  discovery: { kind: "endpoints" },
  protocol: "http",
  sni: "cart.shop.svc.cluster.local",
  serverIdentities: [CART, PAY],
  trustDomain: TRUST_DOMAIN,
  tls: TLS_13,
};

export const ANY_REQUEST: HttpMatch = { path: { kind: "any" }, methods: [], headers: [] };

export const RULE: HttpRule = {
  name: "all",
  matches: [ANY_REQUEST],
  permission: ANYBODY,
  backends: [{ cluster: "local|8080", weight: 1 }],
  origins,
};

export const INBOUND_TABLE: RouteTableLeaf = {
  kind: "route-table",
  name: "inbound|8080",
  direction: "inbound",
  origins,
  rules: [RULE],
  trustDomain: TRUST_DOMAIN,
};

export const HTTP_PORT: InboundPort = {
  port: 8080,
  handling: { kind: "http", routeTable: "inbound|8080", tracing: undefined },
  permission: ANYBODY,
  externalAuthorization: undefined,
};

export const TCP_PORT: InboundPort = {
  port: 3306,
  handling: { kind: "tcp", backends: [{ cluster: "local|3306", weight: 1 }] },
  permission: ANYBODY,
  externalAuthorization: undefined,
};

export const INBOUND: InboundListenerLeaf = {
  kind: "inbound-listener",
  name: "inbound",
  origins,
  identity: CART,
  trustDomain: TRUST_DOMAIN,
  tls: TLS_13,
  ports: [HTTP_PORT, TCP_PORT],
  ipv6: false,
};
