import { expect } from "chai";
import { CA_SECRET_NAME } from "../../src/model/mesh-words";
import { systemClock } from "../../src/runtime/clock";
import { ensureWebhookIdentity } from "../../src/runtime/control-plane/webhook-identity";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { watchedLog } from "../support/told-errors";
import type { Authority } from "../../src/runtime/secrets/authority";
import {
  CA_CERT_KEY,
  CA_PRIVATE_KEY,
  ensureAuthority,
  type CaOptions,
} from "../../src/runtime/secrets/ca-secret";
import { readSettings } from "../../src/runtime/settings";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { verdict } from "../support/verdict";

const REPLICAS = 5;
const STARTS = process.env["OSM_FULL"] === "1" ? 100 : 5;

interface Secret extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

/** A client that hands over what the first look found only when everybody has looked, so that all of them want to create. */
function lookingTogether(count: number): (kube: ClosableKubeClient) => CaOptions["kube"] {
  let waiting = count;
  let open: () => void = () => undefined;
  const everybodyLooked = new Promise<void>(resolve => {
    open = resolve;
  });
  return kube => {
    let looks = 0;
    return {
      create: kube.create.bind(kube),
      get: async path => {
        looks += 1;
        const found = kube.get<never>(path);
        if (looks > 1) return found;
        await Promise.allSettled([found]);
        waiting -= 1;
        if (waiting === 0) open();
        await everybodyLooked;
        return found;
      },
    };
  };
}

describe("The CA's Secret on a real API server", function () {
  this.timeout(240_000);
  let server: TestApiServer;
  const clients: ClosableKubeClient[] = [];
  const client = (): ClosableKubeClient => {
    const made = server.client();
    clients.push(made);
    return made;
  };
  const namespaceOf = async (name: string): Promise<string> => {
    await client().create("/api/v1/namespaces", {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name },
    } as KubeObject);
    return name;
  };
  const ensure = (namespace: string, kube: CaOptions["kube"], log = watchedLog): Promise<Authority> =>
    ensureAuthority({ kube, namespace, now: () => systemClock.now(), log });
  const stored = (namespace: string): Promise<Secret> =>
    client().get<Secret>(`/api/v1/namespaces/${namespace}/secrets/${CA_SECRET_NAME}`);

  before(async () => {
    server = await startApiServerForTest();
  });
  after(async () => {
    for (const each of clients) each.close();
    await server.stop();
  });

  it(`the first of ${REPLICAS} writers wins, the others read what it wrote`, async () => {
    const namespace = await namespaceOf("together");
    const together = lookingTogether(REPLICAS);
    const creators: number[] = [];
    const all = await Promise.all(
      Array.from({ length: REPLICAS }, (_, replica) =>
        ensure(namespace, together(client()), { ...watchedLog, info: () => creators.push(replica) }),
      ),
    );
    expect(creators).to.have.length(1);
    expect(new Set(all.map(({ certPem }) => certPem)).size).to.equal(1);
    const { data } = await stored(namespace);
    expect(Buffer.from(data[CA_CERT_KEY] ?? "", "base64").toString("utf8")).to.equal(all[0]?.certPem);
  });

  it(`${STARTS} first starts of three replicas, all at the same time, give one CA each, and one for the webhook`, async () => {
    const namespaces = await Promise.all(
      Array.from({ length: STARTS }, (_, index) => namespaceOf(`start-${index}`)),
    );
    let creators = 0;
    const log = { ...watchedLog, info: () => (creators += 1) };
    const start = async (namespace: string, kube: ClosableKubeClient, ca: CaOptions["kube"]) => {
      const settings = { ...readSettings({}, "unused"), osmNamespace: namespace };
      const [authority, webhook] = await Promise.all([
        ensure(namespace, ca, log),
        ensureWebhookIdentity(kube, settings, systemClock),
      ]);
      return [authority.certPem, webhook.caCertPem, webhook.certPem, webhook.path].join("\n");
    };
    const split = await Promise.all(
      namespaces.map(async (namespace, index) => {
        // Every other time all three find nothing before any of them creates; else as it happens.
        const together = index % 2 === 0 ? lookingTogether(3) : (kube: ClosableKubeClient) => kube;
        const replicas = [client(), client(), client()];
        const found = await Promise.all(replicas.map(kube => start(namespace, kube, together(kube))));
        const { data } = await stored(namespace);
        const inSecret = Buffer.from(data[CA_CERT_KEY] ?? "", "base64").toString("utf8");
        for (const kube of replicas) kube.close();
        return new Set(found).size === 1 && found[0]?.startsWith(inSecret) === true ? [] : [namespace];
      }),
    );
    const failed = split.flat();
    const bound = "one CA in each of the first starts of three replicas";
    verdict("first-starts", failed.length === 0, { count: STARTS, failed: failed.length, bound });
    expect(failed).to.deep.equal([]);
    expect(creators, "who made one").to.equal(STARTS);
  });

  it("who comes later reads it and changes nothing", async () => {
    const namespace = await namespaceOf("later");
    const first = await ensure(namespace, client());
    const written = await stored(namespace);
    expect((await ensure(namespace, client())).certPem).to.equal(first.certPem);
    expect((await stored(namespace)).metadata.resourceVersion).to.equal(written.metadata.resourceVersion);
  });

  const unusable: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ["no key", { [CA_CERT_KEY]: "Y2VydA==" }],
    ["no certificate", { [CA_CERT_KEY]: "Y2VydA==", [CA_PRIVATE_KEY]: "a2V5" }],
  ];
  for (const [what, data] of unusable) {
    it(`a Secret with ${what} in it is refused and not overwritten`, async () => {
      const namespace = await namespaceOf(what.replace(" ", "-"));
      await client().create(`/api/v1/namespaces/${namespace}/secrets`, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: CA_SECRET_NAME, namespace },
        data,
      } as unknown as KubeObject);
      const refused = await ensure(namespace, client()).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(refused).to.be.instanceOf(Error);
      expect((await stored(namespace)).data).to.deep.equal(data);
    });
  }
});
