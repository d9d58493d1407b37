import { expect } from "chai";
import { osm } from "../../support/cli";

async function next(...words: readonly string[]): Promise<readonly string[]> {
  const { stdout, code } = await osm(["__complete", ...words]);
  expect(code).to.equal(0);
  const lines = stdout.trimEnd().split("\n");
  expect(lines.pop(), "what kubectl reads last").to.equal(":4");
  return lines.map(line => line.split("\t", 1)[0] ?? "");
}

describe("completion of the osm command", () => {
  it("knows commands by their place, and what is hidden is not offered", async () => {
    expect(await next(""))
      .to.include.members(["namespace", "proxy", "version"])
      .and.not.include("__complete");
    expect(await next("namesp")).to.deep.equal(["namespace"]);
    expect(await next("ns", "")).to.have.members(["add", "ignore", "list", "remove"]);
  });

  it("knows options, those of every command too, and their values", async () => {
    expect(await next("namespace", "add", "--dis")).to.deep.equal(["--disable-sidecar-injection"]);
    expect(await next("proxy", "get", "--mesh")).to.deep.equal(["--mesh-name"]);
    expect(await next("completion", "")).to.deep.equal(["bash", "zsh", "fish", "kubectl"]);
    expect(await next("-o", "y")).to.deep.equal(["yaml"]);
    expect(await next("-o", "yaml", "env")).to.deep.equal(["env"]);
  });

  it("offers nothing, and is no failure, where the cluster cannot be asked", async () => {
    expect(await next("namespace", "add", "")).to.deep.equal([]);
  });

  it("has a script for each shell that asks the command", async () => {
    for (const shell of ["bash", "zsh", "fish", "kubectl"]) {
      const { stdout } = await osm(["completion", shell]);
      expect(stdout, shell).to.contain("osm __complete");
    }
    expect((await osm(["completion", "tcsh"])).code).to.equal(2);
  });
});
