import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { envoyBinary } from "../../hack/envoy/binary";
import { planWorkload } from "../../src/certificate/plan";
import { SDS_PEERS, SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../src/model/mesh-words";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { certificateSecret, peersSecret, trustSecret } from "../../src/xds/secret";
import { type EncodedResource, TYPE_URLS } from "../../src/xds/resource";
import { resourceJson } from "./envoy-json";

/** Verdict of the real Envoy on a configuration. */
export interface Verdict {
  readonly ok: boolean;
  /** What Envoy wrote; the reason stands in it when `ok` is false. */
  readonly output: string;
}

const ADS_CLUSTER: JsonObject = {
  name: "ads",
  type: "STATIC",
  connectTimeout: "1s",
  loadAssignment: {
    clusterName: "ads",
    endpoints: [
      {
        lbEndpoints: [
          { endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: 15128 } } } },
        ],
      },
    ],
  },
};

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Copies a JSON value with every `rds` of a known table replaced by the table itself, and every secret from ADS by the
 * static secret of the same name (Envoy's validation mode cannot start a discovery of secrets).
 */
function inlined(value: JsonValue, tables: ReadonlyMap<string, JsonObject>): JsonValue {
  if (Array.isArray(value)) return value.map(item => inlined(item, tables));
  if (!isObject(value)) return value;
  const copy: JsonObject = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === "sdsConfig") continue;
    const name = key === "rds" && isObject(item) ? item["routeConfigName"] : undefined;
    const table = typeof name === "string" ? tables.get(name) : undefined;
    if (table === undefined) copy[key] = inlined(item, tables);
    else copy["routeConfig"] = table;
  }
  return copy;
}

/** The secrets that mesh TLS contexts name, of a throw-away authority. */
function someSecrets(): EncodedResource[] {
  const now = Date.now();
  const root = createRoot(now);
  const identity = { namespace: "test", serviceAccount: "test" };
  const plan = planWorkload(identity, "cluster.local", { now, validityMs: 3_600_000 });
  const leaf = loadAuthority(root.certPem, root.keyPem).issue(plan);
  return [
    certificateSecret(SDS_SERVICE_CERT, "1", { certificateChain: leaf.certPem, privateKey: leaf.keyPem }),
    trustSecret(SDS_ROOT_CERT, "1", root.certPem),
    peersSecret(SDS_PEERS, "1", { roots: root.certPem, uriPrefixes: ["spiffe://cluster.local/ns/"] }),
  ];
}

/** A listener that only exists so that Envoy reads a route table. */
function routeProbe(table: JsonObject, index: number): JsonObject {
  return {
    name: `route-probe-${index}`,
    address: { socketAddress: { address: "127.0.0.1", portValue: 20_000 + index } },
    bindToPort: false,
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              statPrefix: "probe",
              routeConfig: table,
              httpFilters: [
                {
                  name: "envoy.filters.http.rbac",
                  typedConfig: { "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC" },
                },
                {
                  name: "envoy.filters.http.router",
                  typedConfig: {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                  },
                },
              ],
            },
          },
        ],
      },
    ],
  };
}

/** A cluster that only exists so that Envoy reads a set of endpoints. */
function endpointProbe(set: JsonObject, index: number): JsonObject {
  return { name: `endpoint-probe-${index}`, type: "STATIC", connectTimeout: "1s", loadAssignment: set };
}

const INTERNAL_LISTENERS: JsonObject = {
  name: "envoy.bootstrap.internal_listener",
  typedConfig: {
    "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
  },
};

/** A static bootstrap with all the given resources in it: route tables inlined, endpoint sets as static clusters. */
export function staticBootstrap(resources: Iterable<EncodedResource>): JsonObject {
  const all = [...resources];
  const ofType = (typeUrl: string): JsonObject[] =>
    all.filter(resource => resource.typeUrl === typeUrl).map(resourceJson);
  const tables = ofType(TYPE_URLS.route);
  const secrets = ofType(TYPE_URLS.secret);
  const byName = new Map(tables.map(table => [table["name"] as string, table]));
  return {
    node: { id: "validate", cluster: "validate" },
    bootstrapExtensions: [INTERNAL_LISTENERS],
    dynamicResources: {
      adsConfig: {
        apiType: "DELTA_GRPC",
        transportApiVersion: "V3",
        grpcServices: [{ envoyGrpc: { clusterName: "ads" } }],
      },
    },
    staticResources: {
      listeners: [
        ...ofType(TYPE_URLS.listener).map(listener => inlined(listener, byName)),
        ...tables.map(routeProbe),
      ],
      clusters: [
        ADS_CLUSTER,
        ...ofType(TYPE_URLS.cluster).map(cluster => inlined(cluster, byName)),
        ...ofType(TYPE_URLS.endpoint).map(endpointProbe),
      ],
      secrets: secrets.length > 0 ? secrets : someSecrets().map(resourceJson),
    },
  };
}

/** Asks the real Envoy (`--mode validate`) about a bootstrap. */
export async function validateBootstrap(bootstrap: JsonObject): Promise<Verdict> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-envoy-"));
  const file = path.join(folder, "bootstrap.json");
  writeFileSync(file, JSON.stringify(bootstrap));
  try {
    const child = spawn(await envoyBinary(), ["--mode", "validate", "-l", "warning", "-c", file]);
    const output = collect(child);
    const code = await exit(child);
    return { ok: code === 0, output: output.text };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Asks the real Envoy about encoded resources, all at once. */
export async function validate(resources: Iterable<EncodedResource>): Promise<Verdict> {
  return validateBootstrap(staticBootstrap(resources));
}

/** What a process has written so far, both streams together, the oldest part dropped beyond 1 MiB. */
interface Output {
  text: string;
}

function collect(child: ChildProcess): Output {
  const output: Output = { text: "" };
  const add = (chunk: Buffer): void => {
    output.text = (output.text + chunk.toString()).slice(-1024 * 1024);
  };
  child.stdout?.on("data", add);
  child.stderr?.on("data", add);
  return output;
}

function exit(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", code => {
      resolve(code);
    });
  });
}
