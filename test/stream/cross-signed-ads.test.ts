import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { once } from "node:events";
import tls from "node:tls";
import { expect } from "chai";
import { ADS_SAN } from "../../src/model/mesh-words";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { startAdsEnvoy, type AdsEnvoy } from "../support/ads-envoy";
import { AdsRig } from "../support/ads-rig";
import { createOpensslCa, type OpensslCa } from "../support/openssl-ca";
import { waitFor } from "../support/wait";

/** Envoy may be slow on a busy machine, milliseconds. */
const LONG_MS = 120_000;

/** The CA of `key` signed by itself: with the same subject and key as its certificate by the other CA. */
function selfSigned({ folder, intermediateKeyPem }: OpensslCa): string {
  writeFileSync(path.join(folder, "new.key"), intermediateKeyPem);
  const how = ["-config", "ca.cnf", "-extensions", "authority", "-subj", "/O=mesh/CN=intermediate"];
  const args = ["req", "-x509", "-key", "new.key", "-days", "30", ...how];
  return execFileSync("openssl", args, { cwd: folder, encoding: "utf8" });
}

// What a rotation of the control plane's own root can rest upon, where nothing is acknowledged (decision 0042).
describe("an ADS server whose CA is signed by the CA before it", function () {
  this.timeout(3 * LONG_MS);
  let ca: OpensslCa;
  let rig: AdsRig;
  const envoys: AdsEnvoy[] = [];
  let roots: Readonly<Record<"old" | "new" | "both" | "foreign", string>>;

  before(async () => {
    ca = await createOpensslCa("mesh");
    const own = selfSigned(ca);
    roots = { old: ca.rootPem, new: own, both: ca.rootPem + own, foreign: createRoot(Date.now()).certPem };
    const authority = loadAuthority(ca.intermediatePem + ca.rootPem, ca.intermediateKeyPem);
    rig = await AdsRig.start({ authority });
  });

  after(async () => {
    for (const envoy of envoys) await envoy.stop();
    await (rig as AdsRig | undefined)?.stop();
    (ca as OpensslCa | undefined)?.remove();
  });

  const start = async (name: "old" | "new" | "both" | "foreign"): Promise<AdsEnvoy> => {
    rig.world.addPod({ namespace: "shop", serviceAccount: "buyer" }, name, `uid-${name}`);
    const token = `shop/buyer/${name}/uid-${name}`;
    const envoy = await startAdsEnvoy({ adsPort: rig.server.port, token, root: roots[name] });
    envoys.push(envoy);
    return envoy;
  };

  for (const name of ["old", "new", "both"] as const)
    it(`is believed by an Envoy and by Node that trust: ${name}`, async () => {
      const envoy = await start(name);
      await waitFor(
        "its stream",
        () => rig.server.ledger.proxies().some(({ podName }) => podName === name),
        LONG_MS,
      );
      await waitFor(
        "its connection",
        async () => (await envoy.stat("control_plane.connected_state")) === 1,
        LONG_MS,
      );
      const at = { host: "127.0.0.1", port: rig.server.port, servername: ADS_SAN, ALPNProtocols: ["h2"] };
      const socket = tls.connect({ ...at, ca: roots[name] });
      await once(socket, "secureConnect");
      expect(socket.authorized).to.equal(true);
      socket.destroy();
    });

  it("is not believed by an Envoy that trusts another", async () => {
    const envoy = await start("foreign");
    await waitFor(
      "a refused certificate",
      async () =>
        /ssl\.fail_verify_error: [1-9]/.test(await envoy.admin("/stats?filter=ssl.fail_verify_error")),
      LONG_MS,
    );
    expect(rig.server.ledger.proxies().some(({ podName }) => podName === "foreign")).to.equal(false);
  });
});
