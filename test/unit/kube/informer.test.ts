import { expect } from "chai";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { until } from "../../../hack/cluster/progress";
import { systemClock } from "../../../src/runtime/clock";
import { createKubeClient, type ClosableKubeClient } from "../../../src/runtime/kube/client";
import { startInformer, type Informer } from "../../../src/runtime/kube/informer";
import { watchedLog } from "../../support/told-errors";

/** What the server does with one request: lists and watches are answered in turn, the last answer for ever. */
type Answer = (response: http.ServerResponse, query: URLSearchParams) => void;

function item(name: string, version: number, text = ""): unknown {
  return { metadata: { name, resourceVersion: String(version), labels: { text } } };
}

function listOf(version: number, items: readonly unknown[], next = ""): Answer {
  return response => {
    const metadata = { resourceVersion: String(version), continue: next };
    response.end(JSON.stringify({ metadata, items }));
  };
}

function refusal(status: number, headers: http.OutgoingHttpHeaders = {}): Answer {
  return response => {
    response.writeHead(status, headers).end(JSON.stringify({ reason: status === 410 ? "Expired" : "Busy" }));
  };
}

function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

/** Sends some events and leaves the stream open. */
function stream(...events: readonly string[]): Answer {
  return response => {
    response.flushHeaders();
    for (const event of events) response.write(event);
  };
}

/** A server of one kind that follows a script: the faults of a network, which no API server makes on demand. */
class Script {
  readonly lists: number[] = [];
  readonly watches: { at: number; from: string }[] = [];
  private readonly server: http.Server;

  constructor(
    private readonly onList: Answer[],
    private readonly onWatch: Answer[],
  ) {
    this.server = http.createServer((request, response) => {
      const query = new URL(request.url ?? "", "http://x").searchParams;
      const watch = query.get("watch") === "true";
      if (watch) this.watches.push({ at: Date.now(), from: query.get("resourceVersion") ?? "" });
      else this.lists.push(Date.now());
      const script = watch ? this.onWatch : this.onList;
      const answer = script.length > 1 ? script.shift() : script[0];
      answer?.(response, query);
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>(resolve => this.server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

describe("informer and a server with faults", () => {
  let script: Script;
  let kube: ClosableKubeClient;
  let informer: Informer<string>;
  afterEach(() => {
    informer.stop();
    kube.close();
    script.close();
  });

  async function follow(onList: Answer[], onWatch: Answer[], watchSeconds = 10): Promise<void> {
    script = new Script(onList, onWatch);
    const server = await script.listen();
    kube = createKubeClient({ server, current: () => ({}) });
    informer = startInformer<string>({
      kube,
      source: { kind: "Thing", path: "/things", project: object => object.metadata.labels?.["text"] ?? "" },
      clock: systemClock,
      random: () => 0.5,
      log: watchedLog,
      onChange: () => undefined,
      watchSeconds,
    });
  }

  const value = (name: string, text: string, ms = 20_000): Promise<true> =>
    until(`${name} = ${text}`, ms, () => (informer.get(name) === text ? true : undefined), 2);

  it("lists again at once when the version is told too old inside a stream that stays open", async () => {
    const gone = line("ERROR", { kind: "Status", code: 410, metadata: {} });
    await follow([listOf(5, []), listOf(9, [item("a", 9, "new")])], [stream(gone), stream()]);
    await informer.synced;
    const began = Date.now();
    await value("a", "new");
    expect(Date.now() - began).to.be.below(5_000);
    await until("the next watch", 30_000, () => (script.watches.length === 2 ? true : undefined), 2);
    expect(script.watches.map(watch => watch.from)).to.deep.equal(["5", "9"]);
  });

  it("does not list in a storm when every version is told too old", async () => {
    await follow([listOf(5, [])], [refusal(410)]);
    await until("some lists", 10_000, () => (script.lists.length >= 5 ? true : undefined), 10);
    const [first = 0, , , , fifth = 0] = script.lists;
    expect(fifth - first).to.be.greaterThan(400);
  });

  it("waits as long as a server asks that has too much to do, not as long as one that is away guesses", async () => {
    await follow(
      [refusal(429, { "Retry-After": "1" }), refusal(503, { "Retry-After": "60" }), listOf(5, [])],
      [stream()],
    );
    await informer.synced;
    const [first = 0, second = 0, third = 0] = script.lists;
    expect(second - first).to.be.within(1_000, 30_000);
    expect(third - second).to.be.below(30_000);
  });

  it("starts a list again when a page of it is no longer to be had", async () => {
    const first = listOf(5, [item("half", 4, "never shown")], "next");
    await follow([first, refusal(410), listOf(7, [item("a", 7, "x")])], [stream()]);
    await informer.synced;
    expect([...informer.values()]).to.deep.equal([["a", "x"]]);
  });

  it("resumes where it was after a line that is no JSON, and after a reset", async () => {
    const cut: Answer = response => {
      response.write(line("ADDED", item("a", 6, "one")), () => {
        response.socket?.resetAndDestroy();
      });
    };
    const odd = stream(line("MODIFIED", item("a", 7, "two")), "<html>bad gateway</html>\n");
    await follow([listOf(5, [])], [cut, odd, stream(line("MODIFIED", item("a", 8, "three")))]);
    await value("a", "three");
    expect(script.watches.map(watch => watch.from)).to.deep.equal(["5", "6", "7"]);
    expect(script.lists).to.have.length(1);
  });

  it("puts characters together that arrive in pieces", async () => {
    const bytes = Buffer.from(line("ADDED", item("a", 6, "ä€😀")));
    const pieces: Answer = response => {
      let at = 0;
      const next = (): void => {
        if (at >= bytes.length) return;
        response.write(bytes.subarray(at, at + 1));
        at += 1;
        setImmediate(next);
      };
      response.flushHeaders();
      next();
    };
    await follow([listOf(5, [])], [pieces]);
    await value("a", "ä€😀");
  });

  it("does not ask in a storm when watches end as soon as they begin", async () => {
    await follow(
      [listOf(5, [])],
      [
        response => {
          response.end();
        },
      ],
    );
    await until("some watches", 10_000, () => (script.watches.length >= 5 ? true : undefined), 10);
    const [first, , , , fifth] = script.watches;
    expect((fifth?.at ?? 0) - (first?.at ?? 0)).to.be.greaterThan(400);
  });

  it("cuts a watch that is silent beyond its life", async () => {
    await follow([listOf(5, [])], [stream(), stream(line("ADDED", item("a", 6, "seen")))], 0.1);
    const began = Date.now();
    await value("a", "seen", 30_000);
    expect(Date.now() - began).to.be.within(2_000, 30_000);
    expect(informer.stats().stalls).to.equal(1);
  });

  it("keeps what it knows when its kind is not served for a moment, and counts as synced when it never was", async () => {
    const gone = line("ERROR", { kind: "Status", code: 410, metadata: {} });
    await follow([listOf(5, [item("a", 4, "kept")]), refusal(404)], [stream(gone), stream()]);
    await until("refused lists", 30_000, () => (script.lists.length >= 3 ? true : undefined), 5);
    expect(informer.get("a")).to.equal("kept");
    informer.stop();
    script.close();
    await follow([refusal(404), refusal(404), listOf(5, [item("a", 5, "came")])], [stream()]);
    await informer.synced;
    expect(informer.values().size).to.equal(0);
    await value("a", "came");
  });

  it("reports nothing more after it was stopped", async () => {
    let send: (() => void) | undefined;
    const later: Answer = response => {
      response.flushHeaders();
      send = () => response.write(line("ADDED", item("late", 6, "x")));
    };
    await follow([listOf(5, [])], [later]);
    await until("the watch", 30_000, () => send, 2);
    informer.stop();
    send?.();
    await new Promise(resolve => setTimeout(resolve, 50));
    expect(informer.get("late")).to.equal(undefined);
  });
});
