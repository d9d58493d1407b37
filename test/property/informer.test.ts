import { expect } from "chai";
import fc from "fast-check";
import type { KubeObject, WatchEvent } from "../../src/runtime/kube";
import { LineSplitter } from "../../src/runtime/kube/line-splitter";
import { compareVersions, WatchState, type Change } from "../../src/runtime/kube/watch-state";

/** Interleavings tried; the full count by `OSM_FULL=1`. */
const RUNS = process.env["OSM_FULL"] === "1" ? 10_000 : 1_500;

const TEXTS = ["", "a", "ä€😀", '汉字\n"quoted"', "x".repeat(300)];

interface Value {
  readonly version: string;
  readonly text: string;
}

/** One thing that happens at the server or on the way. */
type Step =
  | { readonly do: "put"; readonly key: number; readonly text: number }
  | { readonly do: "delete"; readonly key: number }
  | { readonly do: "deliver"; readonly bytes: number }
  | { readonly do: "bookmark" }
  | { readonly do: "replay"; readonly back: number }
  | { readonly do: "reset" }
  | { readonly do: "expire" }
  | { readonly do: "list"; readonly page: number; readonly cut: boolean }
  | { readonly do: "stale-list"; readonly back: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("put" as const), key: fc.nat(5), text: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("delete" as const), key: fc.nat(5) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("deliver" as const), bytes: fc.nat(700) }) },
  { weight: 1, arbitrary: fc.constant({ do: "bookmark" as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("replay" as const), back: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.constant({ do: "reset" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "expire" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("list" as const),
      page: fc.integer({ min: 1, max: 4 }),
      cut: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("stale-list" as const), back: fc.nat(6) }) },
);

/** An API server of one kind: what is stored, its history, and one watch stream of bytes. */
class Server {
  readonly objects = new Map<string, KubeObject>();
  readonly history: { event: WatchEvent; after: KubeObject[] }[] = [];
  version = 1;
  private wire = Buffer.alloc(0);
  private sent = 0;

  put(key: number, text: string): void {
    const name = `key-${key}`;
    const type = this.objects.has(name) ? "MODIFIED" : "ADDED";
    const object = this.object(name, text);
    this.objects.set(name, object);
    this.record({ type, object } as WatchEvent);
  }

  delete(key: number): void {
    const name = `key-${key}`;
    if (!this.objects.delete(name)) return;
    this.record({ type: "DELETED", object: this.object(name, "gone") } as WatchEvent);
  }

  private object(name: string, text: string): KubeObject {
    this.version += 1;
    const metadata = { name, namespace: "ns", resourceVersion: String(this.version), annotations: { text } };
    return { metadata };
  }

  private record(event: WatchEvent): void {
    this.history.push({ event, after: [...this.objects.values()] });
  }

  /** A new stream from a version on: what was on the old wire is lost. */
  connect(from: string): void {
    this.wire = Buffer.alloc(0);
    const index = this.history.findIndex(
      ({ event }) => compareVersions(event.object.metadata.resourceVersion ?? "", from) > 0,
    );
    this.sent = index === -1 ? this.history.length : index;
  }

  write(event: WatchEvent): void {
    this.wire = Buffer.concat([this.wire, Buffer.from(`${JSON.stringify(event)}\n`)]);
  }

  /** Writes what is due, then takes bytes off the wire. */
  take(bytes: number): Buffer {
    for (; this.sent < this.history.length; this.sent += 1) {
      const due = this.history[this.sent];
      if (due !== undefined) this.write(due.event);
    }
    const chunk = this.wire.subarray(0, bytes);
    this.wire = this.wire.subarray(chunk.length);
    return chunk;
  }
}

/** A reader of changes that checks each one: versions of a key only grow. */
class Reader {
  readonly seen = new Map<string, Value>();
  private readonly newest = new Map<string, string>();

  take(change: Change<Value>): void {
    if (change.type === "delete") {
      expect(this.seen.delete(change.key)).to.equal(true);
      return;
    }
    if (change.type === "upsert") {
      this.grow(change.key, change.value, 1);
      return;
    }
    for (const key of [...this.seen.keys()]) if (!change.entries.has(key)) this.seen.delete(key);
    for (const [key, value] of change.entries) this.grow(key, value, 0);
  }

  private grow(key: string, value: Value, least: number): void {
    const older = this.newest.get(key);
    if (older !== undefined) expect(compareVersions(value.version, older)).to.be.at.least(least);
    this.newest.set(key, value.version);
    this.seen.set(key, value);
  }
}

class World {
  readonly server = new Server();
  readonly reader = new Reader();
  readonly state = new WatchState<Value>(
    {
      project: object => ({
        version: object.metadata.resourceVersion ?? "",
        text: object.metadata.annotations?.["text"] ?? "",
      }),
    },
    change => {
      this.reader.take(change);
    },
  );
  private splitter = new LineSplitter();
  private last = "";

  constructor() {
    this.list(2, false);
  }

  list(page: number, cut: boolean): void {
    this.state.beginList();
    const items = [...this.server.objects.values()];
    const pages = Math.ceil(items.length / page);
    // A list that is broken off (410 on a continuation) leaves no trace.
    for (let n = 0; n < pages - (cut ? 1 : 0); n += 1) this.state.page(items.slice(n * page, (n + 1) * page));
    if (cut) return;
    expect(this.state.endList(String(this.server.version))).to.equal(true);
    this.connect();
  }

  staleList(back: number): void {
    const past = this.server.history.at(-1 - back);
    if (past === undefined) return;
    const version = past.event.object.metadata.resourceVersion ?? "";
    if (compareVersions(version, this.state.resourceVersion) >= 0) return;
    this.state.beginList();
    this.state.page(past.after);
    expect(this.state.endList(version)).to.equal(false);
    // The next proper list clears the suspicion that the store went back in time.
    this.list(3, false);
  }

  connect(): void {
    this.splitter = new LineSplitter();
    this.server.connect(this.state.resourceVersion);
  }

  deliver(bytes: number): boolean {
    const chunk = this.server.take(bytes);
    for (const line of this.splitter.push(chunk)) {
      const before = this.state.resourceVersion;
      const outcome = this.state.event(JSON.parse(line) as WatchEvent);
      expect(compareVersions(this.state.resourceVersion, before)).to.be.at.least(0);
      if (outcome !== "expired") continue;
      this.list(2, false);
      return true;
    }
    this.last = this.state.resourceVersion;
    return chunk.length > 0;
  }

  apply(step: Step): void {
    const { server } = this;
    if (step.do === "put") server.put(step.key, TEXTS[step.text] ?? "");
    else if (step.do === "delete") server.delete(step.key);
    else if (step.do === "deliver") this.deliver(step.bytes);
    else if (step.do === "reset") this.connect();
    else if (step.do === "list") this.list(step.page, step.cut);
    else if (step.do === "stale-list") this.staleList(step.back);
    else this.inject(step);
  }

  private inject(step: Step): void {
    const { server } = this;
    server.take(0);
    if (step.do === "replay") {
      const past = server.history.at(-1 - step.back);
      // A deletion that is replayed is of an object that is gone or newer; both must be left alone.
      if (past !== undefined) server.write(past.event);
    }
    if (step.do === "bookmark") {
      const metadata = { name: "", resourceVersion: String(server.version) };
      server.write({ type: "BOOKMARK", object: { metadata } } as WatchEvent);
    }
    if (step.do === "expire") {
      server.write({ type: "ERROR", object: { metadata: { name: "" }, code: 410 } } as unknown as WatchEvent);
    }
  }

  settle(): void {
    while (this.deliver(64));
    this.connect();
    while (this.deliver(1_000_000));
    expect(this.last).not.to.equal("");
  }
}

describe("informer under random interleavings", function () {
  this.timeout(300_000);
  it(`ends with what the server holds and never goes back (${RUNS} runs)`, () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), steps => {
        const world = new World();
        for (const one of steps) world.apply(one);
        world.settle();
        const want = [...world.server.objects].map(([name, o]) => [
          `ns/${name}`,
          { version: o.metadata.resourceVersion, text: o.metadata.annotations?.["text"] },
        ]);
        expect(Object.fromEntries(world.reader.seen)).to.deep.equal(Object.fromEntries(want));
        expect(Object.fromEntries(world.state.values())).to.deep.equal(Object.fromEntries(want));
      }),
      { numRuns: RUNS },
    );
  });

  it("cuts any bytes at any place into the same lines", () => {
    const text = fc.array(fc.string({ unit: "binary", maxLength: 20 }).map(s => s.replace(/[\n\r]/g, "·")));
    fc.assert(
      fc.property(text, fc.array(fc.nat(9), { minLength: 1 }), (lines, cuts) => {
        const bytes = Buffer.from(lines.map(line => `${line}\n`).join(""));
        const splitter = new LineSplitter();
        const got: string[] = [];
        for (let at = 0, n = 0; at < bytes.length; n += 1) {
          const size = (cuts[n % cuts.length] ?? 0) + 1;
          got.push(...splitter.push(bytes.subarray(at, at + size)));
          at += size;
        }
        const want = Buffer.from(lines.join("\n")).toString("utf8").split("\n");
        expect(got).to.deep.equal(want.filter(line => line.trim() !== ""));
        expect(splitter.unfinishedBytes).to.equal(0);
      }),
      { numRuns: RUNS },
    );
  });
});
