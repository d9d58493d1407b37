import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { envoyBinary } from "../../../hack/envoy/binary";
import { bootstrap, sdsDocuments } from "../../../src/injector/bootstrap";
import type { KubeletRoute } from "../../../src/injector/rewrite";
import { createRoot } from "../../../src/runtime/secrets/authority";

const ADS = "osm-controller.pepr-system.svc:15128";
const plain = { adsAddress: ADS, routes: [], metrics: false, ipv6: false };
const routes: readonly KubeletRoute[] = [
  {
    protocol: "http",
    listenPort: 15901,
    path: "/osm-liveness-probe/a",
    targetPort: 80,
    target: "/x?y=1",
    timeoutSeconds: 2,
  },
  {
    protocol: "https",
    listenPort: 15901,
    path: "/osm-liveness-probe/b",
    targetPort: 443,
    target: "/",
    timeoutSeconds: 1,
  },
  { protocol: "tcp", listenPort: 15902, path: "/osm-readiness-probe/a", targetPort: 3306, timeoutSeconds: 1 },
  { protocol: "grpc", listenPort: 15911, targetPort: 9000, timeoutSeconds: 1 },
  {
    protocol: "http",
    listenPort: 15904,
    path: "/osm-pre-stop-hook/a/u",
    targetPort: 80,
    target: "/%25",
    timeoutSeconds: 0,
  },
];

const clusterOf = (value: unknown, name: string): Record<string, unknown> => {
  const { static_resources } = value as { static_resources: { clusters: Record<string, unknown>[] } };
  const found = static_resources.clusters.find(cluster => cluster["name"] === name);
  if (found === undefined) throw new Error(`no cluster ${name}`);
  return found;
};

describe("injector: bootstrap", () => {
  it("verifies the control plane by its name, over TLS 1.3 only (BUG-23)", () => {
    const socket = clusterOf(bootstrap(plain), "osm-controller")["transport_socket"];
    expect(socket).to.have.nested.property("typed_config.sni", "osm-controller.pepr-system.svc");
    const tls = "typed_config.common_tls_context";
    expect(socket).to.have.nested.property(`${tls}.tls_params.tls_minimum_protocol_version`, "TLSv1_3");
    const names = `${tls}.combined_validation_context.default_validation_context.match_typed_subject_alt_names`;
    expect(socket).to.have.deep.nested.property(names, [
      { san_type: "DNS", matcher: { exact: "osm-controller.pepr-system.svc" } },
    ]);
  });

  it("proves itself with the token and holds no credential (BUG-24)", () => {
    const text = JSON.stringify(bootstrap(plain)) + JSON.stringify(sdsDocuments());
    expect(text)
      .to.contain("credential_injector")
      .and.to.contain("/var/run/secrets/openservicemesh.io/token");
    expect(text).to.not.match(/BEGIN|PRIVATE|private_key|inline_bytes/);
  });

  it("counts requests where metrics are wanted, and forgets series of pods that are gone", () => {
    const key = '"osm.count_requests":100';
    const counted = bootstrap({ ...plain, metrics: true });
    expect(JSON.stringify(counted["layered_runtime"])).to.contain(key);
    expect(counted).to.have.property("stats_eviction_interval", "3600s");
    expect(counted).to.deep.include({ deferred_stat_options: { enable_deferred_creation_stats: true } });
    expect(JSON.stringify(bootstrap(plain)["layered_runtime"])).to.not.contain("count_requests");
  });

  it("finds a returning control plane within seconds, by name or by address", () => {
    const text = JSON.stringify(bootstrap(plain));
    expect(text).to.contain('"retry_back_off":{"base_interval":"0.25s","max_interval":"3s"}');
    expect(clusterOf(bootstrap(plain), "osm-controller")["type"]).to.equal("STRICT_DNS");
    for (const [adsAddress, address] of [
      ["10.0.0.9:15128", "10.0.0.9"],
      ["[fd00::9]:15128", "fd00::9"],
    ] as const) {
      const ads = clusterOf(bootstrap({ ...plain, adsAddress }), "osm-controller");
      expect(ads["type"]).to.equal("STATIC");
      expect(JSON.stringify(ads)).to.contain(`"socket_address":{"address":"${address}","port_value":15128}`);
    }
    expect(() => bootstrap({ ...plain, adsAddress: "nowhere" })).to.throw("host:port");
  });

  it("administers through a socket of its own user, never through a port (M13)", () => {
    const value = bootstrap(plain) as { admin: unknown };
    expect(value.admin).to.have.deep.nested.property("address", {
      pipe: { path: "/var/run/osm/admin.sock", mode: 0o600 },
    });
    expect(JSON.stringify(value)).to.not.contain("15000");
  });

  it("has only listeners that something calls", () => {
    const ports = (value: unknown): number[] => {
      const { static_resources } = value as { static_resources: { listeners: unknown[] } };
      return static_resources.listeners.map(listener => {
        const { address } = listener as { address: { socket_address: { port_value: number } } };
        return address.socket_address.port_value;
      });
    };
    expect(ports(bootstrap(plain))).to.deep.equal([15904]);
    expect(ports(bootstrap({ ...plain, routes, metrics: true }))).to.deep.equal([
      15901, 15902, 15904, 15911, 15010,
    ]);
  });
});

describe("injector: bootstrap before the real Envoy", function () {
  this.timeout(600_000);
  let folder = "";
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-bootstrap-"));
    const paths = { identity: path.join(folder, "identity"), run: folder };
    mkdirSync(paths.identity);
    const documents = sdsDocuments(paths);
    writeFileSync(path.join(paths.identity, "token-sds.json"), documents.token);
    writeFileSync(path.join(paths.identity, "root-sds.json"), documents.root);
    writeFileSync(path.join(paths.identity, "token"), "a token");
    writeFileSync(path.join(paths.identity, "ca.crt"), createRoot(Date.now()).certPem);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  const cases = [
    ["nothing", plain],
    ["everything", { adsAddress: "[fd00::9]:15128", routes, metrics: true, ipv6: true }],
  ] as const;
  for (const [what, input] of cases) {
    it(`is accepted without a warning, with ${what}`, async () => {
      const value = bootstrap(input, { identity: path.join(folder, "identity"), run: folder });
      const args = [
        "--mode",
        "validate",
        "--service-node",
        "n",
        "--service-cluster",
        "c",
        "--log-level",
        "warn",
      ];
      const run = await promisify(execFile)(await envoyBinary(), [
        ...args,
        "--config-yaml",
        JSON.stringify(value),
      ]);
      expect(run.stdout).to.contain("OK");
      expect(run.stderr).to.not.match(/\[(warning|error|critical)\]/);
    });
  }
});
