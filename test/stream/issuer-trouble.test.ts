import { expect } from "chai";
import { SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../src/model/mesh-words";
import { rootFindings } from "../../src/runtime/control-plane/root-reports";
import { createMetrics } from "../../src/runtime/metrics";
import { observeIssuing } from "../../src/runtime/observe";
import { TYPE_URLS } from "../../src/xds/resource";
import type { AdsClient } from "../support/ads-client";
import type { Fault } from "../support/issuer-contract";
import { snapshotOf } from "../support/ads-rig";
import { createOpensslCa, type OpensslCa } from "../support/openssl-ca";
import { OSM, RotationRig } from "../support/rotation-rig";
import { startVaultStandIn, type VaultStandIn } from "../support/vault-stand-in";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
const TOKEN = "hvs.a-token-nobody-may-see";
/** Far beyond what anything here takes, on any machine. */
const LONG_MS = 300_000;
/** What is aimed at after an issuer is back. */
const BACK_MS = 30_000;
/** With the back-off fully grown, where there is time. */
const FAULT_MS = FULL ? 60_000 : 0;
const FAULTS: readonly Fault[] = FULL
  ? ["down", "slow", "ill", "refusing", "garbage", "another CA"]
  : ["down", "garbage"];
const SUBJECT = {
  group: "config.openservicemesh.io",
  kind: "MeshRootCertificate",
  namespace: OSM,
  name: "vault",
};

describe("an issuer elsewhere that fails, seen by proxies, by a metric and by its MeshRootCertificate", function () {
  this.timeout(2 * LONG_MS);
  let rig: RotationRig;
  let [ca, other]: [OpensslCa?, OpensslCa?] = [];
  let vault: VaultStandIn | undefined;
  let first: AdsClient;
  const metrics = createMetrics();
  const replica = () => rig.replicas[0] as RotationRig["replicas"][number];

  const connect = (name: string): AdsClient => {
    const client = replica().ads.open({ token: rig.expect(name) });
    client.send({ typeUrl: TYPE_URLS.secret, subscribe: [SDS_SERVICE_CERT, SDS_ROOT_CERT] });
    return client;
  };
  const leafOf = (client: AdsClient): string | undefined =>
    client.held.get(TYPE_URLS.secret)?.get(SDS_SERVICE_CERT)?.version;
  const findings = (): readonly string[] =>
    rootFindings(SUBJECT, rig.views.at(-1), { osmNamespace: OSM }).map(
      ({ code, message }) => `${code}: ${message}`,
    );
  const waiting = (): number => Number(/\nosm_cert_waiting_count (\d+)\n/.exec(metrics.text())?.[1]);

  before(async () => {
    [rig, ca, other] = await Promise.all([
      RotationRig.start(1),
      createOpensslCa("mesh"),
      createOpensslCa("elsewhere"),
    ]);
    vault = await startVaultStandIn({ ca, otherCa: other, token: TOKEN, role: "openservicemesh" });
    observeIssuing(metrics, replica().ads.secrets);
    replica().world.set(snapshotOf([]));
    first = connect("first");
    rig.startWriter();
    await rig.putSecret("vault", { token: TOKEN });
    const token = { secretKeyRef: { name: "vault", key: "token", namespace: OSM } };
    const place = { host: "localhost", port: vault.port, role: "openservicemesh", protocol: "http", token };
    await rig.createRoot("vault", { role: "active", provider: { vault: place } });
    await waitFor(
      "Vault to be the only issuer",
      () => {
        const { state, next } = rig.views.at(-1)?.step ?? {};
        return next === undefined && state?.roots.length === 1 && state.roots[0]?.owner === "vault";
      },
      LONG_MS,
    );
  });
  after(async () => {
    await (rig as RotationRig | undefined)?.stop();
    await vault?.stop();
    ca?.remove();
    other?.remove();
  });

  for (const fault of FAULTS) {
    it(`${fault}: nobody loses a certificate, all who have to know are told, and it ends by itself`, async () => {
      const held = await waitFor("a leaf", () => leafOf(first), LONG_MS);
      await waitFor("calm", () => waiting() === 0 && findings().length === 0, LONG_MS);
      await vault?.set(fault);
      const late = connect(`late-${fault.replace(" ", "-")}`);
      await waitFor("the metric", () => waiting() === 1, LONG_MS);
      const [said = ""] = await waitFor("the condition", () => findings().length > 0 && findings(), LONG_MS);
      expect(said)
        .to.match(/^UnresolvedReferenceIssuer: /)
        .and.not.contain(TOKEN);
      await new Promise(resolve => setTimeout(resolve, FAULT_MS));
      expect(leafOf(first), "in use").to.equal(held);
      expect(leafOf(late)).to.equal(undefined);
      await vault?.set(undefined);
      const back = Date.now();
      await waitFor("the late one's certificate", () => leafOf(late), LONG_MS);
      const longestMs = Date.now() - back;
      await waitFor("the metric's end", () => waiting() === 0, LONG_MS);
      await waitFor("the condition's end", () => findings().length === 0, LONG_MS);
      verdict(`issuer-${fault}`, longestMs <= BACK_MS, {
        longestMs,
        bound: `${BACK_MS} ms after it is back`,
      });
      late.close();
      rig.forget(`late-${fault.replace(" ", "-")}`);
    });
  }
});
