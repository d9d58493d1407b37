import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import type { Command } from "commander";
import { parseAllDocuments } from "yaml";
import { repositoryRoot } from "../../../hack/cluster/settings";
import { buildProgram } from "../../../src/cli/program";
import { systemClock } from "../../../src/runtime/clock";
import { hasField, readDefinitions, type Schema } from "../../support/crd-schema";
import { commandsOf, kubectlWords, osmArguments } from "../../support/guide-commands";
import { demoObjects, faultsOf, findingsAbout, toldOn, writtenOn } from "../../support/guide-mesh";
import { anchorsOf, codeWords, localLinks, type Page, pageNames, readPage } from "../../support/guide-page";

const ROOT = repositoryRoot();
const DEFINITIONS = readDefinitions();
const UPDATE = process.env["UPDATE_GOLDEN"] === "1" && process.env["CI"] === undefined;

/** Programs that commands of guides may start besides osm, kubectl and npm. */
const PROGRAMS = new Set("cd chown curl envoy export helm npx rm setpriv sh".split(" "));
/** Kinds of Kubernetes itself that guides name to kubectl, in every form in use. */
const KINDS = new Set(
  `clusterrole clusterrolebinding configmap crd deployment deployments deploy endpointslices event events mutatingwebhookconfiguration
  namespace namespaces ns node nodes pod pods role rolebinding secret service services serviceaccount statefulset svc
  validatingadmissionpolicy validatingadmissionpolicybinding validatingwebhookconfiguration mesh all`.split(
    /\s+/,
  ),
);
/** Verbs of kubectl, and how many words stand before the kind. */
const VERBS: Readonly<Record<string, number>> = {
  get: 1,
  describe: 1,
  delete: 1,
  wait: 1,
  patch: 1,
  annotate: 1,
  label: 1,
  edit: 1,
  scale: 1,
  explain: 1,
  create: 1,
  rollout: 2,
};
/** Verbs whose first word is a pod, a file or nothing. */
const PLAIN = new Set(["apply", "exec", "logs", "run", "port-forward", "config"]);

/** A word that is a kind, or several, or an object of one. */
function unknownKinds(word: string): readonly string[] {
  const known = new Set([
    ...KINDS,
    ...DEFINITIONS.flatMap(({ spec: { names, group } }) => [
      names.singular,
      names.plural,
      `${names.plural}.${group}`,
      ...(names.shortNames ?? []),
    ]),
    "peprstores.pepr.dev",
  ]);
  const [kinds = ""] = word.split("/");
  return kinds.split(",").filter(kind => !known.has(kind.split(".spec")[0] ?? ""));
}

/** The real command's tree, which does nothing. */
function idleProgram(): { readonly root: Command; readonly said: () => string } {
  let said = "";
  const { root } = buildProgram({
    env: { HOME: "/nonexistent" },
    clock: systemClock,
    write: () => undefined,
    complain: text => void (said += text),
    ask: () => Promise.resolve(undefined),
    readAll: () => Promise.resolve(""),
  });
  const silence = (command: Command): void => {
    if (command.commands.length === 0) command.action(() => undefined);
    command.commands.forEach(silence);
  };
  silence(root);
  return { root, said: () => said };
}

async function osmFault(args: readonly string[]): Promise<string | undefined> {
  const { root, said } = idleProgram();
  try {
    await root.parseAsync([...args], { from: "user" });
    return said() === "" ? undefined : said();
  } catch (error) {
    return `${error instanceof Error ? error.message : String(error)} ${said()}`;
  }
}

function kubectlFault(words: readonly string[]): string | undefined {
  const [verb = "", ...rest] = words;
  if (PLAIN.has(verb)) return undefined;
  const before = VERBS[verb];
  if (before === undefined) return `no verb of kubectl that this test knows: ${verb}`;
  const word = rest[before - 1];
  const unknown = word === undefined ? [] : unknownKinds(word);
  return unknown.length > 0 ? `no kind: ${unknown.join(", ")}` : undefined;
}

const scripts = (
  JSON.parse(readFileSync(path.join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> }
).scripts;

function npmFault(words: readonly string[]): string | undefined {
  const [, verb = "", ...rest] = words;
  if (["ci", "test"].includes(verb)) return undefined;
  const script = rest.find(word => !word.startsWith("-"));
  if (verb === "run" && script !== undefined && script in scripts) return undefined;
  return `no script of this project: ${words.join(" ")}`;
}

async function commandFaults(page: Page): Promise<readonly string[]> {
  const faults: string[] = [];
  for (const { text, line, language } of page.blocks) {
    if (language !== "sh") continue;
    for (const command of commandsOf(text)) {
      const { words } = command;
      const args = osmArguments(command);
      const [program = ""] = words;
      const fault = await faultOf();
      if (fault !== undefined) faults.push(`line ${line}: ${words.join(" ")}: ${fault}`);

      async function faultOf(): Promise<string | undefined> {
        if (args !== undefined) return osmFault(args);
        if (program === "kubectl") return kubectlFault(kubectlWords(command));
        if (program === "npm") return npmFault(words);
        return PROGRAMS.has(program) ? undefined : "no program that this test knows";
      }
    }
  }
  return faults;
}

/** Words like `osm namespace add NS` in the prose: commands, with names in capitals. */
function commandsInProse(page: Page): readonly (readonly string[])[] {
  return codeWords(page)
    .filter(word => /^osm [a-z]/.test(word) && !/[…|<>[\]]/.test(word))
    .map(word => commandsOf(word)[0]?.words.slice(1) ?? []);
}

function unknownCommand(words: readonly string[]): string | undefined {
  let at: Command = idleProgram().root;
  for (const [index, word] of words.entries()) {
    if (word.startsWith("-")) {
      const long = word.split("=")[0];
      const all = [...at.options, ...idleProgram().root.options];
      if (!all.some(option => option.long === long || option.short === long))
        return `${words.join(" ")}: no option ${word}`;
    }
    const inner = at.commands.find(each => each.name() === word || each.aliases().includes(word));
    if (inner !== undefined) at = inner;
    else if (at.commands.length > 0 && !word.startsWith("-") && !(words[index - 1] ?? "").startsWith("-"))
      return `${words.join(" ")}: no command ${word}`;
  }
  return undefined;
}

function brokenLinks(page: Page): readonly string[] {
  const folder = path.dirname(path.join(ROOT, page.name));
  return localLinks(page).filter(target => {
    const [file = "", anchor] = target.split("#");
    const full = file === "" ? path.join(ROOT, page.name) : path.resolve(folder, file);
    if (!existsSync(full)) return true;
    return anchor !== undefined && !anchorsOf(readPage(path.relative(ROOT, full))).has(anchor);
  });
}

/** Files of the repository that are named in backticks. */
function missingFiles(page: Page): readonly string[] {
  return codeWords(page)
    .filter(word => /^(docs|src|test|hack|crds|capabilities)\/[\w./-]+\w$/.test(word))
    .filter(word => !existsSync(path.join(ROOT, word)));
}

const schemaOf = (kind: string): Schema =>
  DEFINITIONS.find(({ spec }) => spec.names.kind === kind)?.spec.versions.at(0)?.schema.openAPIV3Schema ?? {};

/** Fields of pods and Services that pages speak of. */
const FOREIGN = new Set(["spec.hostNetwork", "spec.template"]);

function unknownFields(page: Page): readonly string[] {
  const config = schemaOf("MeshConfig");
  return codeWords(page)
    .map(word => /^(?:meshconfig\.)?([a-z]+(?:\.[A-Za-z]+)+)(?:: .*)?$/.exec(word)?.[1] ?? "")
    .filter(word => {
      if (/^(sidecar|traffic|observability|certificate|featureFlags)\./.test(word))
        return !hasField(config, `spec.${word}`);
      if (!/^(spec|status)\./.test(word) || FOREIGN.has(word)) return false;
      return !DEFINITIONS.some(({ spec }) =>
        spec.versions.some(({ schema }) => hasField(schema.openAPIV3Schema, word)),
      );
    });
}

/** A page without any speaks of a mesh that is the reader's: what is missing there is not the page's fault. */
const WORKLOADS = new Set(["Deployment", "StatefulSet", "DaemonSet", "Pod"]);

const METRICS = new Set(
  [...readFileSync(path.join(ROOT, "docs/reference/metrics.md"), "utf8").matchAll(/`(\w+)`/g)].map(
    ([, name]) => name ?? "",
  ),
);

function unknownMetrics({ text }: Page): readonly string[] {
  const named = [...text.matchAll(/\b(?:osm|process)_[a-z_]+[a-z]\b/g)].map(([name]) => name);
  return named
    .filter(name => !/^osm_request_(total|duration_ms)(_bucket|_sum|_count)?$/.test(name))
    .filter(name => !METRICS.has(name) && !METRICS.has(name.replace(/_(bucket|sum|count)$/, "")));
}

async function answersOf(page: Page): Promise<void> {
  let text = page.text;
  for (const { command, answer, run } of toldOn(page)) {
    const actual = await run();
    if (UPDATE) {
      const lines = text.split("\n");
      const at = lines.indexOf("```text", locate(page, answer.line, text) - 1);
      const end = lines.indexOf("```", at + 1);
      lines.splice(at + 1, end - at - 1, ...actual.split("\n"));
      text = lines.join("\n");
    } else expect(answer.text, `${page.name}:${answer.line}: ${command}`).to.equal(actual);
  }
  if (text !== page.text) writeFileSync(path.join(ROOT, page.name), text);
}

/** Where a line of the page has gone to in a text whose answers before it may be longer or shorter by now. */
function locate(page: Page, line: number, text: string): number {
  const before = page.text
    .split("\n")
    .slice(0, line)
    .filter(each => each === "```text").length;
  const found = [...text.split("\n").entries()].filter(([, each]) => each === "```text");
  return (found[before - 1]?.[0] ?? 0) + 1;
}

describe("the guides", () => {
  for (const name of pageNames()) {
    describe(name, () => {
      const page = readPage(name);

      it("has commands that exist, with options that they have", async () => {
        expect(await commandFaults(page)).to.deep.equal([]);
        expect(commandsInProse(page).flatMap(words => unknownCommand(words) ?? [])).to.deep.equal([]);
      });

      it("has links, files, fields and metrics that are there", () => {
        expect(brokenLinks(page), "links").to.deep.equal([]);
        expect(missingFiles(page), "files").to.deep.equal([]);
        expect(unknownFields(page), "fields").to.deep.equal([]);
        expect(unknownMetrics(page), "metrics").to.deep.equal([]);
      });

      it("has objects without a fault, but for those that it says are refused", () => {
        for (const { language, text, line } of page.blocks) {
          if (language !== "yaml") continue;
          const faults = parseAllDocuments(text).flatMap(({ errors }) =>
            errors.map(({ message }) => message),
          );
          expect(faults, `line ${line}`).to.deep.equal([]);
        }
        for (const { objects, refused, block } of writtenOn(page)) {
          const faults = objects.flatMap(faultsOf);
          if (refused) expect(faults, `line ${block.line}`).to.not.deep.equal([]);
          else expect(faults, `line ${block.line}`).to.deep.equal([]);
        }
      });

      it("has objects that make one mesh together", () => {
        const taken = writtenOn(page).filter(({ refused }) => !refused);
        const objects = [...demoObjects(page), ...taken.flatMap(each => each.objects)];
        const isWhole = objects.some(({ kind }) => WORKLOADS.has(kind));
        const found = findingsAbout(objects)
          .filter(({ code }) => isWhole || !/^(NoEffect|UnresolvedReference)/.test(code))
          .map(
            ({ subject, code, message }) =>
              `${subject.kind} ${subject.namespace}/${subject.name}: ${code}: ${message}`,
          );
        expect(found).to.deep.equal([]);
      });

      it("prints what the command says", async () => {
        await answersOf(page);
      });
    });
  }

  it("are all in the index, which the README names", () => {
    const index = localLinks(readPage("docs/guides/README.md"));
    const guides = pageNames().filter(name => name.startsWith("docs/guides/") && !name.endsWith("README.md"));
    expect(guides.map(name => path.basename(name)).filter(name => !index.includes(name))).to.deep.equal([]);
    expect(localLinks(readPage("README.md"))).to.include("docs/guides/README.md");
  });

  it("are looked at closely", async () => {
    expect(await osmFault(["explain", "--from", "a"])).to.contain("--to");
    expect(await osmFault(["no-such"])).to.contain("no-such");
    expect(await osmFault(["status", "--no-such"])).to.contain("--no-such");
    expect(unknownCommand(["namespace", "no-such"])).to.contain("no command no-such");
    expect(unknownCommand(["status", "--no-such"])).to.contain("no option --no-such");
    expect(unknownKinds("pods,nosuch/a")).to.deep.equal(["nosuch"]);
    expect(kubectlFault(kubectlWords({ words: "kubectl -n a get nosuch".split(" ") }))).to.contain("nosuch");
    expect(npmFault(["npm", "run", "-s", "nosuch"])).to.contain("nosuch");
    expect(hasField(schemaOf("MeshConfig"), "spec.traffic.enableEgress")).to.equal(true);
    expect(hasField(schemaOf("MeshConfig"), "spec.traffic.nosuch")).to.equal(false);
    const told = pageNames().flatMap(name => toldOn(readPage(name)));
    expect(told.length, "answers that pages print").to.be.greaterThan(5);
  });
});
