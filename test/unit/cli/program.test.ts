import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { telling } from "../../../src/cli/told-requests";
import { VERSION } from "../../../src/cli/version";
import { systemClock } from "../../../src/runtime/clock";
import { KubeError } from "../../../src/runtime/kube";
import { programName } from "../../../src/cli/program";
import { osm } from "../../support/cli";
import { KubeStore } from "../../support/kube-store";

describe("the osm command", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-cli-"));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const config = (text: string): Readonly<Record<string, string>> => {
    const file = path.join(folder, "config.yaml");
    writeFileSync(file, text);
    return { OSM_CONFIG: file };
  };

  it("says what went wrong in one line, without a stack, and ends with 1, 2 or 0", async () => {
    const none = await osm(["proxy", "renew", "shop/vm", "--folder", path.join(folder, "empty")]);
    expect(none).to.deep.include({ code: 1, stdout: "" });
    expect(none.stderr).to.match(/^Error: no cluster: there is no kubeconfig .*\n$/);
    const wrong = await osm(["proxy", "renew", "--folder", folder]);
    expect(wrong.code).to.equal(2);
    expect(wrong.stderr).to.equal(
      "Error: missing required argument 'namespace/name'\n(osm proxy renew --help says more)\n",
    );
    expect((await osm(["no-such"])).code).to.equal(2);
    expect((await osm(["env", "-o", "xml"])).stderr).to.contain(
      '--output: "xml" is none of table, json, yaml',
    );
    const help = await osm(["--help"]);
    expect([help.code, help.stderr]).to.deep.equal([0, ""]);
    expect(help.stdout).to.contain("Examples:");
  });

  it("takes its namespace from the option, else the environment, else the file", async () => {
    const env = config("install:\n  kind: managed\n  distribution: AKS\n  namespace: kube-system\n");
    const from = async (args: readonly string[], more = {}): Promise<unknown> => {
      const { stdout } = await osm(["env", "-o", "json", ...args], { env: { ...env, ...more } });
      return (JSON.parse(stdout) as { install: { namespace: string } }).install.namespace;
    };
    expect(await from([])).to.equal("kube-system");
    expect(await from([], { OSM_NAMESPACE: "mesh" })).to.equal("mesh");
    expect(await from(["--osm-namespace", "mine"], { OSM_NAMESPACE: "mesh" })).to.equal("mine");
    const { stdout } = await osm(["env"], { env });
    expect(stdout).to.equal(
      "---\ninstall:\n  kind: managed\n  distribution: AKS\n  namespace: kube-system\n",
    );
    const wrong = await osm(["env"], { env: config("install: {kind: rented}") });
    expect(wrong.code).to.equal(1);
    expect(wrong.stderr).to.contain('install.kind is "rented", neither self-hosted nor managed');
  });

  it("says its version, and with --verbose which request failed", async () => {
    expect((await osm(["--version"])).stdout).to.equal(`${VERSION}\n`);
    const kubeconfig = path.join(folder, "closed");
    const cluster = { server: "https://127.0.0.1:1" };
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        "current-context": "x",
        contexts: [{ name: "x", context: { cluster: "x", user: "x" } }],
        clusters: [{ name: "x", cluster }],
        users: [{ name: "x", user: { token: "x" } }],
      }),
    );
    const asked = ["namespace", "list", "--kubeconfig", kubeconfig];
    const brief = await osm(asked);
    expect(brief).to.deep.include({ code: 1, stdout: "" });
    expect(brief.stderr).to.match(/^Error: the API server does not answer: [^\n]*127\.0\.0\.1:1\n$/);
    const verbose = await osm([...asked, "--verbose"]);
    expect(verbose).to.deep.include({ code: 1, stdout: "" });
    const [request, error, ...rest] = verbose.stderr.split("\n");
    expect(request).to.match(/^GET \/api\/v1\/namespaces\S*: no answer, \d+ ms$/);
    expect(error).to.match(/^Error: GET \/api\/v1\/namespaces: [^(]*127\.0\.0\.1:1 \(.*127\.0\.0\.1:1\)$/);
    expect(rest, "no stack").to.deep.equal([""]);
  });

  it("with --verbose tells each request, what became of it, and nothing of what was in it", async () => {
    const lines: string[] = [];
    const store = new KubeStore().put("/api/v1/namespaces/shop");
    store.beforeDelete = () => {
      throw new KubeError(403, "Forbidden", "no");
    };
    const write = (text: string): void => void lines.push(text.replace(/\d+ ms\n$/, "N ms"));
    const kube = telling(store, systemClock, write);
    const body = { metadata: { name: "token" }, data: { token: "hunter2" } };
    expect(await kube.get("/api/v1/namespaces/shop")).to.have.nested.property("metadata.name", "shop");
    await kube.apply("/api/v1/namespaces/shop/secrets/token", body, "osm");
    for (const failing of [
      kube.get("/api/v1/namespaces/none"),
      kube.delete("/api/v1/namespaces/shop"),
      kube.mergePatch("/api/v1/namespaces/shop", body),
    ])
      await failing.then(
        () => expect.fail("it was answered"),
        () => undefined,
      );
    expect(lines.sort()).to.deep.equal([
      "APPLY /api/v1/namespaces/shop/secrets/token: done, N ms",
      "DELETE /api/v1/namespaces/shop: 403, N ms",
      "GET /api/v1/namespaces/none: 404, N ms",
      "GET /api/v1/namespaces/shop: done, N ms",
      "PATCH /api/v1/namespaces/shop: no answer, N ms",
    ]);
  });

  it("is kubectl osm where kubectl starts it", () => {
    expect(programName("/usr/local/bin/kubectl-osm")).to.equal("kubectl osm");
    expect(programName("/usr/local/bin/osm")).to.equal("osm");
  });
});
