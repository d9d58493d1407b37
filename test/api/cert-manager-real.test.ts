import { expect } from "chai";
import { systemClock } from "../../src/runtime/clock";
import { IssuerError } from "../../src/certificate/issuer";
import { planWorkload } from "../../src/certificate/plan";
import type { Issuer } from "../../src/runtime/issuers/issuer";
import { createOpenIssuer } from "../../src/runtime/issuers/open";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { watchedLog } from "../support/told-errors";
import { startCertManager, type CertManager } from "../support/cert-manager";
import { failureOf, holdsTheContract, TRUST_DOMAIN } from "../support/issuer-contract";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { createOpensslCa, type OpensslCa } from "../support/openssl-ca";
import { waitFor } from "../support/wait";

const OSM = "osm-system";
type Kind = "Issuer" | "ClusterIssuer";

// The controller takes four minutes to build where it is not in the cache: `npm run test:long` asks it.
if (process.env["OSM_FULL"] === "1")
  describe("the real cert-manager controller on a real API server", function () {
    this.timeout(1_200_000);
    let [server, kube]: [TestApiServer?, ClosableKubeClient?] = [];
    let ca: OpensslCa | undefined;
    let certManager: CertManager | undefined;
    const client = (): ClosableKubeClient => kube as ClosableKubeClient;
    const open = (issuerKind: Kind, issuerName = "mesh", deadlineMs = 60_000): Promise<Issuer> => {
      const options = {
        kube: client(),
        osmNamespace: OSM,
        trustDomain: TRUST_DOMAIN,
        clock: systemClock,
        log: watchedLog,
        deadlineMs,
      };
      const provider = { certManager: { issuerName, issuerKind, issuerGroup: "cert-manager.io" } };
      return createOpenIssuer(options)(provider, TRUST_DOMAIN);
    };
    const create = (collection: string, object: { readonly kind: string } & object): Promise<unknown> => {
      const at = { name: "mesh", ...(object.kind === "ClusterIssuer" ? {} : { namespace: OSM }) };
      return client().create<object>(collection, { ...object, metadata: at });
    };

    before(async () => {
      [server, ca] = await Promise.all([startApiServerForTest(), createOpensslCa("mesh")]);
      kube = server.client();
      await kube.create("/api/v1/namespaces", {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: OSM },
      });
      const stringData = { "tls.crt": ca.intermediatePem + ca.rootPem, "tls.key": ca.intermediateKeyPem };
      const secret = { apiVersion: "v1", kind: "Secret", type: "kubernetes.io/tls", stringData };
      await create(`/api/v1/namespaces/${OSM}/secrets`, secret);
      certManager = await startCertManager(server, OSM);
      const spec = { ca: { secretName: "mesh" } };
      const issuer = { apiVersion: "cert-manager.io/v1", kind: "Issuer", spec };
      await create(`/apis/cert-manager.io/v1/namespaces/${OSM}/issuers`, issuer);
      await create("/apis/cert-manager.io/v1/clusterissuers", { ...issuer, kind: "ClusterIssuer" });
    });
    after(async () => {
      await certManager?.stop();
      kube?.close();
      await server?.stop();
      ca?.remove();
    });

    for (const kind of ["Issuer", "ClusterIssuer"] as const) {
      describe(`with a CA as ${kind}`, () => {
        holdsTheContract(() => ({ open: () => open(kind), openssl: ca as OpensslCa }));
      });
    }

    it("tells of an issuer that is not there, and leaves no request behind", async () => {
      const error = await failureOf(() => open("Issuer", "nobody", 5_000));
      expect(error).to.be.instanceOf(IssuerError).with.property("trouble", "unavailable");
      const path = `/apis/cert-manager.io/v1/namespaces/${OSM}/certificaterequests`;
      await waitFor(
        "requests to be deleted",
        async () => (await client().get<{ items: unknown[] }>(path)).items.length === 0,
        60_000,
      );
    });

    it("issues again when the controller is back after a crash", async () => {
      const issuer = await open("Issuer");
      await certManager?.crash();
      const patient = await failureOf(() => open("Issuer", "mesh", 5_000));
      expect(patient).to.have.property("trouble", "unavailable");
      certManager?.startAgain();
      const identity = { namespace: "shop", serviceAccount: "buyer" };
      const plan = planWorkload(identity, TRUST_DOMAIN, { now: Date.now(), validityMs: 600_000 });
      expect(await issuer.issue(plan)).to.have.property("certPem");
    });
  });
