import { expect } from "chai";
import { traceHeaders } from "../../../hack/demo/apps/bookstore";
import { parseOrder } from "../../../hack/demo/apps/bookwarehouse";
import { isOn, wholeNumber, word } from "../../../hack/demo/apps/settings";
import { countBook, freshCounters, rawCounters, rush, RUSH_BOOKS } from "../../../hack/demo/apps/shopper";
import { request, serve, type Serving } from "../../../hack/demo/apps/web";

describe("environment of the demo's programs", () => {
  it("reads whole numbers, with a fallback for none", () => {
    expect(wholeNumber({}, "N", 7)).to.equal(7);
    expect(wholeNumber({ N: "" }, "N", 7)).to.equal(7);
    expect(wholeNumber({ N: "0" }, "N", 7)).to.equal(0);
    for (const wrong of ["-1", "1.5", "x"])
      expect(() => wholeNumber({ N: wrong }, "N", 7)).to.throw(`N=${wrong}`);
  });

  it("reads words and switches", () => {
    expect(word({ W: "" }, "W", "fallback")).to.equal("fallback");
    expect(word({ W: "given" }, "W", "fallback")).to.equal("given");
    expect(["true", "YES", "1"].map(value => isOn({ S: value }, "S"))).to.eql([true, true, true]);
    expect([isOn({}, "S"), isOn({ S: "false" }, "S")]).to.eql([false, false]);
  });
});

describe("a shopper's counters", () => {
  it("tell the versions by the bookstore's Identity header, and count unknown ones in the total", () => {
    const counters = freshCounters();
    for (const identity of ["bookstore-v1", "bookstore-v2", "bookstore-v2", "bookstore"])
      countBook(counters, identity);
    expect(
      rawCounters({ name: "bookthief", counter: "booksStolen", expectedCode: 404 }, counters),
    ).to.include({
      booksStolen: 4,
      booksStolenV1: 1,
      booksStolenV2: 2,
      failed: 0,
    });
  });
});

describe("a rush", () => {
  it("buys its books, several at the same time, and counts what failed", async () => {
    let sold = 0;
    let abreast = 0;
    let most = 0;
    const store = await serve(0, {
      "/buy-a-book/new": async () => {
        most = Math.max(most, (abreast += 1));
        await new Promise(resolve => setTimeout(resolve, 5));
        abreast -= 1;
        sold += 1;
        return sold % 4 === 0
          ? { status: 403, body: "" }
          : { headers: { Identity: "bookstore-v2" }, body: "" };
      },
    });
    const counters = freshCounters();
    const kind = { name: "bookbuyer", counter: "booksBought", expectedCode: 200 } as const;
    const place = `127.0.0.1:${store.port}`;
    expect(await rush({ kind, env: {}, store: place, counters, log: () => undefined })).to.equal(12);
    store.stop();
    expect(counters).to.include({ total: RUSH_BOOKS - 12, v2: RUSH_BOOKS - 12, failed: 12 });
    expect(most).to.be.within(2, 8);
  });
});

describe("the warehouse's orders", () => {
  it("are a store and a number of books", () => {
    expect(parseOrder('{"store":"bookstore-v1","books":2}')).to.eql({ store: "bookstore-v1", books: 2 });
  });

  const wrong = [
    "",
    "null",
    "[]",
    '{"store":1,"books":1}',
    '{"store":"s"}',
    '{"store":"s","books":0}',
    '{"store":"s","books":1e9}',
  ];
  for (const body of wrong) {
    it(`are refused as ${body || "nothing"}`, () => {
      expect(() => parseOrder(body)).to.throw();
    });
  }
});

describe("trace headers", () => {
  it("are handed on, others are not", () => {
    const given = { "x-request-id": "r", "x-b3-traceid": "t", "client-app": "bookbuyer", host: "bookstore" };
    expect(traceHeaders(given)).to.eql({ "x-request-id": "r", "x-b3-traceid": "t" });
  });
});

describe("serve and request", () => {
  let serving: Serving;
  before(async () => {
    serving = await serve(0, {
      "/echo": question => ({
        headers: { Identity: "me" },
        body: { body: question.body, app: question.headers["client-app"] },
      }),
      "/fault": () => {
        throw new Error("as planned");
      },
    });
  });
  after(() => {
    serving.stop();
  });
  const url = (path: string): string => `http://127.0.0.1:${serving.port}${path}`;

  it("carry headers and body there and back", async () => {
    const reply = await request({
      url: url("/echo?x=1"),
      headers: { "client-app": "bookbuyer" },
      body: "hello",
    });
    expect(reply).to.include({ status: 200 });
    expect(reply.headers["identity"]).to.equal("me");
    expect(JSON.parse(reply.body)).to.eql({ body: "hello", app: "bookbuyer" });
  });

  it("answer 404 for unknown paths, inherited names included, and 500 for faults", async () => {
    expect((await request({ url: url("/toString") })).status).to.equal(404);
    expect((await request({ url: url("/fault") })).status).to.equal(500);
  });

  it("refuse a body that is too long", async () => {
    const reply = await request({ url: url("/echo"), body: "x".repeat(70_000) });
    expect(reply.status).to.equal(500);
  });

  it("fail where nobody listens", async () => {
    const other = await serve(0, {});
    other.stop();
    const failure = await request({ url: `http://127.0.0.1:${other.port}/`, fresh: true }).catch(String);
    expect(failure).to.include("ECONNREFUSED");
  });
});
