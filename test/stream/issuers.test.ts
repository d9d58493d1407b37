import { expect } from "chai";
import { IssuerError } from "../../src/certificate/issuer";
import { planServing } from "../../src/certificate/plan";
import { KubeError, type KubeClient } from "../../src/runtime/kube";
import type { Issuer, Provider } from "../../src/runtime/issuers/issuer";
import { createOpenIssuer } from "../../src/runtime/issuers/open";
import { watchedLog } from "../support/told-errors";
import { createRoot, issueServing, loadAuthority } from "../../src/runtime/secrets/authority";
import {
  failureOf,
  holdsTheContract,
  HurriedClock,
  TRUST_DOMAIN,
  type ContractSubject,
} from "../support/issuer-contract";
import { createOpensslCa, type OpensslCa } from "../support/openssl-ca";
import { startVaultStandIn, type VaultStandIn } from "../support/vault-stand-in";

const OSM = "osm-system";
const TOKEN = "hvs.a-token-nobody-may-see";
const ROLE = "openservicemesh";
/** No answer that counts is later, on any machine; the one that never comes is not waited for. */
const DEADLINE_MS = 60_000;

/** Secrets by name, as the API server answers; all else is not asked for here. */
function secretsOf(secrets: Map<string, Readonly<Record<string, string>> | KubeError>): KubeClient {
  const get = (path: string): Promise<unknown> => {
    const found = secrets.get(path.replace(`/api/v1/namespaces/${OSM}/secrets/`, ""));
    if (found === undefined) return Promise.reject(new KubeError(404, "NotFound", "not found"));
    if (found instanceof KubeError) return Promise.reject(found);
    const encoded = Object.entries(found).map(([key, text]) => [key, Buffer.from(text).toString("base64")]);
    return Promise.resolve({ data: Object.fromEntries(encoded) as unknown });
  };
  return { get } as unknown as KubeClient;
}

describe("issuers of workload certificates", function () {
  this.timeout(240_000);
  const secrets = new Map<string, Readonly<Record<string, string>> | KubeError>();
  let [openssl, other]: [OpensslCa?, OpensslCa?] = [];
  const ca = (): OpensslCa => openssl as OpensslCa;
  const clock = new HurriedClock();
  const open = (provider: Provider): Promise<Issuer> => {
    const kube = secretsOf(secrets);
    const options = {
      kube,
      osmNamespace: OSM,
      trustDomain: TRUST_DOMAIN,
      clock,
      log: watchedLog,
      deadlineMs: DEADLINE_MS,
    };
    return createOpenIssuer(options)(provider, TRUST_DOMAIN);
  };
  const fromSecret = (name: string, namespace = OSM): Promise<Issuer> =>
    open({ tresor: { ca: { secretRef: { name, namespace } } } });
  const troubleOf = async (attempt: () => unknown): Promise<string> => {
    const error = await failureOf(attempt);
    expect(error).to.be.instanceOf(IssuerError);
    return `${(error as IssuerError).trouble}: ${(error as IssuerError).message}`;
  };

  before(async () => {
    [openssl, other] = await Promise.all([createOpensslCa("mesh"), createOpensslCa("elsewhere")]);
    secrets.set("root", { "ca.crt": ca().rootPem, "private.key": ca().rootKeyPem });
    const chain = ca().rootPem + ca().intermediatePem;
    secrets.set("intermediate", { "ca.crt": chain, "private.key": ca().intermediateKeyPem });
    const tls = { "tls.crt": ca().intermediatePem, "tls.key": ca().intermediateKeyPem };
    secrets.set("as-tls", { ...tls, "ca.crt": ca().rootPem });
    secrets.set("topless", tls);
  });
  after(() => {
    openssl?.remove();
    other?.remove();
  });

  describe("the built-in CA", () => {
    const root = createRoot(Date.now());
    const authority = loadAuthority(root.certPem, root.keyPem);
    holdsTheContract(() => ({ open: () => Promise.resolve(authority), openssl: ca() }));

    it("is trusted by its own certificate, byte for byte, and named by it", () => {
      expect(authority.anchorsPem).to.equal(root.certPem);
      expect(authority.certPem).to.equal(root.certPem);
    });
  });

  for (const name of ["root", "intermediate", "as-tls", "topless"]) {
    describe(`a Secret with a CA (${name})`, () => {
      holdsTheContract(() => ({ open: () => fromSecret(name), openssl: ca() }));
    });
  }

  describe("a Secret", () => {
    it("with an intermediate delivers it with the leaf, and the topmost certificate is trusted", async () => {
      const plan = planServing(["a"], { now: Date.now(), validityMs: 60_000 });
      const count = (pem: string): number => pem.split("BEGIN CERTIFICATE").length - 1;
      for (const name of ["intermediate", "as-tls"]) {
        const issuer = await fromSecret(name);
        expect(issuer.anchorsPem.trim()).to.equal(ca().rootPem.trim());
        expect(count((await issuer.issue(plan)).certPem)).to.equal(2);
      }
      const topless = await fromSecret("topless");
      expect(topless.anchorsPem.trim()).to.equal(ca().intermediatePem.trim());
      expect(count((await topless.issue(plan)).certPem)).to.equal(1);
    });

    it("that is missing, closed, elsewhere or unusable is named as what it is", async () => {
      secrets.set("closed", new KubeError(403, "Forbidden", "forbidden"));
      secrets.set("away", new KubeError(0, "ECONNREFUSED", "connect"));
      secrets.set("keyless", { "ca.crt": ca().rootPem });
      secrets.set("mixed", { "ca.crt": ca().rootPem, "private.key": ca().intermediateKeyPem });
      secrets.set("text", { "ca.crt": "certificate", "private.key": "-----key of mine-----" });
      expect(await troubleOf(() => fromSecret("missing"))).to.match(/^refused: .*does not exist/);
      expect(await troubleOf(() => fromSecret("closed"))).to.match(/^refused: .*Role/);
      expect(await troubleOf(() => fromSecret("root", "shop"))).to.match(/^refused: .*osm-system/);
      expect(await troubleOf(() => fromSecret("away"))).to.match(/^unavailable/);
      expect(await troubleOf(() => fromSecret("keyless"))).to.match(/^garbage/);
      expect(await troubleOf(() => fromSecret("mixed"))).to.match(/^garbage: .*does not belong/);
      expect(await troubleOf(() => fromSecret("text")))
        .to.match(/^garbage/)
        .and.not.contain("mine");
    });

    it("with a CA that has ended is refused", async () => {
      const ended = createRoot(Date.now() - 20 * 365 * 86_400_000);
      secrets.set("ended", { "ca.crt": ended.certPem, "private.key": ended.keyPem });
      expect(await troubleOf(() => fromSecret("ended"))).to.match(/^refused: .*has ended/);
    });
  });

  for (const protocol of ["http", "https"] as const) {
    describe(`Vault's protocol over ${protocol}, played by a stand-in`, () => {
      let vault: VaultStandIn | undefined;
      const standIn = (): VaultStandIn => vault as VaultStandIn;
      const provider = (role = ROLE): Provider => {
        const secretKeyRef = { name: "vault", key: "token", namespace: OSM };
        return {
          vault: { host: "localhost", port: standIn().port, role, protocol, token: { secretKeyRef } },
        };
      };
      const subject = (): ContractSubject => ({
        open: () => open(provider()),
        openssl: ca(),
        faults: clock.with(standIn()),
        secrets: [TOKEN],
      });

      before(async () => {
        const root = createRoot(Date.now());
        const lifetime = { now: Date.now(), validityMs: 3_600_000 };
        const tls = issueServing(loadAuthority(root.certPem, root.keyPem), ["localhost"], lifetime);
        const options = { ca: ca(), otherCa: other as OpensslCa, token: TOKEN, role: ROLE };
        vault = await startVaultStandIn(protocol === "https" ? { ...options, tls } : options);
        secrets.set("vault", { token: `${TOKEN}\n`, "ca.crt": root.certPem });
      });
      after(() => vault?.stop());

      holdsTheContract(subject);

      it("refuses an unknown role, and a token that is none", async () => {
        expect(await troubleOf(() => open(provider("nobody")))).to.match(/^refused: .*unknown role/);
        secrets.set("vault", { ...(secrets.get("vault") as object), token: "" });
        expect(await troubleOf(() => open(provider()))).to.match(/^refused: .*no token/);
        secrets.set("vault", { ...(secrets.get("vault") as object), token: TOKEN });
      });

      it("takes a new token from the Secret after the old one was refused", async () => {
        const issuer = await open(provider());
        const plan = planServing(["a"], { now: Date.now(), validityMs: 60_000 });
        standIn().setToken("hvs.the-next");
        expect(await troubleOf(() => issuer.issue(plan))).to.match(/^refused/);
        secrets.set("vault", { ...(secrets.get("vault") as object), token: "hvs.the-next" });
        expect(await issuer.issue(plan)).to.have.property("certPem");
        standIn().setToken(TOKEN);
        secrets.set("vault", { ...(secrets.get("vault") as object), token: TOKEN });
      });

      if (protocol === "https")
        it("is not spoken to when its certificate is of nobody we know", async () => {
          secrets.set("vault", { token: TOKEN, "ca.crt": ca().rootPem });
          expect(await troubleOf(() => open(provider()))).to.match(/^unavailable/);
        });
    });
  }
});
