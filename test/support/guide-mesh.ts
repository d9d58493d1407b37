/** The mesh that a guide is about: its `yaml` blocks, and what the `osm` command says of them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { applicationManifests, asList, namespaceManifests } from "../../hack/demo/manifests";
import { validateCustomObject } from "../../src/api/kinds";
import { createAddresses } from "../../src/cli/offline/addresses";
import { type KubeDocument, readDocuments } from "../../src/cli/offline/documents";
import { createMeshWorld } from "../../src/cli/offline/world";
import type { Diagnostic } from "../../src/model/diagnostic";
import { osm } from "./cli";
import { readDefinitions, schemaFaults } from "./crd-schema";
import { commandsOf, osmArguments } from "./guide-commands";
import type { Block, Page } from "./guide-page";

/** First line of a block that must be refused. */
const REFUSED = /^# refused\b/;
/** First line of a block that a reader saves under a name. */
const NAMED = /^# ([\w-]+\.yaml)$/m;
/** What makes the bookstore's manifests. */
const DEMO = "npm run -s demo -- --print";

/** Objects of a block. */
export interface Written {
  readonly block: Block;
  /** The file that a reader saves it in. */
  readonly file: string | undefined;
  readonly refused: boolean;
  readonly objects: readonly KubeDocument[];
}

/** Whether a block holds whole objects; others show a part of one. */
function isWhole({ text }: Block): boolean {
  return /^apiVersion:/m.test(text);
}

/** Objects of all `yaml` blocks and here-documents of a page. */
export function writtenOn(page: Page): readonly Written[] {
  const source = (block: Block): string => `${page.name}:${block.line}`;
  return page.blocks.flatMap(block => {
    const texts = textsOf(block).filter(text => isWhole({ ...block, text }));
    return texts.map(text => ({
      block,
      file: block.language === "yaml" ? NAMED.exec(block.text)?.[1] : undefined,
      refused: REFUSED.test(text),
      objects: readDocuments(text, { source: source(block), namespace: "default" }),
    }));
  });
}

function textsOf(block: Block): readonly string[] {
  if (block.language === "yaml") return [block.text];
  if (block.language !== "sh") return [];
  return commandsOf(block.text).flatMap(({ input }) => input ?? []);
}

/** What is wrong with the fields of an object, by the schema of its kind and by the control plane's own judgement. */
export function faultsOf(object: KubeDocument): readonly string[] {
  const definition = DEFINITIONS.find(({ spec }) => spec.names.kind === object.kind);
  if (definition === undefined) return [];
  const { group, versions } = definition.spec;
  const [givenGroup, givenVersion] = object.apiVersion.split("/");
  const version = versions.find(({ name }) => name === givenVersion && group === givenGroup);
  if (version === undefined) return [`${object.kind} has no ${object.apiVersion}`];
  const findings = validateCustomObject(object.kind, object);
  return [
    ...schemaFaults(version.schema.openAPIV3Schema, object),
    ...findings.map(({ field, message }) => `${field ?? ""} ${message}`),
  ];
}

const DEFINITIONS = readDefinitions();

/** What the control plane finds out about objects that are there together. */
export function findingsAbout(objects: readonly KubeDocument[]): readonly Diagnostic[] {
  const world = createMeshWorld(objects, {
    meshName: "osm",
    osmNamespace: "osm-system",
    addresses: createAddresses(),
  });
  const { compiler } = world;
  return [...compiler.inputs.graph.peek(compiler.findings).values()].flat();
}

/** Manifests of the bookstore, for pages that print them with the demo's own command. */
export function demoObjects(page: Page): readonly KubeDocument[] {
  if (!page.blocks.some(({ language, text }) => language === "sh" && text.includes(`${DEMO} >`))) return [];
  return readDocuments(demoText(), { source: DEMO, namespace: "default" });
}

function demoText(): string {
  return asList([...namespaceManifests(), ...applicationManifests()]);
}

/** An answer of the `osm` command as a page prints it, and as it is. */
export interface Told {
  readonly command: string;
  readonly answer: Block;
  /** Runs the command on what the page has had its reader save so far. */
  readonly run: () => Promise<string>;
}

/** Files that a reader has saved when a block is reached. */
function savedBefore(page: Page, block: Block): ReadonlyMap<string, string> {
  const before = page.blocks.slice(0, page.blocks.indexOf(block) + 1);
  return new Map(before.flatMap(savedBy));
}

function savedBy({ language, text }: Block): readonly (readonly [name: string, content: string])[] {
  const [, name] = language === "yaml" ? (NAMED.exec(text) ?? []) : [];
  if (name !== undefined) return [[name, text]];
  if (language !== "sh") return [];
  return commandsOf(text).flatMap(({ words, output }) =>
    output !== undefined && words.join(" ") === DEMO ? [[output, demoText()] as const] : [],
  );
}

async function runWith(args: readonly string[], files: ReadonlyMap<string, string>): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-guide-"));
  try {
    for (const [name, text] of files) writeFileSync(path.join(folder, name), text);
    const placed = args.map((word, index) =>
      /^(-f|--filename|--base)$/.test(args[index - 1] ?? "") ? path.join(folder, word) : word,
    );
    const { stdout, stderr } = await osm(placed);
    return `${stdout}${stderr}`.replaceAll(`${folder}${path.sep}`, "").trimEnd();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Every answer that a page prints: a `text` block behind a `sh` block whose last command reads files. */
export function toldOn(page: Page): readonly Told[] {
  return page.blocks.flatMap((block, index) => {
    const answer = page.blocks[index + 1];
    const command = block.language === "sh" ? commandsOf(block.text).at(-1) : undefined;
    const args = command === undefined ? undefined : osmArguments(command);
    if (answer?.language !== "text" || args === undefined) return [];
    if (!args.some(word => word === "-f" || word === "--filename")) return [];
    const run = (): Promise<string> => runWith(args, savedBefore(page, block));
    return [{ command: `osm ${args.join(" ")}`, answer, run }];
  });
}
