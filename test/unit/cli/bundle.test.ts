import { execFile } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { buildCommand } from "../../../hack/osm/build";
import { addOnObjects } from "../../../src/cli/install/run";
import { VERSION } from "../../../src/cli/version";

const run = promisify(execFile);

describe("the built osm command", function () {
  this.timeout(120_000);
  let folder: string;
  before(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-bundle-"));
    await buildCommand(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const started = (name: string, ...args: readonly string[]): Promise<{ stdout: string; stderr: string }> => {
    const env = { PATH: path.dirname(process.execPath), HOME: folder };
    return run(path.join(folder, name), args, { cwd: folder, env: { ...env } });
  };

  it("runs where there is nothing but Node", async () => {
    expect(await started("osm", "version", "--version-only")).to.deep.equal({
      stdout: `${VERSION}\n`,
      stderr: "",
    });
    expect((await started("osm", "completion", "bash")).stdout).to.contain(
      "complete -o default -F _osm_complete osm",
    );
  });

  it("has every add-on beside it that can be asked for", () => {
    const places = [path.join(folder, "osm-addons")];
    for (const name of ["prometheus", "grafana", "jaeger"] as const) {
      const objects = addOnObjects([name], "mesh-system", places);
      expect(objects.length, name).to.be.greaterThan(0);
      expect(objects.every(({ kind, metadata }) => kind !== "" && metadata.name !== "")).to.equal(true);
    }
    // A document that holds nothing is no object.
    appendFileSync(path.join(folder, "osm-addons/jaeger.yaml"), "\n---\n# nothing\n");
    expect(addOnObjects(["jaeger"], "mesh-system", places)).not.to.include(null);
    expect(() => addOnObjects(["jaeger"], "mesh-system", [folder])).to.throw("npm run build:osm");
  });

  it("is a plugin of kubectl by its name", async () => {
    const { stdout } = await started("kubectl-osm", "proxy", "get", "--help");
    expect(stdout).to.match(/^Usage: kubectl osm proxy get \[options\] <query> <pod>\n/);
  });

  it("says errors in one line and ends with 1 and 2", async () => {
    const failed = async (...args: string[]): Promise<unknown> => {
      try {
        return await started("osm", ...args);
      } catch (error) {
        const { code, stderr } = error as { code: number; stderr: string };
        return [code, stderr];
      }
    };
    expect(await failed("namespace", "list")).to.deep.equal([
      1,
      "Error: no cluster: there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config)\n",
    ]);
    expect(await failed("namespace", "add")).to.have.property("0", 2);
  });
});
