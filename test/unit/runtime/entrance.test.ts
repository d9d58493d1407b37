import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { Server } from "@grpc/grpc-js";
import { expect } from "chai";
import { ADS_SAN } from "../../../src/model/mesh-words";
import type { ServingMaterial } from "../../../src/runtime/ads/credentials";
import { Entrance } from "../../../src/runtime/ads/entrance";
import { systemClock } from "../../../src/runtime/clock";
import { createRoot, issueServing, loadAuthority } from "../../../src/runtime/secrets/authority";

describe("the way into the ADS server", () => {
  const now = Date.now();
  const root = createRoot(now);
  const authority = loadAuthority(root.certPem, root.keyPem);
  const { certPem, keyPem } = issueServing(authority, [ADS_SAN], { now, validityMs: 3_600_000 });
  const serving: ServingMaterial = {
    certPem,
    keyPem,
    clientRoots: root.certPem,
    root: "new",
    crossPem: createRoot(now).certPem,
  };
  let server: net.Server | undefined;
  let grpc: Server | undefined;
  afterEach(() => {
    server?.close();
    grpc?.forceShutdown();
  });

  /** Who comes next from where `client` came from, and went again without a call, is shown this. */
  const shownAfter = async (client: (port: number) => net.Socket, event: string): Promise<string> => {
    const entrance = new Entrance({ serving, clock: systemClock });
    entrance.open((grpc = new Server()));
    server = net.createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const arrived = once(server, "connection");
    const socket = client((server.address() as AddressInfo).port);
    const gone = once(socket, event);
    const [taken] = (await arrived) as [net.Socket];
    const closed = once(taken, "close");
    entrance.admit(taken);
    await gone;
    socket.destroy();
    await closed;
    return entrance.handshakes.begin("next:1", taken.remoteAddress ?? "127.0.0.1");
  };

  it("shows the chain that the old root verifies after somebody who has seen the other one and gone", async () => {
    const client = (port: number): net.Socket =>
      tls.connect({ host: "127.0.0.1", port, ca: createRoot(now).certPem, servername: ADS_SAN });
    expect(await shownAfter(client, "error")).to.equal("crossed");
  });

  it("takes nothing from a check that only connects", async () => {
    const client = (port: number): net.Socket => net.connect({ host: "127.0.0.1", port });
    expect(await shownAfter(client, "connect")).to.equal("alone");
  });

  it("verifies a client's certificate once for each connection and root, however often somebody counts", () => {
    let asked = 0;
    let isOwn = true;
    const check = (): boolean => ((asked += 1), isOwn);
    const entrance = new Entrance({ serving, clock: systemClock, isOwn: check });
    entrance.handshakes.begin("a:1", "a");
    const call = { getPeer: () => "a:1" };
    const count = (): string | null => entrance.rootOf(call, () => new Uint8Array(1));
    expect([count(), count(), count(), asked]).to.deep.equal(["new", "new", "new", 1]);
    isOwn = false;
    entrance.present(serving);
    expect([count(), count(), asked]).to.deep.equal([null, null, 2]);
  });

  it("asks a machine whose certificate is of the old root for another handshake every minute, while that is trusted", () => {
    let [time, isOwn] = [now, false];
    const clock = { ...systemClock, now: () => time };
    const entrance = new Entrance({ serving, clock, isOwn: () => isOwn });
    const call = { getPeer: () => "a:1" };
    const isStale = (certificate: Uint8Array | undefined = new Uint8Array(1)): boolean =>
      entrance.isStale(call, () => certificate);
    const meet = (clientRoots: string): void => {
      entrance.present({ ...serving, clientRoots });
      entrance.handshakes.begin("a:1", "a");
    };
    meet(root.certPem + createRoot(now).certPem);
    time += 59_999;
    expect(isStale(), "not yet").to.equal(false);
    time += 1;
    expect(isStale(), "it may have fetched one").to.equal(true);
    isOwn = true;
    meet(root.certPem + createRoot(now).certPem);
    time += 60_000;
    expect(isStale(), "it has").to.equal(false);
    isOwn = false;
    meet(root.certPem);
    time += 60_000;
    expect(isStale(), "it would not be let in again").to.equal(false);
  });
});
