import { HTTP_PORT } from "./manifests";

/** One object of a kind, and what its `Programmed` condition says once it is in force. */
export interface KindSample {
  /** As kubectl takes it. */
  readonly type: string;
  readonly name: string;
  readonly object: object;
  readonly affects: RegExp;
}

/** The one server's proxy. */
const SERVER_ONLY = /^1 of 1 affected proxies$/;
/** Every client that could call. */
const CLIENTS = /^(\d+) of \1 affected proxies$/;
/** Of kinds whose effect depends on other settings of the mesh. */
const CLIENTS_OR_NOBODY = /^((\d+) of \2 affected proxies|It affects no proxy\.)$/;
const NOBODY = /^It affects no proxy\.$/;

/** Valid objects of all policy kinds for the Shop in `namespace`: the client may call its server on both ports. */
export function kindSamples(namespace: string): readonly KindSample[] {
  const account = { kind: "ServiceAccount", name: "default", namespace };
  const sample = (
    type: string,
    affects: RegExp,
    object: { metadata: { name: string }; [field: string]: unknown },
  ): KindSample => ({
    type,
    name: object.metadata.name,
    object,
    affects,
  });
  const specs = "specs.smi-spec.io/v1alpha4";
  const policy = "policy.openservicemesh.io/v1alpha1";
  return [
    sample("httproutegroup", SERVER_ONLY, {
      ...{ apiVersion: specs, kind: "HTTPRouteGroup", metadata: { name: "all" } },
      ...{ spec: { matches: [{ name: "all", pathRegex: "/.*", methods: ["GET"] }] } },
    }),
    sample("tcproute", SERVER_ONLY, {
      ...{ apiVersion: specs, kind: "TCPRoute", metadata: { name: "raw" } },
      ...{ spec: { matches: { ports: [8081] } } },
    }),
    sample("udproute", NOBODY, {
      ...{ apiVersion: specs, kind: "UDPRoute", metadata: { name: "dns" } },
      ...{ spec: { matches: { ports: [53] } } },
    }),
    sample("traffictarget", SERVER_ONLY, {
      ...{ apiVersion: "access.smi-spec.io/v1alpha3", kind: "TrafficTarget", metadata: { name: "target" } },
      spec: {
        destination: account,
        sources: [account],
        rules: [
          { kind: "HTTPRouteGroup", name: "all", matches: ["all"] },
          { kind: "TCPRoute", name: "raw" },
        ],
      },
    }),
    sample("trafficsplit", CLIENTS, {
      ...{ apiVersion: "split.smi-spec.io/v1alpha2", kind: "TrafficSplit", metadata: { name: "split" } },
      ...{ spec: { service: "server", backends: [{ service: "server", weight: 100 }] } },
    }),
    sample("egress", CLIENTS_OR_NOBODY, {
      ...{ apiVersion: policy, kind: "Egress", metadata: { name: "out" } },
      ...{ spec: { sources: [account], hosts: ["example.com"], ports: [{ number: 80, protocol: "http" }] } },
    }),
    sample("ingressbackend", CLIENTS_OR_NOBODY, {
      ...{ apiVersion: policy, kind: "IngressBackend", metadata: { name: "in" } },
      spec: {
        backends: [{ name: "server", port: { number: HTTP_PORT, protocol: "http" } }],
        sources: [{ kind: "IPRange", name: "10.99.0.0/16" }],
      },
    }),
    sample("retry", CLIENTS_OR_NOBODY, {
      ...{ apiVersion: policy, kind: "Retry", metadata: { name: "again" } },
      spec: {
        source: account,
        destinations: [{ kind: "Service", name: "server", namespace }],
        retryPolicy: { retryOn: "5xx", numRetries: 1 },
      },
    }),
    sample("upstreamtrafficsetting", CLIENTS_OR_NOBODY, {
      ...{ apiVersion: policy, kind: "UpstreamTrafficSetting", metadata: { name: "limits" } },
      spec: {
        host: `server.${namespace}.svc.cluster.local`,
        connectionSettings: { tcp: { maxConnections: 1000 } },
      },
    }),
    sample("telemetry", CLIENTS_OR_NOBODY, {
      ...{ apiVersion: policy, kind: "Telemetry", metadata: { name: "logs" } },
      ...{ spec: { accessLog: { format: "%PROTOCOL%" } } },
    }),
    sample("extensionservice", CLIENTS_OR_NOBODY, {
      ...{
        apiVersion: "config.openservicemesh.io/v1alpha2",
        kind: "ExtensionService",
        metadata: { name: "otel" },
      },
      ...{ spec: { host: "otel.o11y.svc", port: 4317 } },
    }),
    sample("externalworkload", NOBODY, {
      ...{
        apiVersion: "config.openservicemesh.io/v1alpha2",
        kind: "ExternalWorkload",
        metadata: { name: "machine" },
      },
      ...{ spec: { serviceAccountName: "default", addresses: ["192.0.2.7"] } },
    }),
    sample("identitybinding", CLIENTS_OR_NOBODY, {
      ...{
        apiVersion: "access.smi-spec.io/v1alpha4",
        kind: "IdentityBinding",
        metadata: { name: "binding" },
      },
      ...{ spec: { schemes: { serviceAccount: "default" } } },
    }),
  ];
}
