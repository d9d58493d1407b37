import { expect } from "chai";
import { readCounts } from "../../../../src/runtime/api/counted";

const pair = (labels: string): string =>
  `osm_request_total{source_namespace="a",source_kind="Deployment",source_name="x",destination_namespace="b",destination_kind="Deployment",destination_name="y",${labels}} 3`;

describe("A pod's page of requests", () => {
  it("is read with its answers and times", () => {
    const at = 'envoy_http_conn_manager_prefix="outbound|b/y|80"';
    const counts = readCounts(
      [
        pair('response_code="403"'),
        `envoy_http_downstream_rq_xx{${at},envoy_response_code_class="2"} 7`,
        `envoy_http_downstream_rq_time_bucket{${at},le="0.5"} 1`,
        `envoy_http_downstream_rq_time_bucket{${at},le="+Inf"} 7`,
      ].join("\n"),
    );
    expect([...counts.keys()]).to.deep.equal(["a/Deployment/x>b/Deployment/y", "b/y|80"]);
    expect([...(counts.get("a/Deployment/x>b/Deployment/y")?.answers ?? [])]).to.deep.equal([["403", 3]]);
    expect([...(counts.get("b/y|80")?.answers ?? [])]).to.deep.equal([["2xx", 7]]);
    expect([...(counts.get("b/y|80")?.within ?? [])]).to.deep.equal([
      ["0.5", 1],
      ["+Inf", 7],
    ]);
  });

  it("costs no more than its length, whatever a pod writes", function () {
    this.timeout(60_000);
    const long = "a".repeat(4 * 1024 * 1024);
    const short = `osm_request_total{${"a".repeat(1_900)}} 1\n`.repeat(2_000);
    for (const page of [`osm_request_total{${long}} 1`, `osm_request_total{a="${long}"} 1`, long, short])
      expect(readCounts(page).size).to.equal(0);
  });

  it("tells few answers apart, and none that is no answer", () => {
    const many = Array.from({ length: 999 }, (_, code) => pair(`response_code="${code}"`));
    const odd = ["abcd", "1234", "", "5xxx"].map(code => pair(`response_code="${code}"`));
    const [counted] = readCounts([...odd, ...many].join("\n")).values();
    expect(counted?.answers.size).to.equal(64);
    expect([...(counted?.answers.keys() ?? [])].every(code => /^\d{1,3}$/.test(code))).to.equal(true);
    const negative = pair('response_code="200"').replace(/3$/, "-3");
    expect(readCounts(negative).size).to.equal(0);
  });
});
