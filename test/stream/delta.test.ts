import { expect } from "chai";
import { SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../src/model/mesh-words";
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
});
