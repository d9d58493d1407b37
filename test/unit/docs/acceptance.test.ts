import { expect } from "chai";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { repositoryRoot } from "../../../hack/cluster/settings";

/** Rows of Open Service Mesh's own list. */
const ROWS = 52;

describe("docs/reference/acceptance.md", () => {
  const page = readFileSync(path.join(repositoryRoot(), "docs", "reference", "acceptance.md"), "utf8");
  const test = (...parts: readonly string[]): string => path.join(repositoryRoot(), "test", ...parts);
  const rows = [...page.matchAll(/^\| (\d+) \| ([^|]*) \| ([^|]*) \|$/gm)].map(
    ([, number, asks = "", shown = ""]) => ({ number: Number(number), asks, shown }),
  );

  it("has every row once, in order", () => {
    expect(rows.map(({ number }) => number)).to.deep.equal(Array.from({ length: ROWS }, (_, n) => n + 1));
  });

  it("names for each a test or a scene, or says why it does not apply", () => {
    const silent = rows.filter(
      ({ shown }) => !/`[a-z]+\/[^`]+`|scenes? [a-z]|row \d|does not apply: \S/.test(shown),
    );
    expect(silent).to.deep.equal([]);
    expect(rows.filter(({ shown }) => shown.includes("not yet"))).to.deep.equal([]);
  });

  it("names tests and scenes that are there", () => {
    const files = [...page.matchAll(/`([a-z]+\/[^`\s]+\.test\.ts)`/g)].map(([, file = ""]) => file);
    expect(files.length).to.be.above(ROWS);
    expect(files.filter(file => !existsSync(test(file)))).to.deep.equal([]);
    const scenes = rows.flatMap(({ shown }) =>
      [...shown.matchAll(/scenes? ([a-z]+(?:-[a-z]+)*)/g)].map(([, scene = ""]) => scene),
    );
    expect(scenes.filter(scene => !existsSync(test("golden", scene, "given.yaml")))).to.deep.equal([]);
  });
});
