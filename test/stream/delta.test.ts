import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../src/model/mesh-words";
import {
  frontendName,
  INBOUND_LISTENER,
  inboundRouteTableName,
  localClusterName,
  OUTBOUND_LISTENER,
} from "../../src/policy/names";
import { isInbound } from "../../src/xds/stream";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsRig, snapshotOf, testResource } from "../support/ads-rig";
import { waitFor } from "../support/wait";

const { cluster, endpoint, listener, route, secret } = TYPE_URLS;
const service = (version: string) => [
  testResource(cluster, "shop", version),
  testResource(endpoint, "shop", version),
  testResource(listener, "out", version),
  testResource(route, "shop", version),
];

describe("a delta ADS stream", () => {
  let rig: AdsRig;
  beforeEach(async () => {
    rig = await AdsRig.start();
  });
  afterEach(() => rig.stop());

  /** Subscribes in Envoy's order: what is named in one answer is asked for after it. */
  const subscribeLikeEnvoy = (name: string) => {
    const client = rig.connect(name);
    client.onResponse = ({ typeUrl, resources }) => {
      const first = client.responses.filter(r => r.typeUrl === typeUrl).length === 1;
      const names = resources.map(r => r.name);
      if (first && typeUrl === cluster) {
        client.send({ typeUrl: endpoint, subscribe: names });
        client.send({ typeUrl: secret, subscribe: [SDS_SERVICE_CERT, SDS_ROOT_CERT] });
        client.send({ typeUrl: listener });
      }
      if (first && typeUrl === listener) client.send({ typeUrl: route, subscribe: ["shop"] });
    };
    client.send({ typeUrl: cluster });
    return client;
  };

  it("delivers everything once, in order, and nothing again after a reconnect with versions", async () => {
    rig.world.set(snapshotOf(service("1")));
    const client = subscribeLikeEnvoy("a");
    await waitFor("routes", () => client.held.get(route)?.has("shop"));
    expect(client.responses.map(r => r.typeUrl)).to.deep.equal([cluster, endpoint, secret, listener, route]);
    expect(client.versions(secret)).to.have.all.keys(SDS_SERVICE_CERT, SDS_ROOT_CERT);

    const again = rig.connect("a", { nodeId: "again" });
    for (const [typeUrl, names] of [
      [cluster, []],
      [endpoint, ["shop"]],
      [secret, [SDS_SERVICE_CERT, SDS_ROOT_CERT]],
      [listener, []],
      [route, ["shop"]],
    ] as const) {
      again.resume(typeUrl, names, client.held);
    }
    rig.world.set(snapshotOf([...service("1").slice(0, 3), testResource(route, "shop", "2")]));
    await waitFor("the changed route", () => again.versions(route)["shop"] === "2");
    expect(again.responses.map(r => r.typeUrl)).to.deep.equal([route]);
  });

  it("answers an empty mesh, and holds the answer while nothing is known about the pod", async () => {
    const client = rig.connect("a");
    client.send({ typeUrl: cluster });
    await waitFor("the stream", () => rig.world.subscriptions === 1);
    expect(client.responses).to.have.length(0);
    rig.world.set(snapshotOf([]));
    await waitFor("an empty answer", () => client.responses.length === 1);
    expect(client.responses[0]).to.deep.include({ typeUrl: cluster, resources: [], removed: [] });
  });

  it("adds before it refers and removes after nothing refers any more", async () => {
    rig.world.set(snapshotOf(service("1")));
    const client = subscribeLikeEnvoy("a");
    await waitFor("routes", () => client.held.get(route)?.has("shop"));
    client.responses.length = 0;
    client.onResponse = ({ typeUrl, resources }) => {
      if (typeUrl === cluster && resources.length > 0) client.send({ typeUrl: endpoint, subscribe: ["new"] });
    };
    rig.world.set(
      snapshotOf([
        testResource(cluster, "new", "1"),
        testResource(endpoint, "new", "1"),
        testResource(listener, "out", "1"),
        testResource(route, "shop", "2"),
      ]),
    );
    await waitFor("the removal", () => !client.held.get(cluster)?.has("shop"));
    const story = client.responses.map(
      r => `${r.typeUrl.split(".").at(-1) ?? ""} +${r.resources.length} -${r.removed.length}`,
    );
    expect(story).to.deep.equal([
      "Cluster +1 -0",
      "ClusterLoadAssignment +1 -0",
      "RouteConfiguration +1 -0",
      "Cluster +0 -1",
    ]);
  });

  it("waits for the acknowledgement of clusters and endpoints, but not for ever", async () => {
    rig.world.set(snapshotOf(service("1")));
    const silent = rig.connect("a", { answer: ({ typeUrl }) => typeUrl !== endpoint });
    silent.send({ typeUrl: cluster });
    silent.send({ typeUrl: endpoint, subscribe: ["shop"] });
    silent.send({ typeUrl: listener });
    await waitFor("endpoints", () => silent.responses.some(r => r.typeUrl === endpoint));
    const sentAt = Date.now();
    expect(silent.responses.some(r => r.typeUrl === listener)).to.equal(false);
    await waitFor("listeners", () => silent.responses.some(r => r.typeUrl === listener));
    expect(Date.now() - sentAt).to.be.within(700, 20_000);
  });

  /** Holds a Service's side and the pod's own; answers everything until it is told to fall silent about a type. */
  const server = async () => {
    const silent = new Set<string>();
    rig.world.set(snapshotOf([...service("1"), ...own("1")]));
    const client = rig.connect("a", { answer: ({ typeUrl }) => !silent.has(typeUrl) });
    client.send({ typeUrl: cluster });
    client.send({ typeUrl: endpoint, subscribe: ["shop", "new"] });
    client.send({ typeUrl: secret, subscribe: [SDS_SERVICE_CERT, SDS_ROOT_CERT] });
    client.send({ typeUrl: listener });
    client.send({ typeUrl: route, subscribe: ["shop", "inbound|80"] });
    await waitFor("routes", () => (client.held.get(route)?.size ?? 0) === 2);
    await waitFor("listeners", () => (client.held.get(listener)?.size ?? 0) === 2);
    client.responses.length = 0;
    return { client, silent };
  };
  const own = (version: string) => [
    testResource(listener, "inbound", version),
    testResource(route, "inbound|80", version),
  ];
  const names = (response: { readonly resources: readonly { readonly name: string }[] }) =>
    response.resources.map(({ name }) => name).sort();

  it("does not let a withdrawn permission wait for a new service", async () => {
    const { client, silent } = await server();
    silent.add(cluster);
    const added = [testResource(cluster, "new", "1"), testResource(endpoint, "new", "1")];
    rig.world.set(snapshotOf([...service("2"), ...added, ...own("2")]));
    await waitFor("everything", () => client.versions(route)["shop"] === "2");
    const sent = story(client.responses).map(String);
    // The permissions at once, the rest when the new cluster was acknowledged or the gate had timed out.
    expect(sent.slice(0, 2)).to.have.members(["inbound", "inbound|80"]);
    expect(sent.slice(2)).to.have.members(["out", "shop"]);
  });

  const story = (
    responses: readonly {
      readonly typeUrl: string;
      readonly resources: readonly { readonly name: string }[];
    }[],
  ) => responses.filter(({ typeUrl }) => typeUrl === listener || typeUrl === route).map(names);

  it("lets routes wait for new clusters only, not for endpoints of known ones", async () => {
    const { client, silent } = await server();
    silent.add(endpoint);
    const [shop, , out] = service("1");
    const rest = [shop, out].flatMap(resource => resource ?? []);
    const later = testResource(endpoint, "shop", "2");
    rig.world.set(snapshotOf([...rest, later, testResource(route, "shop", "2"), ...own("1")]));
    const sent = await waitFor("the route", () => client.responses.find(({ typeUrl }) => typeUrl === route));
    expect(names(sent)).to.deep.equal(["shop"]);
    expect(client.responses.map(({ typeUrl }) => typeUrl)).to.deep.equal([endpoint, route]);
  });

  it("knows the inbound side by the names that the policy prints", () => {
    expect([INBOUND_LISTENER, inboundRouteTableName(80)].map(isInbound)).to.deep.equal([true, true]);
    const others = [
      OUTBOUND_LISTENER,
      frontendName({ service: "inbound/inbound", port: 80 }),
      localClusterName(80),
    ];
    expect(others.map(isInbound)).to.deep.equal([false, false, false]);
  });

  it("keeps one response in flight per type and sends only the newest state after it", async () => {
    rig.world.set(snapshotOf(service("1")));
    const slow = rig.connect("a", { answer: () => false });
    slow.send({ typeUrl: cluster });
    const first = await waitFor("the first response", () => slow.responses[0]);
    for (let version = 2; version <= 50; version += 1) rig.world.set(snapshotOf(service(String(version))));
    slow.reply(first);
    const second = await waitFor("the second response", () => slow.responses[1]);
    expect(second.resources.map(r => r.version)).to.deep.equal(["50"]);
    slow.reply(second);
    rig.world.set(snapshotOf(service("51")));
    await waitFor("the third response", () => slow.responses.length === 3);
  });

  it("shares one difference and one buffer among all streams that make the same step", async () => {
    rig.world.set(snapshotOf(service("1")));
    const clients = Array.from({ length: 20 }, (_, i) => subscribeLikeEnvoy(`pod-${i}`));
    await waitFor("all", () => clients.every(c => c.held.get(route)?.has("shop")));
    const before = rig.server.stats();
    rig.world.set(snapshotOf([...service("1").slice(0, 3), testResource(route, "shop", "2")]));
    await waitFor("the change everywhere", () => clients.every(c => c.versions(route)["shop"] === "2"));
    const after = rig.server.stats();
    // snapshotOf makes new layers of all six types; four of them are not empty.
    expect(after.diffs - before.diffs).to.be.at.most(6);
    expect(after.responses - before.responses).to.equal(20);
    expect(new Set(clients.map(c => c.responses.at(-1)?.nonce)).size).to.equal(1);
  });

  it("keeps the last good version after a rejection, does not repeat it, and takes the next one", async () => {
    const origin = { group: "", kind: "Service", namespace: "shop", name: "bad" };
    const bad = testResource(route, "shop", "bad", { origins: [origin] });
    const others = service("1").slice(0, 3);
    rig.world.set(snapshotOf(service("1")));
    const client = rig.connect("a", {
      answer: ({ resources }) => (resources.some(r => r.version === "bad") ? "shop: no such thing" : true),
    });
    client.send({ typeUrl: route, subscribe: ["shop"] });
    await waitFor("routes", () => client.held.get(route)?.has("shop"));
    rig.world.set(snapshotOf([...others, bad]));
    const refused = await waitFor("the refusal", () => rig.server.ledger.refusedOf(origin)[0]);
    expect(refused).to.deep.include({
      name: "shop",
      version: "bad",
      message: "shop: no such thing",
      podUids: ["uid-a"],
    });
    rig.world.set(snapshotOf([testResource(cluster, "shop", "2"), ...others.slice(1), bad]));
    rig.world.set(snapshotOf([...others, testResource(route, "shop", "3")]));
    await waitFor("the next version", () => client.versions(route)["shop"] === "3");
    expect(client.responses.filter(r => r.resources.some(x => x.version === "bad"))).to.have.length(1);
    await waitFor("a clean ledger", () => rig.server.ledger.summary().refused.length === 0);
  });

  it("corners the culprit when a rejection names nobody", async () => {
    const many = Array.from({ length: 100 }, (_, i) =>
      testResource(cluster, `c${i}`, i === 37 ? "bad" : "1"),
    );
    rig.world.set(snapshotOf(many));
    const client = rig.connect("a", {
      answer: ({ resources }) => (resources.some(r => r.version === "bad") ? "something is wrong" : true),
    });
    client.send({ typeUrl: cluster });
    await waitFor("the other 99", () => client.held.get(cluster)?.size === 99);
    const refused = await waitFor("the culprit", () =>
      rig.server.ledger.summary().refused.find(({ name }) => name === "c37"),
    );
    expect(refused).to.include({ version: "bad" });
    expect(rig.server.ledger.summary().refused).to.have.length(1);
    expect(client.responses.length).to.be.below(40);
  });

  it("gives every stream the secrets of its own identity only", async () => {
    rig.world.set(snapshotOf([]));
    rig.world.addPod({ namespace: "bank", serviceAccount: "vault" }, "vault", "uid-vault");
    const mine = rig.connect("a");
    const other = rig.open({ token: "bank/vault/vault/uid-vault" });
    const foreign = ["bank/vault", "service-cert:bank/vault", "spiffe://cluster.local/ns/bank/sa/vault"];
    for (const client of [mine, other]) {
      client.send({ typeUrl: secret, subscribe: [SDS_SERVICE_CERT, SDS_ROOT_CERT, ...foreign] });
    }
    await waitFor("secrets", () => [mine, other].every(c => c.held.get(secret)?.size === 2));
    const text = (client: typeof mine) =>
      Buffer.from(client.held.get(secret)?.get(SDS_SERVICE_CERT)?.body ?? []).toString("latin1");
    const uri = (client: typeof mine) => {
      const [pem = ""] = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(text(client)) ?? [];
      return new X509Certificate(pem).subjectAltName;
    };
    expect(uri(mine)).to.contain("URI:spiffe://cluster.local/ns/shop/sa/buyer,");
    expect(uri(other)).to.contain("URI:spiffe://cluster.local/ns/bank/sa/vault,");
  });
});
