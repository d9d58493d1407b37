import { expect } from "chai";
import { createDiffCache } from "../../../src/xds/diff";
import { TYPE_URLS, type TypeUrl } from "../../../src/xds/resource";
import { GATE_TIMEOUT_MS, initialStreamState } from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import type { DeltaRequest } from "../../../src/xds/wire";
import { decodeResponse, type ReceivedResponse } from "../../support/ads-client";
import { snapshotOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, listener, route } = TYPE_URLS;
const WORDS: Readonly<Record<string, string>> = {
  [cluster]: "C",
  [endpoint]: "E",
  [listener]: "L",
  [route]: "R",
};

/** What leads to another Service. */
const service = (version: string) => [
  testResource(cluster, "shop", version),
  testResource(endpoint, "shop", version),
  testResource(listener, "out", version),
  testResource(route, "shop", version),
];
/** The server's side, with two ports. */
const own = (version: string, table81 = "1") => [
  testResource(cluster, "local|80", "1"),
  testResource(listener, "inbound", version),
  testResource(route, "inbound|80", version),
  testResource(route, "inbound|81", table81),
];
const gate = (port: number) => [
  testResource(cluster, `inbound|${port}|caller`, "1"),
  testResource(listener, `inbound|${port}|caller`, "1"),
];
const newcomer = [testResource(cluster, "new", "1"), testResource(endpoint, "new", "1")];

/** A client that answers when it is told to; time passes only here. */
class Proxy {
  private state = initialStreamState();
  private readonly diffs = createDiffCache();
  readonly inbox: ReceivedResponse[] = [];
  /** What was sent, like `L+inbound,+out,-old`. */
  readonly sent: string[] = [];
  now = 0;

  constructor(resources: Parameters<typeof snapshotOf>[0]) {
    this.world(resources);
    for (const typeUrl of [cluster, listener]) this.request(typeUrl, {});
    this.request(endpoint, { subscribe: ["shop", "new"] });
    this.request(route, { subscribe: ["shop", "inbound|80", "inbound|81"] });
    this.answerAll();
    this.sent.length = 0;
  }

  world(resources: Parameters<typeof snapshotOf>[0]): void {
    this.feed({ kind: "snapshot", snapshot: snapshotOf(resources) });
  }

  tick(now: number): void {
    this.now = now;
    this.feed({ kind: "tick" });
  }

  /** Answers what is there, and what comes for it, but for types that are not to be answered. */
  answerAll(...silent: readonly TypeUrl[]): void {
    for (;;) {
      const index = this.inbox.findIndex(({ typeUrl }) => !silent.some(one => one === typeUrl));
      const [response] = index < 0 ? [] : this.inbox.splice(index, 1);
      if (response === undefined) return;
      this.request(response.typeUrl as TypeUrl, { nonce: response.nonce });
    }
  }

  refuse(typeUrl: TypeUrl, error: string): void {
    const index = this.inbox.findIndex(response => response.typeUrl === typeUrl);
    const [response] = this.inbox.splice(index, 1);
    this.request(typeUrl, { nonce: response?.nonce ?? "", error });
  }

  private request(typeUrl: TypeUrl, part: Partial<DeltaRequest>): void {
    const blank = {
      nodeId: undefined,
      subscribe: [],
      unsubscribe: [],
      initialVersions: new Map(),
      nonce: "",
    };
    this.feed({ kind: "request", request: { ...blank, typeUrl, error: undefined, ...part } });
  }

  private feed(
    input: { kind: "tick" } | Exclude<Parameters<typeof step>[1], { kind: "tick" }> | object,
  ): void {
    const [state, { responses }] = step(
      this.state,
      { ...input, now: this.now } as Parameters<typeof step>[1],
      this.diffs,
    );
    this.state = state;
    for (const { bytes } of responses) {
      const response = decodeResponse(bytes);
      this.inbox.push(response);
      const names = [
        ...response.resources.map(({ name }) => `+${name}`),
        ...response.removed.map(name => `-${name}`),
      ];
      this.sent.push(`${WORDS[response.typeUrl] ?? ""}${names.sort().join(",")}`);
    }
  }
}

describe("callers' gates in a delta stream", () => {
  it("go with the listener that leads to them and before the route table, though a new service is still warming", () => {
    const proxy = new Proxy([...service("1"), ...own("1")]);
    proxy.world([...service("1"), ...newcomer, ...gate(80), ...own("2")]);
    expect(proxy.sent).to.deep.equal(["C+inbound|80|caller,+new", "E+new"]);
    proxy.answerAll(endpoint);
    expect(proxy.sent.slice(2)).to.deep.equal(["L+inbound,+inbound|80|caller", "R+inbound|80"]);
  });

  it("leave at once, though a new service is still warming", () => {
    const proxy = new Proxy([...service("1"), ...gate(80), ...own("1")]);
    proxy.world([...service("2"), ...newcomer, ...own("1")]);
    expect(proxy.sent).to.include("L-inbound|80|caller");
  });

  it("are overtaken by no route table of their port while they wait behind another response, for a second", () => {
    const proxy = new Proxy([...service("1"), ...own("1")]);
    proxy.world([...service("1"), ...own("2")]);
    proxy.answerAll(listener);
    proxy.sent.length = 0;
    proxy.world([...service("1"), ...gate(80), ...own("3", "3")]);
    proxy.answerAll(listener);
    // The other port's permissions wait for nobody.
    expect(proxy.sent).to.deep.equal(["C+inbound|80|caller", "R+inbound|81"]);
    proxy.tick(GATE_TIMEOUT_MS - 1);
    expect(proxy.sent).to.have.length(2);
    proxy.answerAll();
    expect(proxy.sent.slice(2)).to.deep.equal(["L+inbound,+inbound|80|caller", "R+inbound|80"]);
  });

  it("are waited for a second at most", () => {
    const proxy = new Proxy([...service("1"), ...own("1")]);
    proxy.world([...service("1"), ...own("2")]);
    proxy.answerAll(listener);
    proxy.sent.length = 0;
    proxy.world([...service("1"), ...gate(80), ...own("3")]);
    proxy.answerAll(listener);
    proxy.tick(GATE_TIMEOUT_MS);
    expect(proxy.sent).to.deep.equal(["C+inbound|80|caller", "R+inbound|80"]);
  });

  it("hold up no permission of another port, though their own cluster is not acknowledged", () => {
    const proxy = new Proxy([...service("1"), ...own("1")]);
    proxy.world([...service("1"), ...gate(80), ...own("1", "2")]);
    expect(proxy.sent).to.deep.equal(["C+inbound|80|caller", "R+inbound|81"]);
  });

  it("are waited for no longer once they are refused", () => {
    const proxy = new Proxy([...service("1"), ...own("1")]);
    proxy.world([...service("1"), ...gate(80), ...own("2")]);
    proxy.answerAll(listener);
    proxy.refuse(listener, "Error adding/updating listener(s) inbound|80|caller: no");
    proxy.answerAll();
    expect(proxy.sent.at(-1)).to.equal("R+inbound|80");
    expect(proxy.inbox).to.deep.equal([]);
  });
});
