import { expect } from "chai";
import { X509Certificate } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { until } from "../../hack/cluster/progress";
import { MODULE } from "../../src/install/names";
import { spiffeId } from "../../src/model/identity";
import {
  ADS_PORT,
  ADS_SAN,
  CA_ROOT_CONFIGMAP,
  CA_ROOT_KEY,
  DEFAULT_TRUST_DOMAIN,
  LABEL_PROXY_UUID,
  SDS_ROOT_CERT,
  SDS_SERVICE_CERT,
  SIDECAR_CONTAINER,
} from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsClient, type StreamEnd } from "../support/ads-client";
import { quantile, verdict } from "../support/verdict";
import { deployment, service, serviceAccount, template } from "./support/manifests";
import { FULL, Mesh, report, type PodView } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { forgedToken, tokenFor } from "./support/tokens";

/**
 * No refusal is later, on any machine. A second is aimed at (reliability rule I-01), and for a pod that nobody knows the
 * wait of 5 s before it.
 */
const REFUSED_MS = 60_000;

/** Pods that claim to be another one, all at once. */
const CROWD = FULL ? 100 : 10;
/** How often the one that they claim to be comes back meanwhile. */
const COMES_BACK = 3;

interface Tried {
  readonly end: StreamEnd;
  readonly responses: number;
  readonly ms: number;
}

describe("the ADS port of the real control plane", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let outside: TestNamespace;
  let root: string;
  let address: string;
  let alice: PodView;
  let bob: PodView;
  let genuine: string;
  const clients: AdsClient[] = [];

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "identity", true);
    outside = await TestNamespace.create(mesh, "unmeshed", false);
    const app = (name: string): object => deployment(name, { program: "server-app", serviceAccount: name });
    await shop.apply(...["alice", "bob"].flatMap(name => [serviceAccount(name), app(name), service(name)]));
    await outside.apply(serviceAccount("alice"), app("alice"));
    await Promise.all([shop.rolledOut("alice", "bob"), outside.rolledOut("alice")]);
    [alice, bob] = [await shop.readyPod("alice"), await shop.readyPod("bob")];
    const where = ["get", "configmap", CA_ROOT_CONFIGMAP, "-o", "json"];
    const { data } = JSON.parse(await shop.kubectl(where)) as { data: Record<string, string> };
    root = data[CA_ROOT_KEY] ?? "";
    const [pod] = await mesh.controlPlane(MODULE);
    address = `${pod?.status.podIP ?? ""}:${ADS_PORT}`;
    genuine = await tokenFor(mesh, { namespace: shop.name, serviceAccount: "alice", pod: alice });
  });

  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  function connect(token: string | undefined, nodeId = "someone"): AdsClient {
    const proof = token === undefined ? {} : { token };
    const client = new AdsClient({ address, root, serverName: ADS_SAN, nodeId, ...proof });
    clients.push(client);
    return client;
  }

  /** Asks for everything with this token and waits for the end of the stream. */
  async function attempt(token: string | undefined): Promise<Tried> {
    const client = connect(token);
    const began = Date.now();
    client.send({ typeUrl: TYPE_URLS.cluster });
    client.send({ typeUrl: TYPE_URLS.secret, subscribe: [SDS_SERVICE_CERT, SDS_ROOT_CERT] });
    const end = await until("a refusal", REFUSED_MS, () => client.ended, 20);
    return { end, responses: client.responses.length, ms: Date.now() - began };
  }

  async function expectRefused(what: string, token: string | undefined): Promise<void> {
    const { end, responses, ms } = await attempt(token);
    report(`${what}: ${status[end.code]} after ${ms} ms (${end.details})`);
    expect(responses, "responses").to.equal(0);
    expect(status[end.code]).to.be.oneOf(["UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE"]);
    // A refusal by our server says why; without a reason it was the connection that failed.
    expect(end.details).to.match(/token|pod/);
    if (token !== undefined && token.length > 20) expect(end.details).not.to.contain(token.slice(-20));
  }

  /** URI names of the certificate that a stream was given. */
  async function identityGiven(client: AdsClient): Promise<string> {
    const secret = await until("a certificate", REFUSED_MS, () =>
      client.held.get(TYPE_URLS.secret)?.get(SDS_SERVICE_CERT),
    );
    const text = Buffer.from(secret.body).toString("latin1");
    const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(text)?.[0] ?? "";
    return new X509Certificate(pem).subjectAltName ?? "";
  }

  const uriOf = (serviceAccount: string): string =>
    `URI:${spiffeId(DEFAULT_TRUST_DOMAIN, { namespace: shop.name, serviceAccount })}`;

  it("serves the pod that a token is bound to, and gives it its own certificate only", async () => {
    const client = connect(genuine);
    client.send({ typeUrl: TYPE_URLS.cluster });
    await until("clusters", REFUSED_MS, () => client.held.get(TYPE_URLS.cluster)?.size);
    client.send({ typeUrl: TYPE_URLS.secret, subscribe: [SDS_SERVICE_CERT, SDS_ROOT_CERT] });
    expect(await identityGiven(client)).to.contain(uriOf("alice"));
    expect(client.ended).to.equal(undefined);
  });

  it("takes no notice of what a proxy says it is", async () => {
    const client = connect(genuine, `${bob.metadata.uid}.${shop.name}.bob`);
    const foreign = [uriOf("bob"), `service-cert:${shop.name}/bob`, `${shop.name}/bob`];
    client.send({ typeUrl: TYPE_URLS.secret, subscribe: [SDS_SERVICE_CERT, ...foreign] });
    const given = await identityGiven(client);
    expect(given).to.contain(uriOf("alice"));
    expect(given).not.to.contain("/bob");
    expect([...(client.held.get(TYPE_URLS.secret)?.keys() ?? [])]).to.deep.equal([SDS_SERVICE_CERT]);
  });

  it("ends a stream whose node id changes", async () => {
    const client = connect(genuine, "alice");
    client.send({ typeUrl: TYPE_URLS.cluster });
    await until("clusters", REFUSED_MS, () => client.held.get(TYPE_URLS.cluster));
    client.send({ nodeId: "bob", typeUrl: TYPE_URLS.listener });
    const end = await until("the end of the stream", REFUSED_MS, () => client.ended);
    expect(status[end.code]).to.equal("PERMISSION_DENIED");
  });

  it("refuses who presents no token, or one that the cluster did not sign", async () => {
    const stolen = { sub: `system:serviceaccount:${shop.name}:bob` };
    await expectRefused("no token", undefined);
    await expectRefused("no token at all", "nonsense");
    await expectRefused("algorithm none", forgedToken(genuine, "none algorithm"));
    await expectRefused("signature cut off", forgedToken(genuine, "no signature"));
    await expectRefused("another account in the claims", forgedToken(genuine, "other claims", stolen));
    await expectRefused("signed with a key of one's own", forgedToken(genuine, "own key"));
    const late = { exp: Math.floor(Date.now() / 1000) - 3_600 };
    await expectRefused("expired", forgedToken(genuine, "own key", late));
  });

  it("refuses genuine tokens that are not of a meshed pod, for this mesh", async () => {
    const of = { namespace: shop.name, serviceAccount: "alice" };
    const audience = "https://kubernetes.default.svc";
    await expectRefused("another audience", await tokenFor(mesh, { ...of, pod: alice, audience }));
    await expectRefused("bound to no pod", await tokenFor(mesh, of));
    const unmeshed = await outside.readyPod("alice");
    const foreign = { namespace: outside.name, serviceAccount: "alice", pod: unmeshed };
    await expectRefused("a pod without sidecar", await tokenFor(mesh, foreign));
  });

  it("refuses a pod made by hand with all of a sidecar's marks in a namespace outside the mesh", async () => {
    const { metadata, spec } = template("mallory", {
      program: "client-app",
      serviceAccount: "alice",
    }) as unknown as { metadata: { labels: object }; spec: { containers: object[] } };
    const labels = { ...metadata.labels, [LABEL_PROXY_UUID]: "00000000-0000-4000-8000-000000000000" };
    const containers = spec.containers.map(container => ({ ...container, name: SIDECAR_CONTAINER }));
    await outside.apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata, labels, name: "mallory" },
      spec: { ...spec, containers },
    });
    const pod = await outside.readyPod("mallory");
    const order = { namespace: outside.name, serviceAccount: "alice", pod };
    await expectRefused("a namespace outside the mesh", await tokenFor(mesh, order));
  });

  /** A pod like `victim` to everybody who looks at labels, annotations and names of containers. It need not run. */
  function likeness(name: string, { metadata: { labels, annotations } }: PodView): object {
    const { spec } = template(name, { program: "client-app", serviceAccount: "alice" }) as unknown as {
      spec: { containers: object[] };
    };
    const containers = spec.containers.map(container => ({ ...container, name: SIDECAR_CONTAINER }));
    const metadata = { name, labels, annotations };
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata,
      spec: { ...spec, containers, schedulerName: "nobody" },
    };
  }

  it(`gives nothing to ${CROWD} pods with a victim's own labels and marks at once, and the victim comes back meanwhile`, async () => {
    // A namespace of its own: where there were a ReplicaSet of these labels, it would take the pods for its own.
    const crowd = await TestNamespace.create(mesh, "crowd", false);
    const names = Array.from({ length: CROWD }, (_, index) => `alice-${index}`);
    await crowd.apply(serviceAccount("alice"), ...names.map(name => likeness(name, alice)));
    const pods = await crowd.pods();
    expect(alice.metadata.labels?.[LABEL_PROXY_UUID]).to.be.a("string");
    expect(pods.map(({ metadata }) => metadata.labels)).to.deep.equal(names.map(() => alice.metadata.labels));
    const order = { namespace: crowd.name, serviceAccount: "alice" };
    const tokens = await Promise.all(pods.map(pod => tokenFor(mesh, { ...order, pod })));

    const trying = Promise.all(tokens.map(token => attempt(token)));
    const back: number[] = [];
    while (back.length < COMES_BACK) {
      const began = Date.now();
      const client = connect(genuine, "alice");
      client.send({ typeUrl: TYPE_URLS.secret, subscribe: [SDS_SERVICE_CERT, SDS_ROOT_CERT] });
      expect(await identityGiven(client)).to.contain(uriOf("alice"));
      expect(client.ended).to.equal(undefined);
      back.push(Date.now() - began);
      client.close();
    }
    const tried = await trying;

    const isRefused = ({ end, responses }: Tried): boolean =>
      responses === 0 &&
      end.code === status.PERMISSION_DENIED &&
      end.details === "the namespace of the pod does not belong to this mesh";
    const others = tried.filter(each => !isRefused(each));
    const took = tried.map(({ ms }) => ms);
    verdict("I-05: pods with a victim's labels and marks, refused at once", others.length === 0, {
      count: tried.length,
      failed: others.length,
      p50Ms: quantile(took, 0.5),
      p99Ms: quantile(took, 0.99),
      longestMs: Math.max(...took),
      bound: `0 let in; the victim came back ${back.length} times, in ${back.join(", ")} ms`,
    });
    expect(others).to.deep.equal([]);
  });

  it("is never reached with another account's name on a pod's token, which the API server does not sign", async () => {
    const order = { namespace: shop.name, serviceAccount: "bob", pod: alice };
    const refusal = await tokenFor(mesh, order).then(
      () => "a token",
      (error: unknown) => String(error),
    );
    expect(refusal)
      .to.match(/service ?account/i)
      .and.not.equal("a token");
  });

  it("ends the stream of a deleted pod and refuses its token, also when a pod of that name is there again", async () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      ...template("carol", { program: "client-app", serviceAccount: "alice" }),
    };
    const named = { ...pod, metadata: { ...(pod as unknown as PodView).metadata, name: "carol" } };
    await shop.apply(named);
    const first = await shop.readyPod("carol");
    const token = await tokenFor(mesh, { namespace: shop.name, serviceAccount: "alice", pod: first });
    const client = connect(token, "carol");
    client.send({ typeUrl: TYPE_URLS.cluster });
    await until("clusters", REFUSED_MS, () => client.held.get(TYPE_URLS.cluster));

    await shop.kubectl(["delete", "pod", "carol", "--wait=true"]);
    const deleted = Date.now();
    await until("the end of the deleted pod's stream", REFUSED_MS, () => client.ended, 20);
    report(`stream of the deleted pod ended ${Date.now() - deleted} ms after the deletion`);
    await expectRefused("a deleted pod", token);

    await shop.apply(named);
    const second = await shop.readyPod("carol");
    expect(second.metadata.uid).not.to.equal(first.metadata.uid);
    await expectRefused("an earlier pod of the same name", token);
  });
});
