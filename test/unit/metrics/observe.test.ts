import { Writable } from "node:stream";
import { expect } from "chai";
import { Convergence } from "../../../src/runtime/ads/observer";
import { systemClock } from "../../../src/runtime/clock";
import { contained, countedLog, PLACES, tellContained, type Place } from "../../../src/runtime/contained";
import { createLog } from "../../../src/runtime/log";
import { createNews } from "../../../src/runtime/engine/news";
import { METRICS } from "../../../src/runtime/metric-list";
import { createMetrics } from "../../../src/runtime/metrics";
import {
  countReviews,
  observeContained,
  observeDelivery,
  observeExpiry,
  observeFindings,
  observeMesh,
} from "../../../src/runtime/observe";
import type { Diagnostic } from "../../../src/model/diagnostic";
import { NO_ACTIONS } from "../../../src/runtime/control-plane/actions";
import type { AdsObserver } from "../../../src/runtime/ads/observer";
import { TYPE_URLS } from "../../../src/xds/resource";
import { samplesOf, sumOf } from "../../support/prometheus";

describe("what the control plane counts", () => {
  it("is named as Prometheus wants it, each once, with a sentence", () => {
    const all = Object.values(METRICS);
    expect(new Set(all.map(({ name }) => name)).size).to.equal(all.length);
    for (const { name, help } of all) {
      expect(name).to.match(/^(osm|process)_[a-z0-9_]+$/);
      expect(help, name).to.match(/^[A-Z0-9].*\.$/);
    }
  });

  it("begins at 0 where an alert is about growth", () => {
    const metrics = createMetrics();
    countReviews(metrics, NO_ACTIONS);
    const samples = samplesOf(metrics.text());
    expect(
      samples.filter(({ labels }) => labels["kind"] === "TrafficTarget").map(({ value }) => value),
    ).to.deep.equal([0, 0]);
  });

  it("tells refused reviews from others", async () => {
    const metrics = createMetrics();
    const actions = countReviews(metrics, {
      ...NO_ACTIONS,
      judge: kind => ({ faults: kind === "Egress" ? ["spec.hosts is wrong"] : [], warnings: [] }),
      admitPod: () => Promise.resolve({ kind: "refuse", reason: "no" }),
    });
    actions.judge("Egress", {});
    actions.judge("Retry", {});
    await actions.admitPod({ pod: {}, namespace: "x", uid: "1" });
    const samples = samplesOf(metrics.text());
    const refused = (kind: string, success: string): number =>
      sumOf(samples, METRICS.reviews.name, { kind, success });
    expect([refused("Egress", "false"), refused("Egress", "true")]).to.deep.equal([1, 0]);
    expect([refused("Retry", "false"), refused("Retry", "true")]).to.deep.equal([0, 1]);
    expect(refused("Pod", "false")).to.equal(1);
  });

  it("has how many objects are wrong now, and how often that began", () => {
    type Engine = Parameters<typeof observeFindings>[1];
    const metrics = createMetrics();
    type Listener = Parameters<Engine["onDiagnostics"]>[0];
    let tell: Listener = () => undefined;
    const onDiagnostics = (listener: Listener): void => {
      tell = listener;
    };
    observeFindings(metrics, { onDiagnostics } as unknown as Engine);
    const finding = (code: string, severity: string): Diagnostic =>
      ({ code, severity }) as unknown as Diagnostic;
    const wrong = finding("E2003", "error");
    const told = (one: readonly Diagnostic[], other: readonly Diagnostic[]): readonly number[] => {
      tell(
        new Map([
          ["one", one],
          ["other", other],
        ]) as unknown as Parameters<Listener>[0],
      );
      const samples = samplesOf(metrics.text());
      return [METRICS.wrongObjects, METRICS.errorCodes].map(({ name }) =>
        sumOf(samples, name, { err_code: "E2003" }),
      );
    };
    expect(told([wrong, wrong], [wrong, finding("E2004", "warning")])).to.deep.equal([2, 2]);
    expect(told([wrong], [])).to.deep.equal([1, 2]);
    expect(told([], [])).to.deep.equal([0, 2]);
    expect(metrics.text(), "a series that ends is not known to be over").to.contain(
      `${METRICS.wrongObjects.name}{err_code="E2003"} 0`,
    );
    expect(metrics.text(), "a warning is no error").to.not.contain("E2004");
  });

  it("has answers of proxies by type, in seconds, and what was refused", () => {
    const metrics = createMetrics();
    let observer: AdsObserver | undefined;
    const ledger = { refusals: () => [{}] };
    observeDelivery(metrics, {
      observe: (next: AdsObserver) => (observer = next),
      ledger,
    } as unknown as Parameters<typeof observeDelivery>[1]);
    observer?.sent(TYPE_URLS.cluster);
    observer?.answered(TYPE_URLS.cluster, false, 30);
    observer?.converged("TrafficTarget", 1_500);
    const samples = samplesOf(metrics.text());
    expect(sumOf(samples, METRICS.pushes.name, { type: "CDS" })).to.equal(1);
    expect(
      sumOf(samples, `${METRICS.updates.name}_count`, { resource_type: "CDS", success: "false" }),
    ).to.equal(1);
    expect(sumOf(samples, `${METRICS.convergence.name}_sum`, { kind: "TrafficTarget" })).to.equal(1.5);
    expect(sumOf(samples, `${METRICS.convergence.name}_bucket`, { kind: "TrafficTarget", le: "1" })).to.equal(
      0,
    );
    expect(sumOf(samples, METRICS.refusedNow.name)).to.equal(1);
  });

  it("leaves out ends of certificates that there are not", () => {
    const metrics = createMetrics();
    observeExpiry(metrics, { root: () => 5_000, workload: () => undefined, none: () => Infinity });
    const ends = samplesOf(metrics.text()).map(({ labels, value }) => [labels["certificate"], value]);
    expect(ends).to.deep.equal([["root", 5]]);
  });

  it("forgets the end of a certificate that nobody has any more", () => {
    const metrics = createMetrics();
    let end: number | undefined = 5_000_000;
    observeExpiry(metrics, { workload: () => end });
    const ends = (): readonly number[] => samplesOf(metrics.text()).map(({ value }) => value);
    expect(ends()).to.deep.equal([5_000]);
    end = undefined;
    expect(ends()).to.deep.equal([]);
    end = 6_000_000;
    expect(ends()).to.deep.equal([6_000]);
  });

  it("has errors that were contained, by a place of the list, from 0 on", () => {
    const metrics = createMetrics();
    const counts = new Map<Place, number>();
    observeContained(metrics, counts);
    const begun = samplesOf(metrics.text());
    expect(begun.map(({ labels }) => labels["place"])).to.have.members(PLACES);
    expect(new Set(begun.map(({ value }) => value))).to.deep.equal(new Set([0]));
    counts.set("timer", 2);
    metrics.text();
    counts.set("timer", 3);
    const samples = samplesOf(metrics.text());
    expect(sumOf(samples, METRICS.contained.name, { place: "timer" })).to.equal(3);
    expect(sumOf(samples, METRICS.contained.name)).to.equal(3);
  });

  it("counts an error where it is contained, by whichever child of the log, and leaves the log as it is", () => {
    const lines: string[] = [];
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const root = createLog({ level: "error", clock: systemClock, stream });
    const counted: Place[] = [];
    const log = countedLog(root, place => counted.push(place));
    const fail = (): never => {
      throw new Error("on purpose");
    };
    contained(log, "flush", fail);
    contained(log.child("engine").child("pods"), "timer", fail, { object: "shop/cart" });
    contained(root, "metrics", fail);
    tellContained(log, "page failed", { path: "/debug/engine" });
    expect(counted).to.deep.equal(["flush", "timer", "page failed"]);
    expect(lines.map(line => (JSON.parse(line) as { message: string }).message)).to.deep.equal([
      "an error was contained: flush",
      "an error was contained: timer",
      "an error was contained: metrics",
      "page failed",
    ]);
    root.setLevel("debug");
    expect(log.level).to.equal("debug");
    log.setLevel("warn");
    expect(root.level).to.equal("warn");
  });

  it("has as many series of news as kinds, however many namespaces there have been", () => {
    const metrics = createMetrics();
    let tell: (event: { kind: string; type: string; key: string }) => void = () => undefined;
    const engine = {
      meshConfig: () => ({ featureFlags: {} }),
      namespaces: () => new Map(),
      stats: () => ({}),
    };
    const world = { engine, onEvent: (listener: typeof tell) => (tell = listener) };
    observeMesh(metrics, { world, version: "1", role: "watcher" } as unknown as Parameters<
      typeof observeMesh
    >[1]);
    for (const key of ["one/a", "two/a", "a"]) tell({ kind: "Service", type: "delete", key });
    const news = samplesOf(metrics.text()).filter(({ name }) => name === METRICS.apiEvents.name);
    expect(news.map(({ labels, value }) => [labels, value])).to.deep.equal([
      [{ type: "Service-deleted" }, 3],
    ]);
  });
});

describe("news that proxies take up", () => {
  it("counts from the first event, and is there during the flush that follows only", () => {
    let now = 100;
    const news = createNews({ now: () => now } as Parameters<typeof createNews>[0]);
    const seen: unknown[] = [];
    const apply = news.noting(event => seen.push(event));
    const event = { kind: "Egress", type: "delete", key: "a/b" } as const;
    apply(event);
    now = 150;
    apply(event);
    expect(seen).to.deep.equal([event, event]);
    expect([...news.present()]).to.deep.equal([]);
    news.during(() => {
      expect([...news.present()]).to.deep.equal([["Egress", 100]]);
    })();
    expect([...news.present()]).to.deep.equal([]);
    news.during(() => {
      expect([...news.present()]).to.deep.equal([]);
    })();
  });

  it("ends with a flush that failed", () => {
    const news = createNews({ now: () => 1 } as Parameters<typeof createNews>[0]);
    news.noting(() => undefined)({ kind: "Retry", type: "delete", key: "a/b" });
    expect(
      news.during(() => {
        throw new Error("flush");
      }),
    ).to.throw("flush");
    expect(news.present().size).to.equal(0);
  });

  it("is what a stream has still to take up, from its beginning", () => {
    const convergence = new Convergence<string>();
    convergence.begin("a", new Map());
    expect(convergence.isOpen("a")).to.equal(false);
    convergence.begin("a", new Map([["Pod", 10]]));
    convergence.begin(
      "a",
      new Map([
        ["Pod", 20],
        ["Egress", 20],
      ]),
    );
    expect(convergence.isOpen("b")).to.equal(false);
    expect(Object.fromEntries(convergence.end("a"))).to.deep.equal({ Pod: 10, Egress: 20 });
    expect(convergence.end("a").size).to.equal(0);
  });
});
