import { expect } from "chai";
import { roleOf, serves, writes } from "../../../src/runtime/role";
import { readSettings, SettingsError } from "../../../src/runtime/settings";

describe("role", () => {
  const table: readonly [Record<string, string>, string, boolean, boolean][] = [
    [{}, "admission", true, false],
    [{ PEPR_WATCH_MODE: "false" }, "admission", true, false],
    [{ PEPR_WATCH_MODE: "true" }, "watcher", false, true],
    [{ PEPR_MODE: "dev" }, "dev", true, true],
    [{ PEPR_MODE: "build", PEPR_WATCH_MODE: "true" }, "build", false, false],
  ];
  for (const [env, expected, serving, writing] of table) {
    it(`of ${JSON.stringify(env)} is ${expected}`, () => {
      const role = roleOf(env);
      expect(role).to.equal(expected);
      expect(serves(role)).to.equal(serving);
      expect(writes(role)).to.equal(writing);
    });
  }
});

describe("settings", () => {
  it("have OSM's defaults", () => {
    const settings = readSettings({}, "folder");
    expect(settings.meshName).to.equal("osm");
    expect(settings.osmNamespace).to.equal("osm-system");
    expect(settings.trustDomain).to.equal("cluster.local");
    expect(settings.preset).to.deep.equal({});
    expect(settings.podName).to.equal("");
  });

  it("take what the chart sets, and the pod's name only in a cluster", () => {
    const env = {
      OSM_PERMISSIVE: "false",
      OSM_SIDECAR_LOG_LEVEL: "debug",
      HOSTNAME: "pod-1",
      OSM_CPU_LIMIT: "2",
    };
    expect(readSettings(env, "f").podName).to.equal("");
    const settings = readSettings({ ...env, KUBERNETES_SERVICE_HOST: "10.0.0.1" }, "f");
    expect(settings.podName).to.equal("pod-1");
    expect(settings.preset).to.deep.equal({ permissive: false, sidecarLogLevel: "debug" });
    expect(settings.podSize.cpuLimit).to.equal("2");
  });

  const wrong: readonly [string, string][] = [
    ["OSM_MESH_NAME", "My Mesh"],
    ["OSM_NAMESPACE", "a.b"],
    ["OSM_TRUST_DOMAIN", "Upper.Case"],
    ["OSM_ENVOY_IMAGE", "an image"],
    ["OSM_PERMISSIVE", "yes"],
    ["OSM_LOG_LEVEL", "loud"],
    ["OSM_MEMORY_LIMIT", "much"],
  ];
  for (const [variable, value] of wrong) {
    it(`refuse ${variable}=${value} by name`, () => {
      expect(() => readSettings({ [variable]: value }, "f")).to.throw(SettingsError, variable);
    });
  }
});
