import { expect } from "chai";
import { createMetrics } from "../../../src/runtime/metrics";

describe("metrics", () => {
  it("are printed in Prometheus' text format", () => {
    const metrics = createMetrics();
    const requests = metrics.counter({
      name: "requests_total",
      help: "All\nof them \\",
      labels: ["kind", "ok"],
    });
    requests.inc({ kind: 'a"b\\c\nd', ok: "true" });
    requests.inc({ kind: 'a"b\\c\nd', ok: "true" }, 2.5);
    requests.inc({ kind: "x" }, -7);
    metrics.gauge({ name: "level", help: "Level." }).set(-1.5);
    const took = metrics.histogram({
      name: "took_seconds",
      help: "Time.",
      buckets: [0.1, 1],
      labels: ["type"],
    });
    for (const value of [0.05, 0.1, 0.5, 3]) took.observe(value, { type: "CDS" });
    expect(metrics.text()).to.equal(
      [
        "# HELP requests_total All\\nof them \\\\",
        "# TYPE requests_total counter",
        'requests_total{kind="a\\"b\\\\c\\nd",ok="true"} 3.5',
        'requests_total{kind="x",ok=""} 0',
        "# HELP level Level.",
        "# TYPE level gauge",
        "level -1.5",
        "# HELP took_seconds Time.",
        "# TYPE took_seconds histogram",
        'took_seconds_bucket{type="CDS",le="0.1"} 2',
        'took_seconds_bucket{type="CDS",le="1"} 3',
        'took_seconds_bucket{type="CDS",le="+Inf"} 4',
        'took_seconds_sum{type="CDS"} 3.65',
        'took_seconds_count{type="CDS"} 4',
        "",
      ].join("\n"),
    );
  });

  it("are asked for at each scrape", () => {
    const metrics = createMetrics();
    const gauge = metrics.gauge({ name: "now", help: "Now." });
    let value = 1;
    metrics.onCollect(() => {
      gauge.set(value);
    });
    expect(metrics.text()).to.contain("\nnow 1\n");
    value = 2;
    expect(metrics.text()).to.contain("\nnow 2\n");
  });

  it("never grow beyond a bound, whatever labels come in", () => {
    const metrics = createMetrics();
    const counter = metrics.counter({ name: "c", help: "C.", labels: ["who"] });
    for (let n = 0; n < 10_000; n += 1) counter.inc({ who: `user-${n}` });
    const lines = metrics.text().split("\n");
    expect(lines.length).to.be.below(2_010);
    expect(lines).to.include('c{who="other"} 8000');
  });

  it("have one name each, a valid one", () => {
    const metrics = createMetrics();
    metrics.gauge({ name: "twice", help: "" });
    expect(() => metrics.counter({ name: "twice", help: "" })).to.throw("metric twice cannot be added");
    expect(() => metrics.counter({ name: "a b", help: "" })).to.throw("metric a b cannot be added");
  });
});
