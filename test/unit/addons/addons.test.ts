import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { DEFAULT_ADDONS } from "../../../hack/addons/chart";
import { prometheusObjects } from "../../../hack/addons/objects";
import { ALERTS } from "../../../hack/addons/rules";
import { scrapeConfig } from "../../../hack/addons/scrape";

interface Rule {
  readonly resources?: readonly string[];
  readonly verbs: readonly string[];
}

describe("the Prometheus beside the mesh", () => {
  it("may look and read metrics, and nothing by which commands are run", () => {
    const role = prometheusObjects(DEFAULT_ADDONS).find(({ kind }) => kind === "ClusterRole");
    const rules = role?.["rules"] as readonly Rule[];
    const resources = rules.flatMap(rule => rule.resources ?? []);
    expect(resources).to.have.members(["nodes", "services", "endpoints", "pods", "nodes/metrics"]);
    for (const { verbs } of rules)
      for (const verb of verbs) expect(["get", "list", "watch"]).to.include(verb);
    expect(JSON.stringify(scrapeConfig()), "asks for nothing that it may not").to.not.contain("/proxy/");
  });

  it("wakes nobody for proxies that a leaving replica sends elsewhere", () => {
    const refused = ALERTS.find(({ alert }) => alert === "OsmStreamsRefused");
    expect(refused?.expr).to.contain(`{code!="${status[status.UNAVAILABLE]}"}`);
    expect(refused?.for, "longer than a rollout's short absence").to.equal("5m");
  });
});
