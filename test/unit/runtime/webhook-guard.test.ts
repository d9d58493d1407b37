import { once } from "node:events";
import type { RequestListener } from "node:http";
import https from "node:https";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { systemClock } from "../../../src/runtime/clock";
import { guardWebhook } from "../../../src/runtime/control-plane/webhook-guard";
import { silentLog } from "../../../src/runtime/log";
import { createRoot, issueServing, loadAuthority } from "../../../src/runtime/secrets/authority";

const root = createRoot(Date.now());
const authority = loadAuthority(root.certPem, root.keyPem);
const serving = issueServing(authority, ["localhost"], { now: Date.now(), validityMs: 86_400_000 });

/** What Pepr's server is made of. */
interface Express {
  (): RequestListener & {
    use(handler: unknown): void;
    post(
      path: string,
      handler: (request: { body?: unknown }, answer: { send(body: unknown): void }) => void,
    ): void;
  };
  json(options: { readonly limit: string }): unknown;
}
const express = createRequire(createRequire(__filename).resolve("pepr/package.json"))("express") as Express;

type Fields = Readonly<Record<string, unknown>>;

const REQUEST: Fields = {
  uid: "1f0e0f2c",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  name: "p",
  namespace: "shop",
  operation: "CREATE",
  object: { metadata: { name: "p" } },
  oldObject: null,
};
const review = (changed: Fields = {}): string =>
  JSON.stringify({ kind: "AdmissionReview", request: { ...REQUEST, ...changed } });

interface Call {
  readonly method?: string;
  readonly path?: string;
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Written in pieces, without a length. */
  readonly chunked?: boolean;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** The connection may be used again. */
  readonly stays: boolean;
}

describe("the guard before Pepr's server", () => {
  let server: https.Server;
  let guard: { stop(): void };
  /** What came through to Pepr's side. */
  let passed: (string | undefined)[] = [];

  before(async () => {
    // As Pepr does it.
    const app = express();
    app.use(express.json({ limit: "2mb" }));
    for (const path of ["/mutate/:secret", "/validate/:secret"])
      app.post(path, ({ body }, answer) => {
        answer.send(body);
      });
    server = https.createServer({ key: serving.keyPem, cert: serving.certPem }, (request, response) => {
      passed.push(request.url);
      if (request.method === "GET") response.end("OK");
      else app(request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    guard = guardWebhook({ port, secretPath: "secret", clock: systemClock, log: silentLog });
  });
  after(() => {
    guard.stop();
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    passed = [];
  });

  const call = ({
    method = "POST",
    path = "/mutate/secret",
    body = review(),
    headers = {},
    chunked,
  }: Call): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const { port } = server.address() as AddressInfo;
      const options = { port, host: "127.0.0.1", servername: "localhost", ca: root.certPem, method, path };
      const type = { "content-type": "application/json" };
      const asked = https.request({ ...options, headers: { ...type, ...headers } }, answer => {
        let text = "";
        answer.on("data", (part: Buffer) => (text += part.toString()));
        answer.on("end", () => {
          resolve({ status: answer.statusCode ?? 0, text, stays: answer.headers.connection !== "close" });
        });
      });
      asked.on("error", reject);
      if (chunked === true) asked.write(body);
      asked.end(chunked === true ? undefined : body);
    });

  it("hands on reviews, parsed, as a request that has been read", async () => {
    for (const path of ["/mutate/secret", "/mutate/secret?timeout=10s", "/validate/secret?timeout=10s"]) {
      const text = review({ object: { metadata: { annotations: { a: "ö€😀" } } } });
      const answer = await call({ path, body: text });
      expect(answer.status).to.equal(200);
      expect(JSON.parse(answer.text)).to.deep.equal(JSON.parse(text));
      expect(passed.pop()).to.equal(path);
    }
    for (const changed of [
      { name: undefined, namespace: undefined },
      { name: "" },
      { operation: "UPDATE", oldObject: { metadata: {} } },
      { operation: "DELETE", object: null, oldObject: { metadata: {} } },
      { kind: { group: "x.org", version: "v1", kind: "X" }, dryRun: true, options: null },
    ])
      expect((await call({ body: review(changed) })).status, JSON.stringify(changed)).to.equal(200);
    const charset = { "content-type": "application/json; charset=utf-8" };
    expect((await call({ headers: charset })).status).to.equal(200);
  });

  it("hands on checks of health and metrics as they are", async () => {
    for (const path of ["/healthz", "/metrics"]) {
      expect((await call({ method: "GET", path, body: "" })).status).to.equal(200);
      expect(passed.pop()).to.equal(path);
      expect((await call({ path, body: "{" })).status).to.equal(401);
      expect(
        (await call({ method: "GET", path, body: "{", headers: { "content-length": "1" } })).status,
      ).to.equal(401);
      expect(passed).to.deep.equal([]);
    }
  });

  const refused: readonly (readonly [string, number, Call])[] = [
    ["another path", 401, { path: "/mutate/other" }],
    ["a longer path", 401, { path: "/mutate/secret/x" }],
    ["the path of nobody", 401, { path: "/mutate/" }],
    ["a path that is none", 401, { path: "//" }],
    ["a look", 405, { method: "GET", body: "" }],
    ["a packed body", 415, { headers: { "content-encoding": "gzip" } }],
    ["another type", 415, { headers: { "content-type": "text/plain" } }],
    ["another character set", 415, { headers: { "content-type": "application/json; charset=utf-16" } }],
    ["a body without a length", 411, { chunked: true }],
    ["a body above 2 MiB", 413, { body: Buffer.alloc(2 * 2 ** 20 + 1, " ") }],
    ["nothing", 400, { body: "" }],
    ["half a review", 400, { body: review().slice(0, -1) }],
    ["a list", 400, { body: "[]" }],
    ["no request", 400, { body: "{}" }],
    ["no uid", 400, { body: review({ uid: "" }) }],
    ["a name that is none", 400, { body: review({ name: { a: 1 } }) }],
    ["no kind", 400, { body: review({ kind: { kind: "Pod" } }) }],
    ["no resource", 400, { body: review({ resource: null }) }],
    ["an operation that is none", 400, { body: review({ operation: "create" }) }],
    ["no object", 400, { body: review({ object: null }) }],
    ["an object without metadata", 400, { body: review({ object: { metadata: "x" } }) }],
    ["an update of nothing", 400, { body: review({ operation: "UPDATE" }) }],
  ];
  for (const [what, status, made] of refused)
    it(`answers ${what} itself, with ${status}`, async () => {
      const answer = await call({ ...made, headers: { connection: "keep-alive", ...made.headers } });
      expect(answer.status).to.equal(status);
      // An API server is never refused but for its body.
      expect(answer.stays).to.equal(status === 400 || status === 413);
      expect(passed).to.deep.equal([]);
    });

  it("lets everything through where it is another server", async () => {
    const other = https.createServer({ key: serving.keyPem, cert: serving.certPem }, (_, response) =>
      response.end("x"),
    );
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as AddressInfo;
    const answer = await new Promise<number | undefined>((resolve, reject) => {
      const options = { port, host: "127.0.0.1", servername: "localhost", ca: root.certPem };
      https
        .get(options, ({ statusCode }) => {
          resolve(statusCode);
        })
        .on("error", reject);
    });
    expect(answer).to.equal(200);
    other.closeAllConnections();
    other.close();
  });
});
