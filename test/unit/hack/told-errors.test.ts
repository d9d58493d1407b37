import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { run } from "../../../hack/cluster/shell";
import { repositoryRoot } from "../../../hack/cluster/settings";

const ROOT = repositoryRoot();
const SUPPORT = path.join(ROOT, "test", "support", "told-errors.ts");

/** Two suites that log errors, as a file of tests has them. */
const SUITES = `
import { expectErrors, watchedLog, watchOutput } from ${JSON.stringify(SUPPORT)};

describe("unexpected", () => {
  it("A tells nothing", () => {});
  it("B tells at once", () => { watchedLog.error("one", { object: "shop/cart" }); });
  it("C is the next", () => {});
  it("D tells later", async () => {
    await new Promise(resolve => setTimeout(resolve, 5));
    watchedLog.child("engine").error("two");
  });
  it("E reads a process", () => {
    const read = watchOutput("replica");
    read('{"level":"warn","message":"no"}\\n{"level":"er');
    read('ror","message":"three"}\\n');
  });
  after(() => { watchedLog.error("four"); });
});
describe("expected", () => {
  expectErrors(/wanted/);
  it("F is the next", () => {});
  it("G tells what is wanted", () => { watchedLog.error("wanted"); });
  it("H tells something else", () => { watchedLog.error("five"); });
  after(() => { watchedLog.error("wanted"); });
});
describe("last", () => {
  it("I wants nothing", () => {});
  it("J tells what was wanted before", () => { watchedLog.error("wanted"); });
});
`;

interface Run {
  readonly passes: readonly { readonly title: string }[];
  readonly failures: readonly { readonly title: string; readonly err: { readonly message: string } }[];
}

describe("a test during which an error is logged", function () {
  this.timeout(60_000);

  it("fails, unless its suite expects it; what is told between tests fails the next", async () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-told-"));
    try {
      const [file, report] = [path.join(folder, "told.test.ts"), path.join(folder, "report.json")];
      writeFileSync(file, SUITES);
      const mocha = [path.join(ROOT, "node_modules/mocha/bin/mocha.js"), "--no-config", "--require", SUPPORT];
      const reporter = ["--reporter", "json", "--reporter-option", `output=${report}`, file];
      const { stderr } = await run(process.execPath, ["--import", "tsx", ...mocha, ...reporter], {
        cwd: ROOT,
      });
      expect(existsSync(report), stderr).to.equal(true);
      const { passes, failures } = JSON.parse(readFileSync(report, "utf8")) as Run;
      expect(passes.map(({ title }) => title.slice(0, 1)).join("")).to.equal("ACGI");
      const said = Object.fromEntries(failures.map(({ title, err }) => [title.slice(0, 1), err.message]));
      expect(Object.keys(said).join("")).to.equal("BDEFHJ");
      expect(said["B"]).to.contain('one {"object":"shop/cart"}');
      expect(said["F"]).to.contain('after "unexpected E reads a process": four');
      expect([said["D"], said["E"], said["H"]].join()).to.match(/two[^]*replica: .*three[^]*five/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
