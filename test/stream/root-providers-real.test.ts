import { expect } from "chai";
import { startCertManager, type CertManager } from "../support/cert-manager";
import { createOpensslCa, type OpensslCa } from "../support/openssl-ca";
import { RotationPair } from "../support/rotation-pair";
import { OSM, RotationRig } from "../support/rotation-rig";
import { startVault, type Vault } from "../support/vault";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

/** What the mesh's role in Vault has to allow. */
const ROLE = {
  allow_any_name: true,
  enforce_hostnames: false,
  allowed_uri_sans: "spiffe://cluster.local/*",
  key_type: "ec",
  key_bits: 256,
  require_cn: false,
  max_ttl: "24h",
};
const VAULT_ROLE = "openservicemesh";

/** All ordered pairs of four providers, as one way through them: each is left for each other one once. */
const WAY =
  "built-in secret built-in vault built-in cert-manager secret vault secret cert-manager vault cert-manager built-in";
const PAIRS = 12;
/** Handshakes of all rotations together, at least. */
const CALLS = 100_000;
/** A rotation takes some ten seconds, milliseconds. */
const LONG_MS = 240_000;

// Both take minutes to build where they are not in the cache: `npm run test:long` asks them.
if (process.env["OSM_FULL"] === "1")
  describe("rotation between every two of the built-in CA, a Secret, the real Vault and the real cert-manager", function () {
    this.timeout(1_800_000);
    let rig: RotationRig;
    let pair: RotationPair | undefined;
    let vault: Vault | undefined;
    let ca: OpensslCa | undefined;
    let certManager: CertManager | undefined;
    let providers: Readonly<Record<string, object>> = {};

    before(async () => {
      [rig, vault, ca] = await Promise.all([RotationRig.start(2), startVault(), createOpensslCa("mesh")]);
      await vault.write(`pki/roles/${VAULT_ROLE}`, ROLE);
      await rig.putSecret("vault", { token: await vault.tokenFor(VAULT_ROLE) });
      await rig.putSecret("cm", {
        "tls.crt": ca.intermediatePem + ca.rootPem,
        "tls.key": ca.intermediateKeyPem,
      });
      certManager = await startCertManager(rig.server, OSM);
      await rig.kube.create<object>(`/apis/cert-manager.io/v1/namespaces/${OSM}/issuers`, {
        apiVersion: "cert-manager.io/v1",
        kind: "Issuer",
        metadata: { name: "mesh", namespace: OSM },
        spec: { ca: { secretName: "cm" } },
      });
      await rig.putCa("secret");
      const secretKeyRef = { name: "vault", key: "token", namespace: OSM };
      const address = { host: "127.0.0.1", port: vault.port, role: VAULT_ROLE, protocol: "http" };
      providers = {
        secret: { tresor: { ca: { secretRef: { name: "secret", namespace: OSM } } } },
        vault: { vault: { ...address, token: { secretKeyRef } } },
        "cert-manager": {
          certManager: { issuerName: "mesh", issuerKind: "Issuer", issuerGroup: "cert-manager.io" },
        },
      };
      pair = await RotationPair.start(rig);
      rig.startWriter();
    });

    after(async () => {
      await pair?.stop();
      await (rig as RotationRig | undefined)?.stop();
      await certManager?.stop();
      await vault?.stop();
      ca?.remove();
    });

    /** Leads from one to the other as operators do: the new one beside the old one, then the old one goes. */
    const rotate = async (from: string, to: string): Promise<readonly string[]> => {
      const first = rig.views.length;
      const owner = providers[to] === undefined ? undefined : to;
      if (owner !== undefined) await rig.createRoot(owner, { role: "active", provider: providers[owner] });
      if (providers[from] !== undefined) await rig.deleteRoot(from);
      await waitFor(
        `${to} to be the only root`,
        () => {
          const { state, next, made } = rig.views.at(-1)?.step ?? {};
          const isAlone = state?.roots.length === 1 && state.roots[0]?.owner === owner;
          return rig.views.length > first && isAlone && next === undefined && made === undefined;
        },
        LONG_MS,
      );
      return rig.views
        .slice(first)
        .flatMap(({ step: { made } }) =>
          made === undefined ? [] : [`${made.kind} ${made.root.owner ?? "built-in"}`],
        );
    };

    const steps = WAY.split(" ");
    steps.slice(1).forEach((to, index) => {
      const from = steps[index] ?? "";
      it(`from ${from} to ${to}, and no handshake fails`, async () => {
        const { load } = pair as RotationPair;
        const before = { calls: load.calls, failed: load.failures.length, at: Date.now() };
        const moves = await rotate(from, to);
        const ms = Date.now() - before.at;
        await waitFor("enough calls", () => load.calls - before.calls >= CALLS / PAIRS, LONG_MS);
        const [count, failed] = [load.calls - before.calls, load.failures.length - before.failed];
        const perSecond = Math.round((count * 1_000) / (Date.now() - before.at));
        verdict(`root rotation from ${from} to ${to}, ${perSecond} handshakes/s`, failed === 0, {
          count,
          failed,
          longestMs: ms,
          bound: "0 failed",
        });
        expect(load.failures).to.deep.equal([]);
        expect(moves).to.deep.equal([`trust ${to}`, `issue ${to}`, `drop ${from}`]);
        const root = rig.views.at(-1)?.step.state.issuing;
        await waitFor(
          "both to hold that root alone",
          () => pair?.held().every(([trust, issuer]) => trust === root && issuer === root),
          LONG_MS,
        );
        expect(pair?.held()).to.have.length(2);
      });
    });
  });
