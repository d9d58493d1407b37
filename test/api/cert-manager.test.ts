import { expect } from "chai";
import { systemClock } from "../../src/runtime/clock";
import type { Issuer } from "../../src/runtime/issuers/issuer";
import { certManagerSigner, type CertManagerAccess } from "../../src/runtime/issuers/cert-manager";
import { createOpenIssuer } from "../../src/runtime/issuers/open";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { watchedLog } from "../support/told-errors";
import { newKey, requestPem } from "../../src/runtime/secrets/authority";
import { failureOf, holdsTheContract, HurriedClock, TRUST_DOMAIN } from "../support/issuer-contract";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { createOpensslCa, type OpensslCa } from "../support/openssl-ca";
import {
  installRequestKind,
  playCertManager,
  type PlayedCertManager,
} from "../support/cert-manager-stand-in";
import { waitFor } from "../support/wait";

const OSM = "osm-system";
const REQUESTS = `/apis/cert-manager.io/v1/namespaces/${OSM}/certificaterequests`;
/** No answer that counts is later, on any machine; the one that never comes is not waited for. */
const DEADLINE_MS = 60_000;

describe("cert-manager's protocol on a real API server, played by a stand-in", function () {
  this.timeout(240_000);
  let [server, kube]: [TestApiServer?, ClosableKubeClient?] = [];
  let [ca, other]: [OpensslCa?, OpensslCa?] = [];
  let played: PlayedCertManager | undefined;
  const clock = new HurriedClock();
  const open = (): Promise<Issuer> => {
    const certManager = { issuerName: "mesh", issuerKind: "Issuer", issuerGroup: "cert-manager.io" } as const;
    const client = kube as ClosableKubeClient;
    const options = {
      kube: client,
      osmNamespace: OSM,
      trustDomain: TRUST_DOMAIN,
      clock,
      log: watchedLog,
      deadlineMs: DEADLINE_MS,
    };
    return createOpenIssuer(options)({ certManager }, TRUST_DOMAIN);
  };
  const requests = async (): Promise<readonly KubeObject[]> =>
    (await (kube as ClosableKubeClient).get<{ readonly items: readonly KubeObject[] }>(REQUESTS)).items;

  before(async () => {
    [server, ca, other] = await Promise.all([
      startApiServerForTest(),
      createOpensslCa("mesh"),
      createOpensslCa("elsewhere"),
    ]);
    kube = server.client();
    const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: OSM } };
    await kube.create("/api/v1/namespaces", namespace);
  });
  after(async () => {
    await played?.stop();
    kube?.close();
    await server?.stop();
    ca?.remove();
    other?.remove();
  });

  it("refuses by name where there is no cert-manager", async () => {
    const error = await failureOf(open);
    expect(error).to.have.property("trouble", "refused");
  });

  describe("with the kind", () => {
    before(async () => {
      await installRequestKind(kube as ClosableKubeClient);
      played = playCertManager({
        kube: kube as ClosableKubeClient,
        namespace: OSM,
        ca: ca as OpensslCa,
        otherCa: other as OpensslCa,
        clock: systemClock,
      });
    });

    holdsTheContract(() => ({
      open,
      openssl: ca as OpensslCa,
      faults: clock.with(played as PlayedCertManager),
    }));

    it("says what cert-manager says, and leaves no request behind", async () => {
      const issuer = await open();
      await (played as PlayedCertManager).set("refusing");
      expect(String(await failureOf(() => issuer.issue((played as PlayedCertManager).plan())))).to.match(
        /said no: Denied: not for you/,
      );
      await (played as PlayedCertManager).set(undefined);
      await waitFor("requests to be deleted", async () => (await requests()).length === 0, 60_000);
    });

    it("sweeps away what a process that has ended has left behind, and nothing else", async () => {
      const client = kube as ClosableKubeClient;
      const put = (name: string): Promise<unknown> =>
        client.create(REQUESTS, {
          apiVersion: "cert-manager.io/v1",
          kind: "CertificateRequest",
          metadata: { name },
        });
      const names = async (): Promise<readonly string[]> =>
        (await requests()).map(({ metadata }) => metadata.name);
      const [left, other] = ["osm-0123456789abcdef", "osm-gateway"];
      for (const name of [left, other]) await put(name);
      let swept: unknown;
      /** Asks as if the API server had dated what it just made so much later than all that was there before. */
      const ask = async (laterMs: number, signal: AbortSignal): Promise<void> => {
        const plan = (played as PlayedCertManager).plan();
        let listed: (() => void) | undefined;
        const looked = new Promise<void>(resolve => (listed = resolve));
        const access: CertManagerAccess = {
          kube: {
            get: async <T>(path: string) => {
              const answer = await client.get<T>(path);
              if (path === REQUESTS) listed?.();
              return answer;
            },
            watch: (...given) => client.watch(...given),
            delete: path => client.delete(path),
            create: async <T>(path: string, body: T) => {
              const made = (await client.create(path, body)) as T & KubeObject;
              const at = Date.parse(made.metadata.creationTimestamp ?? "") + laterMs;
              return {
                ...made,
                metadata: { ...made.metadata, creationTimestamp: new Date(at).toISOString() },
              };
            },
          },
          osmNamespace: OSM,
          log: {
            ...watchedLog,
            info: (_message, fields) => {
              swept = fields;
            },
          },
        };
        const signer = certManagerSigner(
          { issuerName: "mesh", issuerKind: "Issuer", issuerGroup: "cert-manager.io" },
          access,
        );
        const request = { plan, csrPem: requestPem(plan, newKey()), lifetimeSeconds: 60 };
        await signer.sign(request, signal);
        await looked;
      };
      await ask(0, AbortSignal.timeout(DEADLINE_MS));
      expect(await names(), "as young as they are").to.include.members([left, other]);
      // Nobody answers, so that its own request is there, and by its own date as old as the others, while it sweeps.
      await (played as PlayedCertManager).set("slow");
      const giveUp = new AbortController();
      const asked = failureOf(() => ask(3_600_000, giveUp.signal));
      await waitFor("the sweep", () => swept !== undefined);
      expect(swept).to.deep.equal({ count: 1 });
      expect(await names(), "its own is waited for").to.have.length(2);
      expect(await names())
        .to.include(other)
        .and.to.not.include(left);
      giveUp.abort();
      expect(await asked).to.have.property("trouble", "unavailable");
      await (played as PlayedCertManager).set(undefined);
      expect(await names(), "nothing of its own stays").to.deep.equal([other]);
      await client.delete(`${REQUESTS}/${other}`);
    });
  });
});
