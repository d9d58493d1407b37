import { expect } from "chai";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import type { TLSSocket } from "node:tls";
import type { WebhookIdentity } from "../../../src/install/webhook-secret";
import {
  handToPepr,
  steerWebhookServer,
  type WebhookServer,
} from "../../../src/runtime/control-plane/webhook-server";
import { createRoot, issueServing, loadAuthority } from "../../../src/runtime/secrets/authority";

const DAY = 86_400_000;
const NOW = Date.now();
const root = createRoot(NOW);

function identity(now: number): WebhookIdentity {
  const authority = loadAuthority(root.certPem, root.keyPem);
  const { certPem, keyPem } = issueServing(authority, ["localhost"], { now, validityMs: 90 * DAY });
  return { caCertPem: root.certPem, caKeyPem: root.keyPem, certPem, keyPem, path: "secret-path" };
}

interface Answer {
  readonly serial: string;
  readonly connection: string | undefined;
}

function ask(port: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      port,
      host: "127.0.0.1",
      servername: "localhost",
      ca: root.certPem,
      agent: false as const,
    };
    const request = https.get({ ...options, headers: { connection: "keep-alive" } }, response => {
      const { serialNumber } = (response.socket as TLSSocket).getPeerCertificate();
      response.resume().once("end", () => {
        resolve({ serial: serialNumber.toLowerCase(), connection: response.headers.connection });
        request.destroy();
      });
    });
    request.once("error", reject);
  });
}

const serialOf = (pem: string): string => new X509Certificate(pem).serialNumber.toLowerCase();

describe("webhook server, which is Pepr's and is steered from outside", () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-webhook-"));
  const first = identity(NOW);
  let server: https.Server;
  let steering: WebhookServer;
  let port: number;

  before(async () => {
    server = https.createServer({ key: first.keyPem, cert: first.certPem }, (_, response) =>
      response.end("OK"),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
    steering = steerWebhookServer(port);
  });
  after(() => {
    steering.stop();
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });

  it("finds key, certificate and path where Pepr looks, readable by nobody else", () => {
    const env: Record<string, string | undefined> = {};
    handToPepr(first, folder, env);
    expect(readFileSync(env["SSL_KEY_PATH"] ?? "", "utf8")).to.equal(first.keyPem);
    expect(readFileSync(env["SSL_CERT_PATH"] ?? "", "utf8")).to.equal(first.certPem);
    expect(env["PEPR_API_PATH"]).to.equal("secret-path");
    expect(statSync(env["SSL_KEY_PATH"] ?? "").mode & 0o077).to.equal(0);
  });

  it("outlives the API server's idle connections after its first request", async () => {
    expect((await ask(port)).serial).to.equal(serialOf(first.certPem));
    expect(server.keepAliveTimeout).to.be.greaterThan(90_000);
  });

  it("presents a renewed certificate without a restart", async () => {
    const second = identity(NOW);
    steering.present(second);
    expect((await ask(port)).serial).to.equal(serialOf(second.certPem));
  });

  it("asks to connect anew when its pod leaves", async () => {
    expect((await ask(port)).connection).to.equal("keep-alive");
    steering.closeAfterAnswers();
    expect((await ask(port)).connection).to.equal("close");
  });
});
