import { expect } from "chai";
import https from "node:https";
import { ADS_SAN, API_AUDIENCE, PEPR_NAMESPACE, VIEWER_ACCOUNT } from "../../src/model/mesh-words";
import { viewerAccount } from "../../src/install/services";
import { collectionPath, objectPath } from "../../src/install/object";
import { BadQuery, serveApi } from "../../src/runtime/api/serve";
import { createViewerCheck } from "../../src/runtime/api/viewer";
import { systemClock } from "../../src/runtime/clock";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isConflict } from "../../src/runtime/kube/errors";
import type { Clock } from "../../src/runtime/ports";
import { watchedLog } from "../support/told-errors";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { readSettings } from "../../src/runtime/settings";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";

interface TokenRequest {
  readonly spec: { readonly audiences: readonly string[]; readonly expirationSeconds: number };
  readonly status?: { readonly token: string };
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const root = createRoot(systemClock.now());
const authority = loadAuthority(root.certPem, root.keyPem);
const settings = readSettings({}, "");
const account = viewerAccount(settings);

describe("The read-only API on a real API server", function () {
  this.timeout(240_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let api: { readonly port: number; stop(): void };

  const ensure = async (object: object): Promise<void> => {
    try {
      await kube.create(collectionPath(object as typeof account), object as KubeObject);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  };
  const tokenOf = async (name: string, audience: string): Promise<string> => {
    const path = `/api/v1/namespaces/${PEPR_NAMESPACE}/serviceaccounts/${name}/token`;
    const spec = { audiences: [audience], expirationSeconds: 600 };
    return (await kube.create<TokenRequest>(path, { spec })).status?.token ?? "";
  };
  const ask = (path: string, token?: string, options: https.RequestOptions = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = https.request({
        host: "127.0.0.1",
        port: api.port,
        path,
        servername: ADS_SAN,
        ca: authority.certPem,
        agent: false,
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        ...options,
      });
      request.on("error", reject);
      request.on("response", response => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () => {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) });
        });
      });
      request.end();
    });

  const serve = (clock: Clock): Promise<typeof api> =>
    serveApi({
      authority,
      clock,
      log: watchedLog,
      port: 0,
      allowed: createViewerCheck({ kube, clock }),
      pages: {
        "/v1/page": query => ({ asked: query.get("name"), privateKey: "not to be seen" }),
        "/v1/wrong": () => {
          throw new BadQuery("name is missing");
        },
        "/v1/broken": () => Promise.reject(new Error("inner words")),
      },
    });

  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    await ensure({ apiVersion: "v1", kind: "Namespace", metadata: { name: PEPR_NAMESPACE } });
    await ensure(account);
    await ensure({ ...account, metadata: { name: "somebody", namespace: PEPR_NAMESPACE } });
    api = await serve(systemClock);
  });
  after(async () => {
    api.stop();
    kube.close();
    await server.stop();
  });

  it("answers who has a token of the viewer's account for this audience, and nobody else", async () => {
    const viewer = await tokenOf(VIEWER_ACCOUNT, API_AUDIENCE);
    const known = await ask("/v1/page?name=a%20b", viewer);
    expect(known).to.deep.equal({ status: 200, body: { asked: "a b", privateKey: "[redacted]" } });
    const signature = viewer.slice(viewer.lastIndexOf(".") + 1);
    const forged = viewer.replace(signature, signature.split("").reverse().join(""));
    const others = {
      "no token": undefined,
      "no token at all": "abc",
      "another account": await tokenOf("somebody", API_AUDIENCE),
      "another audience": await tokenOf(VIEWER_ACCOUNT, "osm-mesh"),
      "the API server's own audience": await tokenOf(VIEWER_ACCOUNT, "https://kubernetes.default.svc"),
      "an administrator": server.token,
      "another signature": forged,
    };
    for (const [who, token] of Object.entries(others))
      expect((await ask("/v1/page", token)).status, who).to.equal(401);
  });

  it("tells nothing of what there is to who is not known, and answers nothing but GET of a page", async () => {
    expect((await ask("/v1/nothing")).status).to.equal(401);
    const token = await tokenOf(VIEWER_ACCOUNT, API_AUDIENCE);
    expect((await ask("/v1/nothing", token)).status).to.equal(404);
    expect((await ask("/constructor", token)).status).to.equal(404);
    const headers = { authorization: `Bearer ${token}` };
    expect((await ask("/v1/page", token, { method: "POST", headers })).status).to.equal(405);
    expect((await ask(`/v1/page?name=${"a".repeat(3_000)}`, token)).status).to.equal(414);
    expect(await ask("/v1/wrong", token)).to.deep.equal({ status: 400, body: { error: "name is missing" } });
    const broken = await ask("/v1/broken", token);
    expect(broken).to.deep.equal({ status: 503, body: { error: "cannot be answered now" } });
  });

  it("limits how often it answers", async () => {
    let now = systemClock.now();
    const clock = { ...systemClock, now: () => now };
    const limited = await serve(clock);
    try {
      const token = await tokenOf(VIEWER_ACCOUNT, API_AUDIENCE);
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
      const look = (): Promise<Answer> => ask("/v1/page", token, { port: limited.port, agent });
      const first = await waitFor("an answer 429", async () => {
        const answer = await look();
        return answer.status === 200 ? undefined : answer;
      });
      expect(first).to.deep.equal({ status: 429, body: { error: "too many requests" } });
      now += 1_000;
      expect((await look()).status).to.equal(200);
      agent.destroy();
    } finally {
      limited.stop();
    }
  });

  it("speaks TLS 1.3 with a certificate of the control plane alone", async () => {
    const refusal = (options: https.RequestOptions): Promise<string> =>
      ask("/v1/page", "", options).then(
        () => "",
        (error: unknown) => String((error as { code?: string }).code),
      );
    expect(await refusal({ maxVersion: "TLSv1.2" })).to.match(/EPROTO|PROTOCOL_VERSION/);
    expect(await refusal({ servername: "somebody.else" })).to.equal("ERR_TLS_CERT_ALTNAME_INVALID");
    const other = createRoot(systemClock.now());
    expect(await refusal({ ca: other.certPem })).to.match(/UNABLE_TO_VERIFY|SELF_SIGNED|SIGNATURE/);
  });

  it("ends with the account: a token of one that was deleted is refused within seconds", async () => {
    const token = await tokenOf(VIEWER_ACCOUNT, API_AUDIENCE);
    await waitFor("an answer 200", async () => (await ask("/v1/page", token)).status === 200);
    await kube.delete(objectPath(account));
    await waitFor("an answer 401", async () => (await ask("/v1/page", token)).status === 401, 120_000);
    await ensure(account);
    const next = await tokenOf(VIEWER_ACCOUNT, API_AUDIENCE);
    await waitFor("an answer to the new account", async () => (await ask("/v1/page", next)).status === 200);
  });
});
