import { expect } from "chai";
import { API_KINDS } from "../../../src/api/kinds";
import { validationWebhook } from "../../../src/install/webhooks";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly resources: readonly string[];
}

describe("rules of the validation webhook", () => {
  it("name every custom kind once, in the version that the bindings know, so that all others are converted to it", () => {
    const settings = { meshName: "osm", osmNamespace: "osm-system" };
    const webhook = validationWebhook(settings, { caPem: "pem", path: "secret" });
    const webhooks = webhook["webhooks"] as readonly { matchPolicy: string; rules: readonly Rule[] }[];
    for (const { matchPolicy } of webhooks) expect(matchPolicy).to.equal("Equivalent");
    const told = webhooks
      .flatMap(({ rules }) => rules)
      .flatMap(({ apiGroups, apiVersions, resources }) =>
        apiGroups.flatMap(group =>
          apiVersions.flatMap(version => resources.map(plural => `${group}/${version}/${plural}`)),
        ),
      );
    const wanted = API_KINDS.map(({ group, version, plural }) => `${group}/${version}/${plural}`);
    expect([...told].sort()).to.deep.equal([...wanted, "/v1/pods"].sort());
  });
});
