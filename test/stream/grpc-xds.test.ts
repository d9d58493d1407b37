import { once } from "node:events";
import { createServer, type AddressInfo, type Server as NetServer } from "node:net";
import { connect } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import { planWorkload } from "../../src/certificate/plan";
import { ADS_SAN } from "../../src/model/mesh-words";
import { certificateIdentity } from "../../src/runtime/identity/authenticator";
import { AuthenticationError } from "../../src/runtime/identity/errors";
import type { Authenticator } from "../../src/runtime/ports";
import { AdsRig, snapshotOf } from "../support/ads-rig";
import { apiListener, edsCluster, loopbackEndpoint, weightedRoutes } from "../support/envoy-resources";
import { waitFor } from "../support/wait";

const CALLER = { namespace: "shop", serviceAccount: "caller" };

/** Proof by client certificate alone, as a proxy outside Kubernetes would give it. */
const byCertificate: Authenticator = {
  authenticate: ({ clientCertificate }) => {
    const identity = clientCertificate && certificateIdentity(clientCertificate, "cluster.local");
    if (identity === undefined)
      return Promise.reject(new AuthenticationError("unauthenticated", "no certificate"));
    return Promise.resolve({
      identity,
      podUid: "uid-grpc",
      podName: "grpc",
      expiresAt: Number.MAX_SAFE_INTEGER,
    });
  },
};

const bytes = (value: Buffer): Buffer => value;
const NAME_METHOD: grpc.MethodDefinition<Buffer, Buffer> = {
  path: "/test.Name/Get",
  requestStream: false,
  responseStream: false,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
};

/** A gRPC server that answers with its name. */
async function named(name: string): Promise<{ port: number; stop(): void }> {
  const server = new grpc.Server();
  server.addService(
    { Get: NAME_METHOD },
    {
      Get: (_call: unknown, done: (error: null, value: Buffer) => void) => {
        done(null, Buffer.from(name));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    port,
    stop: () => {
      server.forceShutdown();
    },
  };
}

describe("gRPC's own xDS client as an independent peer", () => {
  let rig: AdsRig;
  let tunnel: NetServer;
  let client: grpc.Client;
  const servers: { port: number; stop(): void }[] = [];

  before(async () => {
    rig = await AdsRig.start({ authenticator: byCertificate });
    rig.world.addPod(CALLER, "grpc", "uid-grpc");
    servers.push(await named("v1"), await named("v2"));
    // That client knows no TLS towards its control plane, so a tunnel adds it, with the client certificate.
    const pair = rig.authority.issue(
      planWorkload(CALLER, "cluster.local", { now: Date.now(), validityMs: 3_600_000 }),
    );
    tunnel = createServer(inside => {
      const outside = connect({
        host: "127.0.0.1",
        port: rig.server.port,
        servername: ADS_SAN,
        ALPNProtocols: ["h2"],
        ca: rig.authority.certPem,
        cert: pair.certPem,
        key: pair.keyPem,
      });
      for (const [from, to] of [
        [inside, outside],
        [outside, inside],
      ] as const) {
        from.on("error", () => to.destroy());
        from.pipe(to);
      }
    }).listen(0, "127.0.0.1");
    await once(tunnel, "listening");
    process.env["GRPC_XDS_BOOTSTRAP_CONFIG"] = JSON.stringify({
      xds_servers: [
        {
          server_uri: `127.0.0.1:${(tunnel.address() as AddressInfo).port}`,
          channel_creds: [{ type: "insecure" }],
          server_features: ["xds_v3"],
        },
      ],
      node: { id: "grpc-client", locality: {} },
    });
    const { register } = await import("@grpc/grpc-js-xds");
    register();
  });
  after(async () => {
    (client as grpc.Client | undefined)?.close();
    for (const server of servers) server.stop();
    await rig.stop();
    tunnel.close();
    delete process.env["GRPC_XDS_BOOTSTRAP_CONFIG"];
  });

  const ask = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const deadline = Date.now() + 60_000;
      client.makeUnaryRequest(
        NAME_METHOD.path,
        bytes,
        bytes,
        Buffer.alloc(0),
        { deadline },
        (error, value) => {
          if (error) reject(error);
          else resolve(String(value));
        },
      );
    });
  const resources = (first: number, second: number) => {
    const [v1, v2] = servers.map(server => server.port);
    return snapshotOf([
      apiListener("names.shop:80", "names"),
      weightedRoutes("names", { v1: first, v2: second }),
      edsCluster("v1", 1),
      edsCluster("v2", 1),
      loopbackEndpoint("v1", v1 ?? 0),
      loopbackEndpoint("v2", v2 ?? 0),
    ]);
  };

  it("resolves a name, is served, and follows a change of weights", async () => {
    rig.world.set(resources(100, 0));
    client = new grpc.Client("xds:///names.shop:80", grpc.credentials.createInsecure());
    expect(await ask()).to.equal("v1");
    rig.world.set(resources(0, 100));
    await waitFor("the other version", async () => (await ask()) === "v2");
    const answers = await Promise.all(Array.from({ length: 20 }, ask));
    expect(new Set(answers)).to.deep.equal(new Set(["v2"]));
  });
});
