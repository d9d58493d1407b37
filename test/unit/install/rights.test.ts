import { expect } from "chai";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { API_KINDS } from "../../../src/api/kinds";
import { createProjectors } from "../../../src/ingest/index";
import { MODULE, SIDECAR_POLICY, WATCHER } from "../../../src/install/names";
import { ownedObjects } from "../../../src/install/owned";
import { collectionPath } from "../../../src/install/object";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

const manifest = JSON.parse(readFileSync(path.join(__dirname, "../../../package.json"), "utf8")) as {
  pepr: { rbacMode: string; rbac: Rule[] };
};
const rules = manifest.pepr.rbac;

const READ_ONLY_CLUSTER = ["namespaces", "pods", "services", "serviceaccounts"];

/** One line per single right, so that a review sees exactly what is added. */
function lines(): string {
  return [
    ...new Set(
      rules.flatMap(rule =>
        rule.apiGroups.flatMap(group =>
          rule.resources.flatMap(resource =>
            rule.verbs.map(verb => {
              const names = rule.resourceNames === undefined ? "" : ` [${rule.resourceNames.join(" ")}]`;
              return `${verb} ${resource}${group === "" ? "" : `.${group}`}${names}`;
            }),
          ),
        ),
      ),
    ),
  ]
    .sort()
    .join("\n");
}

const words = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = ""]) => word);

/** Resources that a cell of the threat model's table speaks of. */
function resourcesOf(cell: string): readonly string[] {
  const every = / (the status of )?every custom kind/.exec(cell);
  if (every === null) return words(cell);
  return API_KINDS.map(({ plural, group }) => `${plural}${every[1] === undefined ? "" : "/status"}.${group}`);
}

function may(verb: string, group: string, resource: string, name?: string): boolean {
  return rules.some(
    rule =>
      rule.verbs.includes(verb) &&
      rule.apiGroups.includes(group) &&
      rule.resources.includes(resource) &&
      (rule.resourceNames === undefined || (name !== undefined && rule.resourceNames.includes(name))),
  );
}

describe("rights of the control plane", () => {
  it("are those of the golden file, one line per right", () => {
    const golden = path.join(__dirname, "rights.golden.txt");
    if (process.env["UPDATE_GOLDEN"] === "1" && process.env["CI"] === undefined) {
      writeFileSync(golden, `${lines()}\n`);
    }
    expect(existsSync(golden)).to.equal(true);
    expect(`${lines()}\n`).to.equal(readFileSync(golden, "utf8"));
  });

  it("are each told in the threat model, with a path in the code that needs it", () => {
    const root = path.join(__dirname, "../../..");
    const page = readFileSync(path.join(root, "docs/guides/threat-model.md"), "utf8");
    const [section = ""] = page.slice(page.indexOf("## What the control plane may do")).split("\n## ");
    const rows = section.split("\n").filter(line => line.startsWith("| `"));
    const told = rows.flatMap(row => {
      const [, verbs = "", what = "", names = "", why = ""] = row.split("|");
      const paths = words(why).filter(word => word.endsWith(".ts"));
      expect(paths, row).to.have.length.above(0);
      for (const file of paths) expect(existsSync(path.join(root, file)), file).to.equal(true);
      const named = words(names).length === 0 ? "" : ` [${words(names).join(" ")}]`;
      return words(verbs).flatMap(verb => resourcesOf(what).map(resource => `${verb} ${resource}${named}`));
    });
    expect(told.sort()).to.deep.equal(lines().split("\n"));
  });

  it("are scoped: no wildcard, no exec, port-forward, impersonation or escalation", () => {
    expect(manifest.pepr.rbacMode).to.equal("scoped");
    for (const rule of rules) {
      expect([...rule.apiGroups, ...rule.resources, ...rule.verbs]).to.not.include("*");
      for (const verb of ["impersonate", "escalate", "bind", "deletecollection", "update"]) {
        expect(rule.verbs).to.not.include(verb);
      }
      for (const resource of ["pods/exec", "pods/portforward", "pods/attach", "nodes/proxy"]) {
        expect(rule.resources).to.not.include(resource);
      }
    }
  });

  it("allow on Secrets without a name only to create them", () => {
    for (const verb of ["get", "list", "watch", "patch", "delete"]) {
      expect(may(verb, "", "secrets"), verb).to.equal(false);
    }
    expect(may("create", "", "secrets")).to.equal(true);
    expect(may("get", "", "secrets", "osm-ca-bundle")).to.equal(true);
    expect(may("get", "", "secrets", "somebody-elses")).to.equal(false);
  });

  it("survive Pepr's merging, which forgets names where group and resources are written the same", () => {
    const keys = rules.map(rule => `${rule.apiGroups.join()}/${rule.resources.join()}`);
    expect(keys).to.deep.equal([...new Set(keys)]);
    // Pepr adds unnamed rights of its own under these keys: a named rule there would lose its names.
    for (const key of ["apiextensions.k8s.io/customresourcedefinitions", "pepr.dev/peprstores"]) {
      const rule = rules[keys.indexOf(key)];
      expect(rule?.resourceNames, key).to.equal(undefined);
    }
  });

  it("cover every kind that is followed, and the status of every custom kind", () => {
    for (const { apiPath } of Object.values(createProjectors("osm"))) {
      const [, root, ...rest] = apiPath.split("/");
      const group = root === "api" ? "" : (rest[0] ?? "");
      const resource = rest.at(-1) ?? "";
      for (const verb of ["list", "watch"])
        expect(may(verb, group, resource), `${verb} ${apiPath}`).to.equal(true);
    }
    for (const { group, plural } of API_KINDS) {
      for (const verb of ["list", "watch"])
        expect(may(verb, group, plural), `${verb} ${plural}`).to.equal(true);
      expect(may("patch", group, `${plural}/status`), `${plural}/status`).to.equal(true);
    }
    for (const resource of READ_ONLY_CLUSTER) expect(may("delete", "", resource)).to.equal(false);
  });

  it("cover every object that the watcher keeps, by name", () => {
    const owned = ownedObjects(
      { meshName: "osm", osmNamespace: "osm-system" },
      { caPem: "pem", path: "path" },
    );
    for (const { object } of owned) {
      const group = object.apiVersion.includes("/") ? (object.apiVersion.split("/")[0] ?? "") : "";
      const resource = collectionPath(object).split("/").at(-1) ?? "";
      expect(may("create", group, resource), `create ${resource}`).to.equal(true);
      for (const verb of ["list", "watch", "patch"]) {
        expect(may(verb, group, resource, object.metadata.name), `${verb} ${resource}`).to.equal(true);
      }
    }
    for (const name of [MODULE, WATCHER]) expect(may("patch", "apps", "deployments", name)).to.equal(true);
    expect(
      may("patch", "admissionregistration.k8s.io", "validatingadmissionpolicies", SIDECAR_POLICY),
    ).to.equal(true);
  });
});
