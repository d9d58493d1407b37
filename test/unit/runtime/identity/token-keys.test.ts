import { expect } from "chai";
import { createTokenKeys } from "../../../../src/runtime/identity/token-keys";
import type { Log } from "../../../../src/runtime/ports";
import { ISSUER, PublishedDocuments, TokenSigner } from "../../../support/signed-tokens";
import { watchedLog } from "../../../support/told-errors";
import { TurnedClock } from "../../../support/turned-clock";

const signer = new TokenSigner("one");
const next = new TokenSigner("next");

function start(...signers: readonly TokenSigner[]) {
  const documents = new PublishedDocuments(...signers);
  const clock = new TurnedClock();
  const warnings: unknown[] = [];
  const log: Log = { ...watchedLog, warn: (_message, fields) => warnings.push(fields?.["reviewInstead"]) };
  const keys = createTokenKeys({ kube: documents, clock, log });
  /** What is found, in a word. */
  const find = async (id: string | undefined): Promise<string> => {
    const found = await keys.find(id);
    if (found === undefined || found === "unpublished") return String(found);
    return `${found.key.algorithm} of ${found.issuer}`;
  };
  return { documents, clock, warnings, find };
}

const FOUND = `ES256 of ${ISSUER}`;

describe("the cluster's token keys", () => {
  it("are fetched when the first is wanted, with their issuer, and once for all that are known", async () => {
    const { documents, find, clock, warnings } = start(signer);
    expect(documents.asked).to.deep.equal([]);
    expect(await find("one")).to.equal(FOUND);
    expect([...documents.asked].sort()).to.deep.equal([
      "/.well-known/openid-configuration",
      "/openid/v1/jwks",
    ]);
    clock.pass(3_600_000);
    expect(await find("one")).to.equal(FOUND);
    expect(documents.fetches).to.equal(1);
    expect(warnings).to.deep.equal([]);
  });

  it("are fetched again for an unknown one, every five seconds at most", async () => {
    const { documents, clock, find } = start(signer);
    await find("one");
    documents.keys = [signer.jwk, next.jwk];
    clock.pass(4_999);
    expect(await find("next")).to.equal("undefined");
    expect(documents.fetches).to.equal(1);
    clock.pass(1);
    expect(await find("next")).to.equal(FOUND);
    expect(documents.fetches).to.equal(2);
    clock.pass(4_999);
    expect(await find("made-up")).to.equal("undefined");
    expect(documents.fetches).to.equal(2);
  });

  it("have ids: none is that of a token without one", async () => {
    const { find } = start(signer);
    expect(await find(undefined)).to.equal("undefined");
  });

  it("are fetched once for all who ask meanwhile, however long that takes", async () => {
    const { documents, clock } = start(signer);
    let release = (): void => undefined;
    documents.held = new Promise(resolve => (release = resolve));
    const keys = createTokenKeys({ kube: documents, clock, log: watchedLog });
    const first = keys.find("one");
    const atOnce = keys.find("one");
    clock.pass(60_000);
    const second = keys.find("one");
    const unknown = keys.find("two");
    release();
    for (const found of [await first, await atOnce, await second])
      expect(found).to.include({ issuer: ISSUER });
    expect(await unknown).to.equal(undefined);
    expect(documents.fetches).to.equal(1);
  });

  it("cannot be told where the API server refuses them: the next attempt is after a minute", async () => {
    for (const refusing of [400, 401, 403, 404, 499]) {
      const { documents, clock, warnings, find } = start(signer);
      documents.failsWith = refusing;
      expect(await find("one"), String(refusing)).to.equal("unpublished");
      expect(warnings).to.deep.equal([true]);
      documents.failsWith = undefined;
      clock.pass(59_999);
      expect(await find("one")).to.equal("unpublished");
      clock.pass(1);
      expect(await find("one")).to.equal(FOUND);
      expect(await find("two")).to.equal("undefined");
    }
  });

  it("cannot be told where it names no issuer, which is refusing too", async () => {
    for (const issuer of [undefined, "", 7]) {
      const { documents, clock, warnings, find } = start(signer);
      documents.issuer = issuer;
      expect(await find("one")).to.equal("unpublished");
      expect(warnings).to.deep.equal([true]);
      clock.pass(5_000);
      await find("one");
      expect(warnings).to.have.length(1);
    }
  });

  it("cannot be told while it does not answer: the next attempt is after five seconds", async () => {
    for (const failing of [0, 399, 500, 503]) {
      const { documents, clock, warnings, find } = start(signer);
      documents.failsWith = failing;
      expect(await find("one"), String(failing)).to.equal("unpublished");
      expect(warnings).to.deep.equal([false]);
      documents.failsWith = undefined;
      clock.pass(4_999);
      expect(await find("one")).to.equal("unpublished");
      clock.pass(1);
      expect(await find("one")).to.equal(FOUND);
    }
  });

  it("stay known when they cannot be fetched again; whether an unknown one is there cannot be told then", async () => {
    for (const failing of [0, 403]) {
      const { documents, clock, find } = start(signer);
      await find("one");
      documents.failsWith = failing;
      clock.pass(5_000);
      expect(await find("two")).to.equal("unpublished");
      expect(await find("one")).to.equal(FOUND);
      documents.failsWith = undefined;
      clock.pass(5_000);
      expect(await find("two")).to.equal("undefined");
    }
  });
});
