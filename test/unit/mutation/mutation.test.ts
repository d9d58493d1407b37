import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { repositoryRoot } from "../../../hack/cluster/settings";
import { areas, wantedAreas } from "../../mutation/areas";
import { whyIgnored, type NodePath } from "../../mutation/ignored-texts";
import { figuresOf, scoreOf, sum, survivors, tallies, type Mutant, type Report } from "../../mutation/report";

const at = (line: number, from: number, to: number, endLine = line): Mutant["location"] => ({
  start: { line, column: from },
  end: { line: endLine, column: to },
});
const mutant = (status: string, more: Partial<Mutant> = {}): Mutant => ({
  mutatorName: "ConditionalExpression",
  replacement: "true",
  status,
  location: at(1, 5, 10),
  ...more,
});

describe("mutation testing", () => {
  it("has every file of its folders in one area", () => {
    const files = areas().flatMap(area => area.files);
    const wanted = ["src/policy", "src/runtime/identity", "src/xds"].flatMap(folder =>
      readdirSync(path.join(repositoryRoot(), folder)).map(name => `${folder}/${name}`),
    );
    expect([...files].sort()).to.deep.equal(wanted.sort());
    const tests = areas().flatMap(area => area.tests);
    const gone = [...files, ...tests].filter(file => !existsSync(path.join(repositoryRoot(), file)));
    expect(gone).to.deep.equal([]);
    for (const area of areas())
      expect(new Set(area.tests).size, area.name).to.equal(area.tests.length).and.above(3);
  });

  it("is by packages of its own: asked for exactly, locked with a digest each, that run nothing when installed", () => {
    const read = (file: string): unknown =>
      JSON.parse(readFileSync(path.join(repositoryRoot(), "test", "mutation", file), "utf8"));
    const { dependencies } = read("package.json") as { dependencies: Readonly<Record<string, string>> };
    expect(Object.values(dependencies).filter(version => !/^\d+\.\d+\.\d+$/.test(version))).to.deep.equal([]);
    type Locked = Readonly<
      Record<string, { integrity?: string; resolved?: string; hasInstallScript?: boolean }>
    >;
    const { packages } = read("package-lock.json") as { packages: Locked };
    const locked = Object.entries(packages).filter(([place]) => place !== "");
    expect(locked.length).to.be.above(100);
    const bad = locked.filter(
      ([, { integrity = "", resolved, hasInstallScript = false }]) =>
        !integrity.startsWith("sha512-") || resolved !== undefined || hasInstallScript,
    );
    expect(bad.map(([place]) => place)).to.deep.equal([]);
    const ours = JSON.parse(readFileSync(path.join(repositoryRoot(), "package.json"), "utf8")) as Readonly<
      Record<string, Readonly<Record<string, string>>>
    >;
    for (const name of Object.keys(dependencies).filter(each => each.includes("stryker")))
      expect({ ...ours["dependencies"], ...ours["devDependencies"] }).to.not.have.property(name);
  });

  it("may be of some files, lines or folders, and of nothing else", () => {
    const files = (...asked: readonly string[]) => wantedAreas(asked).map(area => [area.name, ...area.files]);
    expect(files("src/policy/decide.ts:1-20", "src/xds/wire.ts")).to.deep.equal([
      ["policy-deciding", "src/policy/decide.ts:1-20"],
      ["xds", "src/xds/wire.ts"],
    ]);
    expect(files("src/runtime/identity/")).to.deep.equal([["identity", ...(areas()[1]?.files ?? [])]]);
    expect(wantedAreas([])).to.deep.equal(areas());
    expect(() => wantedAreas(["src/cli"])).to.throw("src/cli: not among what is mutated");
  });

  it("leaves out words that only people read, and nothing that decides", () => {
    const text = { type: "StringLiteral" };
    const under = (node: NodePath["node"], ...parents: readonly NodePath["node"][]): NodePath => ({
      node,
      parentPath: parents.length === 0 ? null : under(parents[0] ?? node, ...parents.slice(1)),
    });
    const property = (name: string) => ({
      type: "ObjectProperty",
      key: { type: "Identifier", name },
      value: text,
    });
    const call = (name: string, ...args: readonly NodePath["node"][]) => ({
      type: "CallExpression",
      callee: { type: "Identifier", name },
      arguments: args,
    });
    const other = { type: "Identifier" };
    expect(whyIgnored(under(text, property("message")))).to.contain("finding");
    expect(whyIgnored(under(text, property("label")))).to.contain("cell");
    expect(whyIgnored(under(text, call("refused", other, text)))).to.contain("error");
    const log = {
      ...call("", text),
      callee: { type: "MemberExpression", property: { type: "", name: "warn" } },
    };
    expect(whyIgnored(under(text, log))).to.contain("log");
    const sentence = { ...text, value: "no pod is meant" };
    const telling = call("tell", text, sentence);
    expect(whyIgnored(under(sentence, telling))).to.contain("finding");
    const template = { type: "TemplateLiteral", quasis: [{ value: { raw: "no Service " } }] };
    expect(whyIgnored(under(template, call("idle", template)))).to.contain("finding");
    const declared = { type: "VariableDeclarator", id: { type: "Identifier", name: "message" }, init: text };
    expect(whyIgnored(under(text, declared))).to.contain("finding");
    const branch = { type: "ConditionalExpression", test: other };
    expect(whyIgnored(under(text, branch, { ...property("message"), value: branch }))).to.contain("finding");
    const decides: readonly NodePath[] = [
      under(text),
      under(text, property("code")),
      under(text, telling),
      under(text, { ...declared, id: { type: "Identifier", name: "name" } }),
      under(text, call("refused", text, other)),
      under(text, call("find", text)),
      under(text, { type: "BinaryExpression" }, property("message")),
      under(text, { ...branch, test: text }, { ...property("message"), value: branch }),
      under(other, { ...property("message"), value: other }),
    ];
    for (const place of decides) expect(whyIgnored(place)).to.equal(undefined);
  });

  const report: Report = {
    files: {
      "src/a.ts": {
        source: "if (x > 0) return;\nsecond(\n  1,\n);\n",
        mutants: [
          mutant("NoCoverage", {
            location: at(2, 1, 2, 4),
            mutatorName: "BlockStatement",
            replacement: "{}",
          }),
          mutant("Survived"),
          mutant("Killed"),
          mutant("Timeout"),
          mutant("Ignored", { statusReason: 'Static mutant (and "ignoreStatic" was enabled)' }),
          mutant("Ignored", { statusReason: "the words of a finding" }),
          mutant("RuntimeError"),
          mutant("CompileError"),
        ],
      },
      "src/b.ts": { source: "", mutants: [mutant("Killed"), mutant("Killed")] },
    },
  };

  it("counts as noticed what tests fail or hang for, of all that they could", () => {
    const [a, b] = [...tallies(report).values()];
    expect(a).to.deep.equal({
      killed: 1,
      timeouts: 1,
      survived: 1,
      noCoverage: 1,
      static: 1,
      texts: 1,
      unusable: 2,
    });
    if (a === undefined || b === undefined) throw new Error("two files");
    expect([scoreOf(a), scoreOf(b), scoreOf(sum(a, b))]).to.deep.equal([50, 100, 66.7]);
    expect(figuresOf(sum(a, b))).to.include({
      count: 6,
      failed: 2,
      killed: 3,
      score: 66.7,
      bound: "85 % killed",
    });
  });

  it("names what no test has noticed, by line", () => {
    expect(survivors(report)).to.deep.equal([
      "src/a.ts:1:5 ConditionalExpression: x > 0 → true",
      "src/a.ts:2:1 BlockStatement (no test comes there): second( 1, ) → {}",
    ]);
  });
});
