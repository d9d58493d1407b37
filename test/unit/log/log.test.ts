import { expect } from "chai";
import { generateKeyPairSync } from "node:crypto";
import { Writable } from "node:stream";
import { inspect } from "node:util";
import { Secret, SECRET_MARK } from "../../../src/model/secret";
import { createLog, type RootLog } from "../../../src/runtime/log";
import type { OsmLogLevel } from "../../../src/api/mesh-config";

const NOW = Date.parse("2026-01-02T03:04:05.678Z");
const clock = { now: () => NOW, setTimeout: () => ({ cancel: () => undefined }) };

function capture(level: OsmLogLevel = "debug"): { log: RootLog; lines: string[]; text: () => string } {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  const log = createLog({ level, clock, stream });
  return { log, lines, text: () => lines.join("") };
}

const JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJhdWQiOlsib3NtLW1lc2giXSwiZXhwIjoxfQ.c2lnbmF0dXJlLWJ5dGVz";

describe("log", () => {
  it("prints one line of JSON with the agreed head", () => {
    const { log, lines } = capture();
    log.child("ads").info("stream opened", { pod: "a/b", level: "forged", n: 3 });
    expect(lines).to.have.length(1);
    expect(lines[0]).to.equal(
      '{"level":"info","time":"2026-01-02T03:04:05.678Z","component":"ads","message":"stream opened","pod":"a/b","n":3}\n',
    );
  });

  it("changes its level while running, for children too", () => {
    const { log, text } = capture("warn");
    const child = log.child("x");
    child.info("one");
    log.setLevel("trace");
    child.debug("two");
    log.setLevel("disabled");
    child.error("three");
    log.setLevel("fatal");
    child.error("four");
    log.setLevel("error");
    child.error("five");
    expect(text().match(/(?<="message":")\w+/g)).to.deep.equal(["two", "five"]);
    expect(log.level).to.equal("error");
  });

  it("redacts keys, certificates and tokens wherever they stand", () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const der = privateKey.export({ type: "pkcs8", format: "der" }).toString("base64");
    const secrets: [string, unknown][] = [
      [pem, pem],
      [pem.slice(0, 90), `cut short: ${pem.slice(0, 90)}`],
      [Buffer.from(pem).toString("base64"), { data: { "private.key": Buffer.from(pem).toString("base64") } }],
      [der, `key ${der}`],
      [JWT, `token was ${JWT}.`],
      ["abcdefgh12345678", { headers: { authorization: "Bearer abcdefgh12345678" } }],
      ["abcdefgh12345678", "Authorization: bearer abcdefgh12345678"],
      ["hunter2hunter2", { password: "hunter2hunter2", accessToken: "hunter2hunter2" }],
      ["plain-secret", { wrapped: new Secret("plain-secret"), list: [new Secret("plain-secret")] }],
      [JWT, new Error("outer", { cause: new Error(`inner ${JWT}`) })],
      [
        publicKey.export({ type: "spki", format: "pem" }).toString().split("\n")[1] ?? "?",
        publicKey.export({ type: "spki", format: "pem" }),
      ],
    ];
    for (const [secret, value] of secrets) {
      const { log, text } = capture();
      log.debug(`message ${typeof value === "string" ? value : ""}`, { value });
      log.error("nested", { a: { b: [value, new Map([["k", value]])] } });
      const printed = text();
      expect(printed, printed).not.to.contain(secret);
      expect(printed).not.to.contain(JSON.stringify(secret).slice(1, -1));
      expect(printed).to.match(/\[redacted\]|\[secret\]/);
    }
  });

  it("keeps a field whose name is that of the prototype", () => {
    const { log, lines } = capture();
    const odd: unknown = JSON.parse('{ "__proto__": { "seen": true }, "other": 1 }');
    log.info("odd", { odd });
    expect(lines[0]).to.contain('"odd":{"__proto__":{"seen":true},"other":1}');
  });

  it("keeps ordinary text as it is", () => {
    const { log, lines } = capture();
    const fields = {
      error: "GET /api/v1/pods: 503 apiserver is shutting down",
      version: "3f0a9c".repeat(10),
      tokens: 7,
      keyCount: 2,
      list: ["spiffe://cluster.local/ns/a/sa/b"],
    };
    log.info("plain", fields);
    expect(JSON.parse(lines[0] ?? "")).to.deep.include(fields);
  });

  it("cannot be made to print two lines, control characters or direction marks", () => {
    const { log, lines } = capture();
    log.warn('a\nb\r\n{"level":"error"}\u001b[31m\u0000\u0085\u2028\u202e\u200b', { "k\n\u2029": "v\u009b" });
    expect(lines).to.have.length(1);
    expect((lines[0] ?? "").slice(0, -1)).to.match(/^[\x20-\x7e]*$/);
  });

  it("survives what cannot be printed", () => {
    const { log, text } = capture();
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    const hostile = {
      toJSON: () => {
        throw new Error("no");
      },
    };
    log.info("circle", { circle, hostile, big: 1n, fn: () => 1, bytes: new Uint8Array(9), none: undefined });
    expect(text()).to.contain('"bytes":"[9 bytes]"').and.contain('"big":"1"');
    log.info("long", { text: "x".repeat(100_000) });
    expect(text().length).to.be.below(6_000);
  });

  it("does not end the process when the output is closed", () => {
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
      },
    });
    const log = createLog({ level: "info", clock, stream });
    expect(() => {
      log.info("lost");
      log.info("lost too");
    }).not.to.throw();
  });

  it("prints a fixed mark for a typed secret in every way of printing", () => {
    const secret = new Secret({ pem: "x" });
    expect(
      `${String(secret)} ${JSON.stringify({ secret })} ${inspect({ secret })} ${inspect(secret)}`,
    ).to.equal(`${SECRET_MARK} {"secret":"${SECRET_MARK}"} { secret: ${SECRET_MARK} } ${SECRET_MARK}`);
    expect(secret.reveal()).to.deep.equal({ pem: "x" });
    expect(Object.keys(secret)).to.deep.equal([]);
  });
});
