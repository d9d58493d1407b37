import { expect } from "chai";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { repositoryRoot } from "../../../hack/cluster/settings";
import { wantedSteps } from "../../../hack/ladder-rungs";

const numbered = (letter: string, numbers: readonly number[]): string[] =>
  numbers.map(number => `${letter}-${String(number).padStart(2, "0")}`);

/** The rows as they were asked for; gaps in the numbering are rows that were merged. */
const IDS: readonly string[] = [
  ...numbered("R", [1, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 21, 23, 24]),
  ...numbered("C", [1, 2, 3, 4, 5, 6, 7, 8, 9]),
  ...numbered("I", [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
  ...numbered("W", [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]),
  ...numbered("P", [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]),
  ...numbered("D", [1, 2, 3, 4, 5]),
  ...numbered("S", [1, 2, 3, 4, 5, 6, 8]),
  ...numbered("L", [1, 2, 4, 5]),
  ...["I1", "I2", "I3", "I4", "I5", "I6"],
];

describe("docs/reliability.md", () => {
  const read = (name: string): string => readFileSync(path.join(repositoryRoot(), name), "utf8");
  const page = read("docs/reliability.md");
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Readonly<Record<string, string>> };
  const rows = [...page.matchAll(/^\| ([A-Z]-?\d+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$/gm)].map(
    ([, id = "", tried = "", command = "", printed = ""]) => ({ id, tried, command, printed }),
  );
  const commands = [...page.matchAll(/`npm (run )?([a-z:-]+)(?: -- ([^`]*))?`/g)].map(
    ([text, , script = "", rest = ""]) => ({ text, script, rest }),
  );

  it("has each of the 80 rows and 6 invariants once, in order", () => {
    expect(IDS).to.have.length(86);
    expect(rows.map(({ id }) => id)).to.deep.equal(IDS);
  });

  it("names for each a command", () => {
    expect(rows.filter(({ command }) => !/^`npm [^`]+`(, `npm [^`]+`)*$/.test(command))).to.deep.equal([]);
  });

  it("names commands that are there", () => {
    expect(commands.map(({ script }) => script).filter(script => !(script in scripts))).to.deep.equal([]);
    const ofTests = commands.filter(
      ({ script, rest }) => /^test/.test(script) && rest !== "" && !/^[A-Z]/.test(rest),
    );
    expect(ofTests.length).to.be.above(40);
    for (const { text, rest } of ofTests) expect(wantedSteps(rest.split(" ")).length, text).to.be.above(0);
    const files = [...page.matchAll(/`([a-z]+\/[^`\s]+\.test\.ts)`/g)].map(([, file = ""]) => file);
    const isThere = (file: string): boolean =>
      [file, path.join("test", file)].some(name => existsSync(path.join(repositoryRoot(), name)));
    expect(files.filter(file => !isThere(file))).to.deep.equal([]);
  });

  it("says of each what was counted, or why not", () => {
    const state = /^\*\*(shown|part|not)\*\*:? (.{20,})$/;
    expect(rows.filter(({ printed }) => !state.test(printed))).to.deep.equal([]);
    const counted = rows.filter(({ printed }) => !printed.startsWith("**not**"));
    expect(counted.filter(({ printed }) => !/\d/.test(printed))).to.deep.equal([]);
    const part = rows.filter(({ printed }) => printed.startsWith("**part**"));
    expect(part.filter(({ printed }) => !printed.includes("Missing: "))).to.deep.equal([]);
  });
});
