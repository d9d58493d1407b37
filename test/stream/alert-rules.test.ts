import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { DEFAULT_ADDONS } from "../../hack/addons/chart";
import { monitorObjects, prometheusObjects } from "../../hack/addons/objects";
import { ensurePromtool } from "../../hack/addons/promtool";
import { ALERTS, RULE_GROUPS, type AlertRule, type RuleGroup } from "../../hack/addons/rules";
import { Progress, toStderr } from "../../hack/cluster/progress";
import { run, type RunResult } from "../../hack/cluster/shell";
import { METRICS } from "../../src/runtime/metric-list";
import { parse } from "yaml";
import {
  ALERT_CASES,
  RECORD_CASES,
  type AlertCase,
  type RecordCase,
  type Told,
} from "../support/alert-cases";

const byName = new Map(ALERTS.map(rule => [rule.alert, rule]));

function ruleOf(name: string): AlertRule {
  const rule = byName.get(name);
  if (rule === undefined) throw new Error(`no alert ${name}`);
  return rule;
}

/** A text of a rule as a person is to read it, made here by other means than Prometheus'. */
function filled(template: string, { labels, value }: Told): string {
  return template
    .replaceAll(/\{\{ \$labels\.(\w+) \}\}/g, (_, name: string) => labels[name] ?? `(no label ${name})`)
    .replaceAll(/\{\{ \$value[^}]*\}\}/g, value ?? "(no value)");
}

function toldBy({ labels: { severity }, annotations }: AlertRule, told: Told): object {
  return {
    exp_labels: { severity, ...told.labels },
    exp_annotations: {
      summary: filled(annotations.summary, told),
      description: filled(annotations.description, told),
    },
  };
}

/** Test of promtool for one cause; `silent` expects that nothing is ever told. */
function alertTest(each: AlertCase): object {
  const rule = ruleOf(each.alert);
  const at = (minutes: number, told: readonly Told[]): object => ({
    eval_time: `${minutes * 60}s`,
    alertname: each.alert,
    exp_alerts: told.map(one => toldBy(rule, one)),
  });
  return {
    name: `${each.alert}: ${each.cause}`,
    interval: "30s",
    input_series: each.series,
    alert_rule_test: [
      ...each.quiet.map(minutes => at(minutes, [])),
      at(each.fires, each.told),
      at(each.over, []),
    ],
  };
}

function recordTest({ record, series, at, samples }: RecordCase): object {
  const written = (labels: Readonly<Record<string, string>>): string =>
    `{${Object.entries(labels)
      .map(([name, value]) => `${name}="${value}"`)
      .join(",")}}`;
  return {
    name: record,
    interval: "30s",
    input_series: series,
    promql_expr_test: [
      {
        // A quotient of rates has digits that nobody wants.
        expr: `round(${record}, 0.001)`,
        eval_time: `${at}m`,
        exp_samples: samples.map(({ labels, value }) => ({ labels: written(labels), value })),
      },
    ],
  };
}

describe("alerts and recording rules, by promtool", function () {
  // The first time promtool is fetched from Debian.
  this.timeout(600_000);
  let promtool: string;
  let folder: string;

  /** Runs tests against rules; a file of JSON is one of YAML. */
  const test = (groups: readonly RuleGroup[], tests: readonly object[]): Promise<RunResult> => {
    writeFileSync(path.join(folder, "rules.yml"), JSON.stringify({ groups }));
    const file = path.join(folder, "tests.yml");
    writeFileSync(file, JSON.stringify({ rule_files: ["rules.yml"], evaluation_interval: "30s", tests }));
    return run(promtool, ["test", "rules", file]);
  };

  before(async () => {
    promtool = await ensurePromtool(new Progress(toStderr));
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-rules-"));
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it("are the same in the PrometheusRule and in the add-on's Prometheus", () => {
    const rule = monitorObjects(DEFAULT_ADDONS).find(({ kind }) => kind === "PrometheusRule");
    expect((rule?.["spec"] as { groups: unknown }).groups).to.deep.equal(RULE_GROUPS);
    const map = prometheusObjects(DEFAULT_ADDONS).find(({ kind }) => kind === "ConfigMap");
    const { "rules.yml": text } = map?.["data"] as Readonly<Record<string, string>>;
    expect(parse(text ?? "")).to.deep.equal({ groups: RULE_GROUPS });
  });

  it("have a case each, of series that are there", () => {
    expect(new Set(ALERT_CASES.map(({ alert }) => alert))).to.deep.equal(new Set(byName.keys()));
    const recorded = RULE_GROUPS.flatMap(({ rules }) =>
      rules.flatMap(rule => ("record" in rule ? [rule.record] : [])),
    );
    expect(RECORD_CASES.map(({ record }) => record)).to.have.members(recorded);
    const known = new Set<string>([
      "up",
      "osm_request_total",
      "osm_request_duration_ms",
      ...Object.values(METRICS).map(({ name }) => name),
    ]);
    const used = [...ALERT_CASES, ...RECORD_CASES].flatMap(({ series }) =>
      series.map(each => each.series.replace(/(_bucket)?\{.*/, "")),
    );
    for (const name of used) expect(known, "series that somebody serves").to.include(name);
  });

  it("tell of each cause, in words without a gap, neither before nor after", async () => {
    const tests = [...ALERT_CASES.map(alertTest), ...RECORD_CASES.map(recordTest)];
    const { code, stdout, stderr } = await test(RULE_GROUPS, tests);
    expect(code, `${stdout}${stderr}`).to.equal(0);
  });

  it("are what tells: with a rule that never holds, its case fails", async () => {
    const mute = RULE_GROUPS.map(({ name, rules }) => ({
      name,
      rules: rules.map(rule => ({ ...rule, expr: "vector(0) > 1" })),
    }));
    const { code, stdout, stderr } = await test(mute, [
      ...ALERT_CASES.map(alertTest),
      ...RECORD_CASES.map(recordTest),
    ]);
    expect(code).to.not.equal(0);
    const said = `${stdout}${stderr}`;
    for (const { alert } of ALERTS) expect(said).to.contain(`alertname: ${alert},`);
    for (const { record } of RECORD_CASES) expect(said).to.contain(`round(${record}, 0.001)`);
  });
});
