import { expect } from "chai";
import { Strays } from "../../../src/runtime/ads/strays";
import { createTokenKeys } from "../../../src/runtime/identity/token-keys";
import { createTokenReviewer } from "../../../src/runtime/identity/token-review";
import { PublishedDocuments, TokenSigner } from "../../support/signed-tokens";
import { watchedLog } from "../../support/told-errors";
import { TurnedClock } from "../../support/turned-clock";

const HOUR = 3_600_000;

describe("after the clock was put back by an hour", () => {
  it("tokens are reviewed at their rate, and no answer is believed for that hour", async () => {
    const clock = new TurnedClock();
    let authenticated = true;
    let asked = 0;
    const review = createTokenReviewer({
      clock,
      audience: "osm-mesh",
      kube: {
        create: <T>(_: string, body: T): Promise<T> => {
          asked += 1;
          return Promise.resolve({ ...body, status: { authenticated, audiences: ["osm-mesh"] } });
        },
      },
    });
    for (let n = 0; n < 50; n += 1) await review(`t${n}`);
    clock.jump(-HOUR);
    authenticated = false;
    await review("t0").catch(() => undefined);
    clock.pass(1_000);
    expect(await review("t0")).to.equal(false);
    expect(asked).to.equal(51);
  });

  it("keys of tokens are fetched again", async () => {
    const clock = new TurnedClock();
    const documents = new PublishedDocuments(new TokenSigner("one"));
    const keys = createTokenKeys({ kube: documents, clock, log: watchedLog });
    expect(await keys.find("one")).to.be.an("object");
    expect(await keys.find("next")).to.equal(undefined);
    clock.jump(-HOUR);
    expect(await keys.find("next")).to.equal(undefined);
    expect(documents.fetches).to.equal(2);
  });

  it("a connection without a stream is closed, one with a stream is not", () => {
    const clock = new TurnedClock();
    const strays = new Strays(clock, { newConnectionMs: 5_000, lonelyMs: 5_000 });
    for (const peer of ["new", "used", "lonely"]) strays.began(peer);
    strays.stream("used");
    strays.stream("lonely")();
    expect([...strays.overdue()]).to.deep.equal([]);
    clock.jump(-HOUR);
    expect([...strays.overdue()]).to.deep.equal(["new", "lonely"]);
  });
});
