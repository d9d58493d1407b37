import { expect } from "chai";
import { createDiffCache } from "../../../src/xds/diff";
import { TYPE_URLS, type EncodedResource, type TypeUrl } from "../../../src/xds/resource";
import {
  GATE_TIMEOUT_MS,
  initialStreamState,
  isApplication,
  isInbound,
  isServedType,
  type StreamEffects,
  type StreamInput,
} from "../../../src/xds/stream";
import { step } from "../../../src/xds/step";
import type { DeltaRequest } from "../../../src/xds/wire";
import { decodeResponse, type ReceivedResponse } from "../../support/ads-client";
import { snapshotOf, testResource } from "../../support/ads-rig";

const { cluster, endpoint, secret, listener, route } = TYPE_URLS;
const LETTERS: Readonly<Record<string, string>> = {
  [cluster]: "C",
  [endpoint]: "E",
  [secret]: "S",
  [listener]: "L",
  [route]: "R",
};
const C = (name: string, version = "1") => testResource(cluster, name, version);
const E = (name: string, version = "1") => testResource(endpoint, name, version);
const S = (name: string, version = "1") => testResource(secret, name, version);
const L = (name: string, version = "1") => testResource(listener, name, version);
const R = (name: string, version = "1") => testResource(route, name, version);

/** A client that answers when it is told to; time passes only here. */
class Client {
  private state = initialStreamState();
  private readonly diffs = createDiffCache();
  readonly inbox: ReceivedResponse[] = [];
  last: StreamEffects = { responses: [], rejections: [], wakeAt: undefined };
  /** What was sent since it was asked last, like `L+in,-out`. */
  private sent: string[] = [];
  now = 10_000;

  /** All types are asked for, names included that may come. */
  static settled(...resources: readonly EncodedResource[]): Client {
    const client = new Client();
    client.world(...resources);
    for (const typeUrl of [cluster, listener]) client.ask(typeUrl);
    for (const typeUrl of [endpoint, route, secret]) client.ask(typeUrl, { subscribe: ["a", "b", "c"] });
    client.answer();
    client.news();
    return client;
  }

  news(): readonly string[] {
    return this.sent.splice(0);
  }

  world(...resources: readonly EncodedResource[]): readonly string[] {
    this.feed({ kind: "snapshot", snapshot: snapshotOf(resources), now: this.now });
    return this.news();
  }

  tick(now: number): readonly string[] {
    this.now = now;
    this.feed({ kind: "tick", now });
    return this.news();
  }

  ask(typeUrl: string, part: Partial<DeltaRequest> = {}): readonly string[] {
    const blank = { nodeId: undefined, subscribe: [], unsubscribe: [], nonce: "", error: undefined };
    const initialVersions = new Map<string, string>();
    this.feed({ kind: "request", request: { ...blank, initialVersions, typeUrl, ...part }, now: this.now });
    return this.news();
  }

  /** Answers what is there of these types (default: all), and what comes for it. */
  answer(...types: readonly TypeUrl[]): readonly string[] {
    const news: string[] = [];
    for (;;) {
      const at = this.inbox.findIndex(
        ({ typeUrl }) => types.length === 0 || types.some(one => one === typeUrl),
      );
      const [response] = at < 0 ? [] : this.inbox.splice(at, 1);
      if (response === undefined) return news;
      news.push(...this.ask(response.typeUrl, { nonce: response.nonce }));
    }
  }

  refuse(typeUrl: TypeUrl, error: string): readonly string[] {
    const at = this.inbox.findIndex(response => response.typeUrl === typeUrl);
    const [response] = this.inbox.splice(at, 1);
    return this.ask(typeUrl, { nonce: response?.nonce ?? "", error });
  }

  get wakesIn(): number | undefined {
    return this.last.wakeAt === undefined ? undefined : this.last.wakeAt - this.now;
  }

  private feed(input: StreamInput): void {
    [this.state, this.last] = step(this.state, input, this.diffs);
    for (const { bytes, nonce, resources, removals } of this.last.responses) {
      const response = decodeResponse(bytes);
      expect(response).to.include({ nonce });
      expect([response.resources.length, response.removed.length]).to.deep.equal([resources, removals]);
      this.inbox.push(response);
      const names = [
        ...response.resources.map(({ name }) => `+${name}`),
        ...response.removed.map(name => `-${name}`),
      ];
      this.sent.push(`${LETTERS[response.typeUrl] ?? ""}${names.sort().join(",")}`);
    }
  }
}

describe("names of the server's side", () => {
  it("are told from those of calls", () => {
    expect(
      ["inbound", "inbound|80", "inbound|80|x", "inbounds", "outbound", "x|inbound|"].map(isInbound),
    ).to.deep.equal([true, true, true, false, false, false]);
    expect(["local|80", "local", "outbound|local|80"].map(isApplication)).to.deep.equal([true, false, false]);
    expect([cluster, "type.googleapis.com/other"].map(isServedType)).to.deep.equal([true, false]);
  });
});

describe("a stream makes before it breaks", () => {
  it("sends a new cluster, its endpoints, then what leads there, each once it is acknowledged", () => {
    const client = Client.settled(C("a"), E("a"), L("a"), R("a"));
    expect(client.world(C("a"), C("b"), E("a"), E("b"), L("a"), L("b"), R("a"), R("b"))).to.deep.equal([
      "C+b",
      "E+b",
    ]);
    expect(client.wakesIn).to.equal(GATE_TIMEOUT_MS);
    expect(client.answer(cluster), "endpoints are not acknowledged").to.deep.equal([]);
    expect(client.wakesIn).to.equal(GATE_TIMEOUT_MS);
    expect(client.answer(endpoint)).to.deep.equal(["L+b", "R+b"]);
    expect(client.wakesIn).to.equal(undefined);
  });

  it("waits for no endpoints that there are not", () => {
    const client = Client.settled(C("a"), L("a"));
    expect(client.world(C("a"), C("b"), L("a"), L("b"))).to.deep.equal(["C+b"]);
    expect(client.answer(cluster)).to.deep.equal(["L+b"]);
  });

  it("lets a change of known clusters hold up nobody, and sends their endpoints again", () => {
    const client = Client.settled(C("a"), E("a"), L("a"), R("a"));
    expect(client.world(C("a", "2"), E("a"), L("a", "2"), R("a", "2"))).to.deep.equal([
      "C+a",
      "E+a",
      "L+a",
      "R+a",
    ]);
    expect(client.wakesIn).to.equal(undefined);
  });

  it("removes a cluster when nothing that may lead there is on its way any more", () => {
    const client = Client.settled(C("a"), C("b"), E("a"), E("b"), L("a"), L("b"), R("a"), R("b"));
    expect(client.world(C("a"), E("a"), L("a"), R("a", "2"))).to.deep.equal(["L-b", "R+a"]);
    expect(client.answer(listener), "a route is on its way").to.deep.equal([]);
    expect(client.wakesIn).to.equal(GATE_TIMEOUT_MS);
    expect(client.answer(route)).to.deep.equal(["C-b"]);
    expect(client.wakesIn).to.equal(undefined);
  });

  it("removes one at once where nothing leads there", () => {
    const client = Client.settled(C("a"), C("b"), L("a"));
    expect(client.world(C("a"), L("a"))).to.deep.equal(["C-b"]);
  });

  it("removes one after a second all the same", () => {
    const client = Client.settled(C("a"), C("b"), L("a"), L("b"));
    expect(client.world(C("a"), L("a"))).to.deep.equal(["L-b"]);
    expect(client.tick(client.now + GATE_TIMEOUT_MS - 1)).to.deep.equal([]);
    expect(client.wakesIn).to.equal(1);
    expect(client.tick(client.now + 1)).to.deep.equal(["C-b"]);
    expect(client.wakesIn).to.equal(undefined);
  });

  it("waits for a new cluster that cannot be sent yet", () => {
    const client = Client.settled(C("a"), L("a"));
    expect(client.world(C("a", "2"), L("a"))).to.deep.equal(["C+a"]);
    expect(client.world(C("a", "2"), C("b"), L("a"), L("b")), "a response is under way").to.deep.equal([]);
    expect(client.answer(cluster)).to.deep.equal(["C+b", "L+b"]);
  });

  it("waits for new secrets as for clusters, and for changed ones not", () => {
    const client = Client.settled(C("a"), S("a"), L("a"));
    expect(client.world(C("a"), S("a"), S("b"), L("a", "2"))).to.deep.equal(["S+b"]);
    expect(client.answer(secret)).to.deep.equal(["L+a"]);
    client.answer();
    expect(client.world(C("a"), S("a", "2"), S("b"), L("a", "3"))).to.deep.equal(["S+a", "L+a"]);
    client.answer();
    expect(
      client.world(C("a"), S("a", "3"), S("b"), S("c"), L("a", "4")),
      "a changed one and a new one",
    ).to.deep.equal(["S+a,+c"]);
    expect(client.answer(secret)).to.deep.equal(["L+a"]);
  });

  it("waits a second for acknowledgements, once, and goes on without them until nothing is withheld", () => {
    const client = Client.settled(C("a"), E("a"), L("a"), R("a"));
    client.world(C("a"), C("b"), E("a"), E("b"), L("a", "2"), R("a", "2"));
    const began = client.now;
    expect(client.tick(began + 400)).to.deep.equal([]);
    expect(client.wakesIn, "since it began to wait").to.equal(GATE_TIMEOUT_MS - 400);
    expect(client.tick(began + GATE_TIMEOUT_MS)).to.deep.equal(["L+a", "R+a"]);
    expect(client.wakesIn).to.equal(undefined);
    client.answer();
    // A new wait is a new second.
    expect(client.world(C("a"), C("b"), C("c"), E("a"), E("b"), E("c"), L("a", "3"))).to.deep.equal([
      "C+c",
      "E+c",
    ]);
    expect(client.wakesIn).to.equal(GATE_TIMEOUT_MS);
  });

  it("waits no second time for endpoints that a client does not ask for", () => {
    const client = new Client();
    client.world(C("a"), E("a"), L("a"));
    client.ask(cluster);
    client.ask(listener);
    client.news();
    expect(client.answer(cluster), "it may still ask for them").to.deep.equal([]);
    expect(client.tick(client.now + GATE_TIMEOUT_MS)).to.deep.equal(["L+a"]);
    client.answer();
    expect(client.world(C("a"), E("a"), L("a", "2"))).to.deep.equal(["L+a"]);
  });
});

describe("the server's side of a stream", () => {
  const own = (version: string) => [L("inbound", version), R("inbound|80", version)];
  const started = (...more: readonly EncodedResource[]): Client => {
    const client = new Client();
    client.world(C("a"), E("a"), C("local|80"), ...own("1"), ...more);
    client.ask(cluster);
    client.ask(listener);
    client.ask(endpoint, { subscribe: ["a", "b"] });
    client.ask(route, { subscribe: ["inbound|80", "inbound|81", "x"] });
    client.answer();
    client.news();
    return client;
  };
  const warming = [C("b"), E("b")];

  it("changes its permissions though a new service is warming", () => {
    const client = started();
    expect(
      client.world(C("a"), E("a"), C("local|80"), ...warming, ...own("2"), L("x"), R("x")),
    ).to.deep.equal(["C+b", "E+b", "L+inbound", "R+inbound|80"]);
    expect(client.wakesIn).to.equal(GATE_TIMEOUT_MS);
    expect(client.answer()).to.include.members(["L+x", "R+x"]);
  });

  it("waits with what newly leads somewhere, and with removals, while a new service is warming", () => {
    const client = started(L("x"));
    const base = [C("a"), E("a"), C("local|80"), ...warming, ...own("1")];
    expect(client.world(...base, L("inbound|81|gate"), R("inbound|81"))).to.deep.equal([
      "C+b",
      "E+b",
      "L+inbound|81|gate",
    ]);
    expect(client.answer(listener), "a table that it has not had").to.deep.equal([]);
    expect(client.answer()).to.deep.equal(["L-x", "R+inbound|81"]);
  });

  it("begins its listener and gates together, once what is warming is warm", () => {
    const client = new Client();
    client.world(C("a"));
    client.ask(cluster);
    client.ask(listener);
    client.ask(endpoint, { subscribe: ["b"] });
    client.answer();
    client.news();
    expect(client.world(C("a"), ...warming, L("inbound"), L("inbound|80|gate"))).to.deep.equal([
      "C+b",
      "E+b",
    ]);
    expect(client.answer(cluster, endpoint)).to.deep.equal(["L+inbound,+inbound|80|gate"]);
  });

  it("sends a table with the gates that it leads to, and holds up those of ports whose gates must wait", () => {
    const client = started(R("inbound|81"), L("out"));
    const base = [C("a"), E("a"), C("local|80"), L("inbound")];
    expect(
      client.world(...base, L("out"), L("inbound|80|one"), R("inbound|80", "2"), R("inbound|81")),
    ).to.deep.equal(["L+inbound|80|one", "R+inbound|80"]);
    client.answer(route);
    const gates = [L("inbound|80|one"), L("inbound|80|two")];
    expect(
      client.world(...base, L("out", "2"), ...gates, R("inbound|80", "3"), R("inbound|81", "3")),
      "listeners are under way",
    ).to.deep.equal(["R+inbound|81"]);
    expect(client.wakesIn).to.equal(GATE_TIMEOUT_MS);
    expect(client.answer()).to.deep.equal(["L+inbound|80|two,+out", "R+inbound|80"]);
  });

  it("waits for the pod's own cluster of a new port, on that port alone", () => {
    const client = started(R("inbound|81"));
    const next = [C("a"), E("a"), C("local|80"), C("local|81", "2"), ...warming];
    expect(client.world(...next, ...own("2"), R("inbound|81", "2"))).to.deep.equal([
      "C+b,+local|81",
      "E+b",
      "R+inbound|80",
    ]);
    expect(client.answer(cluster)).to.deep.equal(["L+inbound"]);
    expect(client.answer(route)).to.deep.equal(["R+inbound|81"]);
  });
});

describe("what a stream does with answers and questions", () => {
  it("leaves other types unanswered", () => {
    const client = Client.settled(C("a"));
    expect(client.ask("type.googleapis.com/other", { subscribe: ["*"] })).to.deep.equal([]);
  });

  it("takes no answer for one that was not sent, or not the last", () => {
    const client = Client.settled(C("a"));
    client.world(C("a", "2"));
    expect(client.ask(cluster, { nonce: "other" })).to.deep.equal([]);
    expect(client.world(C("a", "3")), "still under way").to.deep.equal([]);
    expect(client.answer(cluster)).to.deep.equal(["C+a"]);
  });

  it("answers the first question for all, though there is nothing", () => {
    const client = new Client();
    client.world();
    expect(client.ask(cluster)).to.deep.equal(["C"]);
    expect(client.ask(endpoint, { subscribe: ["a"] })).to.deep.equal([]);
    expect(client.answer(cluster)).to.deep.equal([]);
  });

  it("has a nonce for each response of a type, so that an answer is to one", () => {
    const client = Client.settled();
    const nonces = ["1", "2", "1", "2"].map(version => {
      client.world(C("a", version));
      const nonce = client.inbox[0]?.nonce;
      client.answer(cluster);
      return nonce;
    });
    nonces.forEach((nonce, i) => {
      expect(nonce).to.not.equal(nonces[i - 1]);
    });
  });

  it("has such nonces for responses of its own as well, and for several at once", () => {
    const many = (version: string) => Array.from({ length: 12 }, (_, i) => L(`l${i}`, version));
    const client = Client.settled();
    const nonces = new Set<string>();
    client.world(...many("1"));
    for (let halves = 0; halves < 3; halves += 1) {
      nonces.add(client.inbox[0]?.nonce ?? "");
      client.refuse(listener, "something");
    }
    expect(nonces.size).to.equal(3);
    expect([...nonces].every(nonce => nonce !== "")).to.equal(true);
  });

  it("tells of a refusal with its type, and does not send that again", () => {
    const client = Client.settled(C("a"), C("b"));
    client.world(C("a", "2"), C("b", "2"));
    expect(client.refuse(cluster, "b is wrong")).to.deep.equal([]);
    expect(client.last.rejections).to.deep.equal([
      { typeUrl: cluster, name: "b", version: "2", message: "b is wrong", origins: [] },
    ]);
    expect(client.world(C("a", "2"), C("b", "2"), C("c")), "refused").to.deep.equal(["C+c"]);
    client.answer();
    expect(client.world(C("a", "2"), C("b", "1"), C("c")), "as it has it").to.deep.equal([]);
    expect(client.world(C("a", "2"), C("b", "2"), C("c")), "forgotten").to.deep.equal(["C+b"]);
  });

  it("corners a refusal of nobody by halves", () => {
    const client = Client.settled();
    const four = ["p", "q", "r", "s"].map(name => L(name));
    expect(client.world(...four)).to.deep.equal(["L+p,+q,+r,+s"]);
    expect(client.refuse(listener, "something")).to.deep.equal(["L+p,+q"]);
    expect(client.refuse(listener, "something")).to.deep.equal(["L+p"]);
    expect(client.refuse(listener, "something")).to.deep.equal(["L+q,+r,+s"]);
    expect(client.last.rejections.map(({ name }) => name)).to.deep.equal(["p"]);
  });

  it("waits for no endpoints of a cluster that was refused or is gone", () => {
    const client = Client.settled(L("a"));
    expect(client.world(C("a"), E("a"), L("a", "2"))).to.deep.equal(["C+a", "E+a"]);
    expect(client.refuse(cluster, "a is wrong"), "endpoints are under way").to.deep.equal([]);
    expect(client.answer(endpoint)).to.deep.equal(["L+a"]);
    const other = Client.settled(L("a"));
    other.world(C("z"), E("z"), L("a", "2"));
    expect(other.refuse(cluster, "z is wrong"), "nobody asks for them").to.deep.equal(["L+a"]);
  });
});
