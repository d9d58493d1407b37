import { expect } from "chai";
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { helloOf } from "../../../hack/demo/capture/tls";

interface Recording {
  readonly there: Buffer;
  readonly back: Buffer;
}

/**
 * What a real client and a real server of Node send each other, recorded by a relay between them. Both use a pre-shared
 * key (TLS 1.2) or fail after the hellos for want of a certificate (TLS 1.3); the hellos are sent either way.
 */
async function record(version: "TLSv1.2" | "TLSv1.3"): Promise<Recording> {
  const psk = { psk: Buffer.alloc(16, 7), identity: "test" };
  const only = { minVersion: version, maxVersion: version } as const;
  const server = tls.createServer({
    ...only,
    ciphers: "PSK+HIGH:TLS_AES_128_GCM_SHA256",
    pskCallback: () => psk.psk,
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const there: Buffer[] = [];
  const back: Buffer[] = [];
  const relay = net.createServer(client => {
    const upstream = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
    client.on("data", chunk => there.push(chunk)).pipe(upstream);
    upstream.on("data", chunk => back.push(chunk)).pipe(client);
    for (const socket of [client, upstream]) socket.on("error", () => undefined);
  });
  relay.listen(0, "127.0.0.1");
  await once(relay, "listening");
  const client = tls.connect({
    ...only,
    port: (relay.address() as AddressInfo).port,
    host: "127.0.0.1",
    servername: "bookstore.example",
    ALPNProtocols: ["osm", "h2"],
    ciphers: "PSK+HIGH:TLS_AES_128_GCM_SHA256",
    pskCallback: () => psk,
    checkServerIdentity: () => undefined,
  });
  await Promise.race([once(client, "secureConnect"), once(client, "error").catch(() => undefined)]);
  client.destroy();
  relay.close();
  server.close();
  return { there: Buffer.concat(there), back: Buffer.concat(back) };
}

describe("helloOf", () => {
  it("reads version, protocols and server name of a TLS 1.3 handshake", async () => {
    const { there, back } = await record("TLSv1.3");
    expect(helloOf(there)).to.eql({
      kind: "client",
      version: "TLS 1.3",
      alpn: ["osm", "h2"],
      serverName: "bookstore.example",
    });
    expect(helloOf(back)).to.include({ kind: "server", version: "TLS 1.3" });
  });

  it("tells TLS 1.2 from 1.3", async () => {
    const { there, back } = await record("TLSv1.2");
    expect(helloOf(there)?.version).to.equal("TLS 1.2");
    expect(helloOf(back)?.version).to.equal("TLS 1.2");
  });

  it("finds none in plaintext, in nothing, and in any cut-off hello", async () => {
    expect(helloOf(Buffer.from("GET / HTTP/1.1\r\n\r\n"))).to.equal(undefined);
    expect(helloOf(Buffer.alloc(0))).to.equal(undefined);
    const { there } = await record("TLSv1.3");
    for (let length = 0; length < 60; length += 1) {
      expect(helloOf(there.subarray(0, length)), `${length} bytes`).to.equal(undefined);
    }
  });
});
