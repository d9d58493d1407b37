import { expect } from "chai";
import { DEFAULT_MESH_CONFIG, type MeshConfigSpec } from "../../../src/api/mesh-config";
import { proofOf } from "../../../src/certificate/root-proof";
import { systemClock } from "../../../src/runtime/clock";
import { GatewaySecretKeeper } from "../../../src/runtime/control-plane/gateway-secret";
import { KubeError, type KubeClient } from "../../../src/runtime/kube";
import { watchedLog } from "../../support/told-errors";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { rootsOf } from "../../../src/runtime/secrets/workload-secrets";
import { readSettings } from "../../../src/runtime/settings";
import { waitFor } from "../../support/wait";

const { certPem, keyPem } = createRoot(Date.now());
const authority = loadAuthority(certPem, keyPem);

describe("what a watcher that has just started says of the ingress gateway's Secret", () => {
  let asked = 0;
  let spec: MeshConfigSpec;
  let keeper: GatewaySecretKeeper;

  const put = (name: string | undefined): void => {
    const gateway = (secret: string) => ({
      subjectAltNames: ["gw"],
      validityDuration: "1h",
      secret: { name: secret, namespace: "default" },
    });
    const ingressGateway = name === undefined ? undefined : gateway(name);
    spec = { ...DEFAULT_MESH_CONFIG, certificate: { ...DEFAULT_MESH_CONFIG.certificate, ingressGateway } };
  };
  /** An API server that answers nothing but refusals. */
  const refuse = (): Promise<never> => {
    asked++;
    return Promise.reject(new KubeError(403, "Forbidden", "not yours"));
  };

  beforeEach(() => {
    asked = 0;
    put("gw");
    keeper = new GatewaySecretKeeper({
      kube: { get: refuse } as unknown as KubeClient,
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
      settings: readSettings({}, "unused"),
      engine: { meshConfig: () => spec, onMeshConfig: () => ({ close: () => undefined }) },
      roots: { roots: () => rootsOf(authority), onRoots: () => ({ close: () => undefined }) },
    });
  });
  afterEach(() => {
    keeper.stop();
  });

  it("is that nothing is proven, while the Secret cannot be read", async () => {
    const isProven = (kind: "issue" | "drop"): boolean =>
      proofOf(
        { kind, root: { fingerprint: kind === "issue" ? authority.fingerprint : "f".repeat(16) } },
        {
          now: Date.now(),
          fleet: { complete: true, replicas: [], proxies: [], absent: new Map() },
          gateway: keeper.trust(),
          leafLifeMs: 1,
          trustDomain: "cluster.local",
          ignored: new Set(["*"]),
          absentUntil: {},
          issuingDomain: "cluster.local",
          counted: undefined,
        },
      ).complete;
    expect([isProven("issue"), isProven("drop")], "before it is read").to.deep.equal([false, false]);
    await waitFor("a second refusal", () => asked > 1);
    expect([isProven("issue"), isProven("drop")], "after refusals").to.deep.equal([false, false]);
  });

  it("is nothing at all only where no gateway is asked for, from that moment on", () => {
    put(undefined);
    expect(keeper.trust()).to.equal(undefined);
    put("another");
    expect(keeper.trust()).to.deep.include({ trust: [], issuing: undefined });
  });
});
