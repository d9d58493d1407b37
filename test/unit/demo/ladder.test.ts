import { expect } from "chai";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import {
  apart,
  BARE,
  BESIDE,
  clusterLanes,
  needsCluster,
  testFiles,
  WAITING,
} from "../../../hack/ladder-rungs";

const root = path.resolve(__dirname, "..", "..", "..");

describe("the ladder's reporter", () => {
  it("tells passed, failed and skipped tests apart, whatever they print", () => {
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-ladder-"));
    try {
      const file = path.join(folder, "sample.cjs");
      writeFileSync(
        file,
        `describe("s", () => {
           it("good", () => process.stdout.write("no end of line"));
           it("bad", () => { throw new Error("as planned"); });
           it.skip("later", () => undefined);
         });`,
      );
      const reporter = path.join(root, "hack", "ladder-reporter.cjs");
      const mocha = path.join(root, "node_modules", "mocha", "bin", "mocha.js");
      const result = spawnSync(process.execPath, [mocha, "--no-config", "--reporter", reporter, file], {
        cwd: root,
        encoding: "utf8",
      });
      const events = result.stdout
        .split("\n")
        .filter(line => line.startsWith("\u001e"))
        .map(line => JSON.parse(line.slice(1)) as { kind: string; title?: string; error?: string });
      expect(events.map(event => [event.kind, event.title])).to.eql([
        ["start", undefined],
        ["pass", "s good"],
        ["fail", "s bad"],
        ["skip", "s later"],
        ["end", undefined],
      ]);
      expect(events[2]?.error).to.include("as planned");
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("refuses a name that is neither a rung's nor a test file's", function () {
    // The ladder is compiled with all that it can bring up.
    this.timeout(120_000);
    const ladder = path.join(root, "hack", "ladder.ts");
    const result = spawnSync(process.execPath, ["--import", "tsx", ladder, "moon"], {
      cwd: root,
      encoding: "utf8",
    });
    expect(result.status).to.equal(1);
    expect(result.stdout).to.include(
      "moon: no rung (check, unit, property, golden, stream, traffic, cluster) and no test file is named so",
    );
  });
});

describe("the files that mostly wait", () => {
  it("are there, and are run apart from the others of their rung, each once", () => {
    const files = (["stream", "traffic"] as const).flatMap(rung => testFiles({ rung, parts: [] }));
    const { inTurn, waiting } = apart(files);
    expect(waiting).to.have.length(WAITING.length);
    expect([...inTurn, ...waiting].sort()).to.deep.equal([...files].sort());
  });
});

describe("the lanes of the cluster rung", () => {
  const files = testFiles({ rung: "cluster", parts: [] });
  const { beside, bare, alone } = clusterLanes(files);

  it("have each file once, and know only files that are there", () => {
    expect([...beside.flat(), ...bare, ...alone].sort()).to.deep.equal([...files].sort());
    expect(beside.flat()).to.have.length(BESIDE.flat().length);
    expect(bare.filter(file => file.startsWith("test/cluster/"))).to.have.length(BARE.length);
  });

  it("need no cluster where a test starts an API server of its own", () => {
    expect(needsCluster({ beside: beside.map(() => []), bare, alone: [] })).to.equal(false);
    expect(needsCluster({ beside, bare, alone: [] })).to.equal(true);
    expect(needsCluster({ beside: [], bare: [], alone })).to.equal(true);
  });

  it("let files run beside others only where they change nothing that these look at", () => {
    const MESH_WIDE =
      /LiveMeshConfig|[pP]atchMeshConfig|MESH_CONFIG_NAME|osm-mesh-config|npm run demo|\.deploy\(|"delete", "pod", "-n"|\bkill\((MODULE|WATCHER)/;
    const text = (file: string): string => readFileSync(path.join(root, file), "utf8");
    const SHARED = /Mesh\.open|ensureCluster\(/;
    expect(beside.flat().filter(file => MESH_WIDE.test(text(file)))).to.deep.equal([]);
    expect(bare.filter(file => SHARED.test(text(file)))).to.deep.equal([]);
    // Proof that the expressions find what they are for.
    for (const what of [MESH_WIDE, SHARED])
      expect(alone.filter(file => what.test(text(file))).length).to.be.greaterThan(5);
  });
});
