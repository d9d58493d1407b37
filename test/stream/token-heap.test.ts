import { expect } from "chai";
import { generateKeyPairSync, randomUUID, sign, type KeyObject } from "node:crypto";
import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { ADS_SAN, TOKEN_AUDIENCE } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsClient } from "../support/ads-client";
import type { ChildProgram } from "../support/child-program";
import { startHeapServer } from "../support/heap-operations";
import type { HeapPod, HeapServer } from "../support/heap-server-app";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
/** Proxies whose tokens are looked for. */
const PROXIES = FULL ? 500 : 20;
/** So many tokens may be reviewed at once; more than fifty a second are told to come again. */
const REVIEWED = Math.min(PROXIES, 45);
const ISSUER = "https://kubernetes.default.svc";

interface Signer {
  readonly key: KeyObject;
  readonly jwk: object;
}

function newSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    key: privateKey,
    jwk: { ...publicKey.export({ format: "jwk" }), kid: "one", alg: "ES256", use: "sig" },
  };
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token as the kubelet gets it; `more` replaces claims. */
function tokenOf({ identity, name, uid }: HeapPod, key: KeyObject, more: object = {}): string {
  const now = Math.floor(Date.now() / 1_000);
  const { namespace, serviceAccount } = identity;
  const bound = { namespace, pod: { name, uid }, serviceaccount: { name: serviceAccount, uid } };
  const claims = {
    iss: ISSUER,
    aud: [TOKEN_AUDIENCE],
    nbf: now,
    exp: now + 3_600,
    "kubernetes.io": bound,
    ...more,
  };
  const signed = `${part({ alg: "ES256", kid: "one" })}.${part(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

/** As much of an API server as tokens are checked with: its keys, or its word. */
async function startApi(
  { jwk }: Signer,
  publishes: boolean,
): Promise<{ readonly url: string; close(): void }> {
  const pages: Readonly<Record<string, unknown>> = {
    "/.well-known/openid-configuration": { issuer: ISSUER },
    "/openid/v1/jwks": { keys: [jwk] },
  };
  const server = http.createServer((request, response) => {
    const page = publishes ? pages[request.url ?? ""] : undefined;
    const review = { status: { authenticated: true, audiences: [TOKEN_AUDIENCE] }, metadata: { name: "" } };
    const answer = request.method === "POST" ? review : page;
    request.resume();
    request.on("end", () => {
      response
        .writeHead(answer === undefined ? 403 : 200)
        .end(JSON.stringify(answer ?? { reason: "Forbidden" }));
    });
  });
  await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** What of a token is looked for: its claims and its signature, each of which is nobody else's. */
function textsOf(token: string): readonly string[] {
  const [, claims = "", signature = ""] = token.split(".");
  return [claims.slice(-40), signature.slice(0, 60)];
}

/** Which of the tokens stand in a file. Each text has a place of its own, so one pass over the file is enough. */
async function found(file: string, tokens: readonly string[]): Promise<readonly string[]> {
  const texts = tokens.flatMap(token => textsOf(token).map(text => [text, token] as const));
  const hits = new Set<string>();
  let tail = "";
  for await (const chunk of createReadStream(file, { encoding: "latin1", highWaterMark: 1 << 24 })) {
    const text = tail + String(chunk);
    for (const [wanted, token] of texts) if (text.includes(wanted)) hits.add(token);
    tail = text.slice(-200);
  }
  return [...hits];
}

describe("tokens that proxies have proven themselves with", function () {
  this.timeout(FULL ? 600_000 : 120_000);
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-heap-"));
  const signer = newSigner();
  const pods: readonly HeapPod[] = Array.from({ length: PROXIES + 3 }, (_, index) => ({
    identity: { namespace: "shop", serviceAccount: "buyer" },
    name: `buyer-${index}`,
    uid: randomUUID(),
  }));
  let server: ChildProgram<HeapServer>;
  let api: Awaited<ReturnType<typeof startApi>>;
  let target: { readonly port: number; readonly root: string };
  let clients: AdsClient[] = [];

  async function begin(publishes: boolean): Promise<void> {
    api = await startApi(signer, publishes);
    server = startHeapServer();
    target = await server.ask("start", { api: api.url, pods });
  }

  function open(token: string): AdsClient {
    const address = `127.0.0.1:${target.port}`;
    const client = new AdsClient({ address, root: target.root, serverName: ADS_SAN, token });
    clients.push(client);
    client.send({ typeUrl: TYPE_URLS.cluster });
    return client;
  }

  async function inMemory(tokens: readonly string[]): Promise<readonly string[]> {
    const file = path.join(folder, `${Date.now()}.heapsnapshot`);
    try {
      await server.ask("snapshot", file);
      return await found(file, tokens);
    } finally {
      rmSync(file, { force: true });
    }
  }

  afterEach(async () => {
    for (const client of clients) client.close();
    clients = [];
    await server.stop();
    api.close();
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** Opens a stream with each good token, and with some that are refused; gives all tokens. */
  async function useTokens(count: number): Promise<readonly string[]> {
    const [late, foreign, forged, ...others] = pods;
    const live = others.slice(0, count);
    if (late === undefined || foreign === undefined || forged === undefined) throw new Error("no pods");
    const good = live.map(pod => tokenOf(pod, signer.key));
    const open_ = good.map(open);
    await waitFor("their configuration", () => open_.every(({ responses }) => responses.length > 0), 60_000);
    const bad = [
      tokenOf(late, signer.key, { exp: 1 }),
      tokenOf(foreign, signer.key, { aud: ["somebody-else"] }),
      tokenOf({ ...forged, uid: randomUUID(), name: "forged" }, newSigner().key, { nbf: 4e9 }),
    ];
    const refused = bad.map(open);
    await waitFor("their refusal", () => refused.every(({ ended }) => ended !== undefined), 60_000);
    return [...good, ...bad];
  }

  for (const publishes of [true, false]) {
    const how = publishes ? "with published keys" : "by TokenReview";
    it(`are not in the memory of the control plane, neither while their streams last nor after (${how})`, async () => {
      await begin(publishes);
      const count = publishes ? PROXIES : REVIEWED;
      const tokens = await useTokens(count);
      expect(await server.ask("streams", undefined)).to.equal(count);
      const lasting = await inMemory(tokens);
      for (const client of clients) client.close();
      await waitFor("their end", async () => (await server.ask("streams", undefined)) === 0, 60_000);
      const left = await inMemory(tokens);
      // What is kept is found: else nothing above would mean anything.
      const [kept = ""] = tokens;
      await server.ask("keep", kept);
      const shown = await inMemory(tokens);
      const failed = lasting.length + left.length;
      const point = `S-02: tokens in the memory of the control plane, checked ${how}`;
      verdict(point, failed === 0 && shown.length === 1, { count: 2 * tokens.length, failed, bound: 0 });
      expect(shown, "the one that is kept on purpose").to.deep.equal([kept]);
      expect([lasting.length, left.length], "while they last, and after").to.deep.equal([0, 0]);
    });
  }
});
