import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { Option, type Command } from "commander";
import { repositoryRoot } from "../../../hack/cluster/settings";
import { buildProgram } from "../../../src/cli/program";
import { systemClock } from "../../../src/runtime/clock";
import { SHOWN_BY } from "./shown-by";

interface Entry {
  readonly command: string;
  /** Undefined: the command itself. */
  readonly option: Option | undefined;
}

const nameOf = ({ command, option }: Entry): string => [command, option?.long].filter(Boolean).join(" ");

/** Commands that do something, and the root for its options, each with every option that is not hidden. */
function entriesOf(command: Command, name: string): readonly Entry[] {
  const isGroup = command.commands.length > 0 && command.parent !== null;
  const own = command.options.filter(({ hidden }) => !hidden);
  return [
    ...(isGroup ? [] : [undefined, ...own].map(option => ({ command: name, option }))),
    ...command.commands.flatMap(one => entriesOf(one, `${name} ${one.name()}`)),
  ];
}

function entries(): readonly Entry[] {
  const nobody = (): void => undefined;
  const { root } = buildProgram({
    env: { HOME: "/nonexistent" },
    clock: systemClock,
    write: nobody,
    complain: nobody,
    ask: () => Promise.resolve(undefined),
    readAll: () => Promise.resolve(""),
  });
  return entriesOf(root, "osm");
}

const shownBy = ({ command, option }: Entry): string | undefined => SHOWN_BY[command]?.[option?.long ?? ""];

describe("every command of osm and each of its options", () => {
  const all = entries();

  it("has a row that names a test or a reason, and no row is about something that is not there", () => {
    expect(all.length).to.be.above(100);
    expect(all.filter(entry => shownBy(entry) === undefined).map(nameOf), "without a row").to.deep.equal([]);
    const rows = Object.entries(SHOWN_BY).flatMap(([command, options]) =>
      Object.keys(options).map(option => [command, option].filter(Boolean).join(" ")),
    );
    expect(rows.sort()).to.deep.equal(all.map(nameOf).sort());
  });

  it("is used, by that very name, in the test that its row names", () => {
    const wrong = all.flatMap(entry => {
      const row = shownBy(entry) ?? "";
      if (/^reason: \S/.test(row)) return [];
      const [file = "", title = ""] = row.split(/: (.*)/s);
      const place = path.join(repositoryRoot(), "test", file);
      if (!existsSync(place)) return [`${nameOf(entry)}: there is no test/${file}`];
      const whole = readFileSync(place, "utf8");
      if (!whole.includes(title)) return [`${nameOf(entry)}: test/${file} has no test “${title}”`];
      // What a title speaks of is not yet called.
      const text = whole.replaceAll(/^\s*(describe|it)\(\n?.*$/gm, "");
      const isUsed = entry.option === undefined ? calls(text, entry.command) : uses(text, entry.option);
      return isUsed ? [] : [`${nameOf(entry)}: not used in test/${file}`];
    });
    expect(wrong).to.deep.equal([]);
  });

  it("is not used where other words are", () => {
    expect(calls('await cli.osm(["mesh", "list"])', "osm mesh list")).to.equal(true);
    expect(calls("osm mesh list -o json", "osm mesh list")).to.equal(true);
    for (const text of ['["mesh", "upgrade"]', '["list", "mesh"]', "osm mesh lists", '["mesh-list"]'])
      expect(calls(text, "osm mesh list"), text).to.equal(false);
    expect(uses('["-f", file]', new Option("-o, --output <format>"))).to.equal(false);
  });

  /** Whether a text has an option as a word of an argument list, in its long or short form. */
  function uses(text: string, option: Option): boolean {
    const forms = [option.long, option.short].filter(form => form !== undefined);
    return forms.some(form => new RegExp(`["'\` ]${form}["'\`= ,\\]]`).test(text));
  }

  /** Whether a text has the words of a command one after the other, as an argument list or as one would type them. */
  function calls(text: string, command: string): boolean {
    const words = command.split(" ").slice(1);
    return new RegExp(`["'\` ]${words.join(`["'\`]?,?\\s+["'\`]?`)}["'\` ,\\]]`).test(text);
  }
});
