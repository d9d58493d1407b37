import { expect } from "chai";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { auditFiles, auditFlags, writeAuditPolicy } from "../../../hack/cluster/audit";
import { clusterSettings } from "../../../hack/cluster/settings";
import { covers, printed, requestsOf, rightsOf, uses } from "../../cluster/support/audit";

describe("the audit log of the embedded cluster", () => {
  const state = mkdtempSync(path.join(os.tmpdir(), "osm-audit-"));
  const settings = { ...clusterSettings({}), state };
  before(() => {
    writeAuditPolicy(settings);
  });
  after(() => {
    rmSync(state, { recursive: true, force: true });
  });

  const write = (name: string, ...events: readonly object[]): void => {
    writeFileSync(
      path.join(state, "audit", name),
      events.map(event => `${JSON.stringify(event)}\n`).join(""),
    );
  };
  const event = (username: string, verb: string, more: object = {}): object => ({
    verb,
    requestURI: "/",
    user: { username },
    objectRef: { resource: "secrets", name: "one", namespace: "osm-system" },
    responseStatus: { code: 200 },
    ...more,
  });

  it("tells of the control plane's accounts alone, without content, in files of a bounded size in its own folder", () => {
    const flags = auditFlags(settings);
    const policy = JSON.parse(readFileSync(String(flags["audit-policy-file"]), "utf8")) as {
      rules: readonly { level: string; userGroups?: readonly string[] }[];
    };
    expect(policy.rules).to.deep.equal([
      { level: "Metadata", userGroups: ["system:serviceaccounts:pepr-system"] },
      { level: "None" },
    ]);
    expect(String(flags["audit-log-path"]).startsWith(state)).to.equal(true);
    expect(Number(flags["audit-log-maxsize"]) * (Number(flags["audit-log-maxbackup"]) + 1)).to.be.at.most(
      256,
    );
  });

  it("is read over its files, the oldest first, one account's requests, and not a line that is half written", async () => {
    write("audit-2026-01-02T00-00-00.000.log", event("me", "list"), event("other", "delete"));
    write("audit-2026-01-01T00-00-00.000.log", event("me", "get"));
    write("audit.log", event("me", "patch", { annotations: { "authorization.k8s.io/decision": "forbid" } }));
    writeFileSync(path.join(state, "audit", "audit.log"), '{"verb":"cr', { flag: "a" });
    expect(auditFiles(settings)).to.have.length(3);
    const asked = await requestsOf(settings, "me");
    expect(asked.map(({ verb, authorised }) => [verb, authorised])).to.deep.equal([
      ["get", true],
      ["list", true],
      ["patch", false],
    ]);
  });

  it("is compared with single rights, by name where they have one", async () => {
    const rules = [
      { apiGroups: [""], resources: ["secrets"], resourceNames: ["one", "two"], verbs: ["get"] },
      { apiGroups: ["apps"], resources: ["deployments/status"], verbs: ["patch", "get"] },
    ];
    const rights = rightsOf([...rules, ...rules]);
    expect(rights.map(printed)).to.deep.equal([
      "get secrets [one]",
      "get secrets [two]",
      "patch deployments/status.apps",
      "get deployments/status.apps",
    ]);
    write("audit.log", event("you", "get"));
    const [asked] = await requestsOf(settings, "you");
    expect(rights.map(right => asked !== undefined && covers(right, asked))).to.deep.equal([
      true,
      false,
      false,
      false,
    ]);
  });

  it("takes an apply that made its object for a use of the right to create as well, which it needs", async () => {
    const all = rightsOf([{ apiGroups: [""], resources: ["secrets"], verbs: ["create", "patch", "get"] }]);
    const used = async (verb: string, code: number): Promise<readonly string[]> => {
      write("audit.log", event("they", verb, { responseStatus: { code } }));
      const [asked] = await requestsOf(settings, "they");
      return all.filter(right => asked !== undefined && uses(right, asked)).map(({ verb: name }) => name);
    };
    expect(await used("patch", 201)).to.deep.equal(["create", "patch"]);
    expect(await used("patch", 200)).to.deep.equal(["patch"]);
    expect(await used("get", 200)).to.deep.equal(["get"]);
  });
});
