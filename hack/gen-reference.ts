import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { parse } from "yaml";
import { errorInfo } from "../src/cli/error-codes";
import { repositoryRoot } from "./cluster/settings";
import { WORDS } from "./reference-words";

/**
 * Prints docs/reference/resources.md (every kind and field, from the schemas in `crds/`; what a schema leaves unsaid is taken
 * from the types in `src/api`) and docs/reference/error-codes.md. `--check` changes nothing and fails when a page is not current.
 */

const ROOT = repositoryRoot();
const FOLDER = path.join(ROOT, "docs", "reference");

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-validations"?: readonly { readonly message?: string }[];
  readonly [bound: string]: unknown;
}

interface Definition {
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly shortNames?: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly storage: boolean;
      readonly deprecated?: boolean;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

/** Sentences of the types' authors, by field path like `spec.traffic.enableEgress`. */
type Sentences = ReadonlyMap<string, string>;

type Declared = ts.InterfaceDeclaration | ts.TypeAliasDeclaration;

function declarations(): ReadonlyMap<string, Declared> {
  const folder = path.join(ROOT, "src", "api");
  const found = new Map<string, Declared>();
  for (const name of readdirSync(folder)) {
    const text = readFileSync(path.join(folder, name), "utf8");
    for (const statement of ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true).statements) {
      if (ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement))
        found.set(statement.name.text, statement);
    }
  }
  return found;
}

const DECLARED = declarations();

/** What stands in the comment before a field, on one line. */
function commentOf(node: ts.Node): string {
  const texts = ts
    .getJSDocCommentsAndTags(node)
    .map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? "");
  return texts
    .join(" ")
    .replaceAll(/\{@link\s+([^}]*)\}/g, "$1")
    .replaceAll(/\s+/g, " ")
    .trim();
}

function walkMembers(members: readonly ts.TypeElement[], at: string, found: Map<string, string>): void {
  for (const member of members) {
    if (!ts.isPropertySignature(member) || !ts.isIdentifier(member.name)) continue;
    const field = `${at}.${member.name.text}`;
    const comment = commentOf(member);
    if (comment !== "") found.set(field, comment);
    if (member.type !== undefined) walkType(member.type, field, found);
  }
}

function walkType(type: ts.TypeNode, at: string, found: Map<string, string>): void {
  if (ts.isTypeLiteralNode(type)) walkMembers([...type.members], at, found);
  else if (ts.isArrayTypeNode(type)) walkType(type.elementType, at, found);
  else if (ts.isTypeOperatorNode(type) || ts.isParenthesizedTypeNode(type)) walkType(type.type, at, found);
  else if (ts.isUnionTypeNode(type) || ts.isIntersectionTypeNode(type))
    for (const part of type.types) walkType(part, at, found);
  else if (ts.isTypeReferenceNode(type) && ts.isIdentifier(type.typeName))
    walkNamed(type.typeName.text, at, found);
}

function walkNamed(name: string, at: string, found: Map<string, string>): void {
  const declared = DECLARED.get(name);
  // A type that names itself ends here.
  if (declared === undefined || at.split(".").length > 12) return;
  if (ts.isTypeAliasDeclaration(declared)) {
    walkType(declared.type, at, found);
    return;
  }
  for (const clause of declared.heritageClauses ?? [])
    for (const { expression } of clause.types) walkNamed(expression.getText(), at, found);
  walkMembers([...declared.members], at, found);
}

function sentencesOf(kind: string): Sentences {
  const name = [
    `${kind}Spec`,
    `${kind.replace(/^(HTTP|TCP|UDP)/, word => word.charAt(0) + word.slice(1).toLowerCase())}Spec`,
  ];
  const found = new Map<string, string>();
  for (const each of name) walkNamed(each, "spec", found);
  return found;
}

/** Names of a lower and an upper bound, and of what they count. */
const BOUNDS: readonly (readonly [least: string, most: string, unit: string])[] = [
  ["minimum", "maximum", ""],
  ["minLength", "maxLength", " characters"],
  ["minItems", "maxItems", " items"],
  ["", "maxProperties", " entries"],
];

function rangeOf(schema: Schema, [least, most, unit]: (typeof BOUNDS)[number]): string {
  const [low, high] = [least, most].map(name =>
    schema[name] === undefined ? undefined : Number(schema[name]).toLocaleString("en-US"),
  );
  if (low === undefined && high === undefined) return "";
  if (high === undefined) return `at least ${low ?? ""}${unit}`;
  return low === undefined ? `at most ${high}${unit}` : `${low} to ${high}${unit}`;
}

function boundsOf(schema: Schema): string {
  const values = schema.enum?.map(value => `\`${String(value)}\``).join(", ") ?? "";
  const ranges = BOUNDS.map(bound => rangeOf(schema, bound));
  const rules = (schema["x-kubernetes-validations"] ?? []).flatMap(({ message }) => message ?? []);
  return [values, ...ranges, ...rules].filter(text => text !== "").join("; ");
}

function typeOf(schema: Schema): string {
  if (schema["x-kubernetes-int-or-string"] === true) return "integer or string";
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  if (typeof schema.additionalProperties === "object") return `map to ${typeOf(schema.additionalProperties)}`;
  return schema.type ?? "any";
}

interface Row {
  readonly field: string;
  readonly schema: Schema;
  readonly required: boolean;
}

/** All fields below a schema, in their order. */
function rowsOf(schema: Schema, at: string): readonly Row[] {
  if (schema.items !== undefined) return rowsOf(schema.items, `${at}[]`);
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => {
    const field = at === "" ? name : `${at}.${name}`;
    const required = schema.required?.includes(name) === true;
    return [{ field, schema: inner, required }, ...rowsOf(inner, field)];
  });
}

const OWN = new Set(["apiVersion", "kind", "metadata", "status"]);

/** A default that is worth a word: those of a group of fields stand with the fields. */
function defaultOf({ schema, required }: Row): string {
  if (required) return "*required*";
  const isGroup = schema.type === "object" && schema.properties !== undefined;
  if (schema.default === undefined || isGroup) return "";
  return `\`${JSON.stringify(schema.default)}\``;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function tableOf(kind: string, schema: Schema): readonly string[] {
  const sentences = sentencesOf(kind);
  const rows = rowsOf(schema, "").filter(
    ({ field }) => field !== "spec" && !OWN.has(field.split(".")[0] ?? ""),
  );
  const fields = new Set(rows.map(({ field }) => `${kind} ${field}`));
  const stray = Object.keys(WORDS).find(key => key.startsWith(`${kind} `) && !fields.has(key));
  if (stray !== undefined) throw new Error(`hack/reference-words.ts: there is no ${stray}`);
  return rows.map(row => {
    const inner = row.schema.items ?? row.schema;
    const typed = sentences.get(row.field.replaceAll("[]", ""));
    const said = row.schema.description ?? typed ?? WORDS[`${kind} ${row.field}`] ?? "";
    const bounds = [boundsOf(row.schema), row.schema.items === undefined ? "" : boundsOf(inner)];
    const limits = bounds.filter(text => text !== "").join("; each: ");
    const columns = [`\`${row.field}\``, typeOf(row.schema), defaultOf(row), cell(limits), cell(said)];
    return `| ${columns.join(" | ")} |`;
  });
}

/** The comment that a definition begins with. */
function headingOf(text: string): string {
  return /^# (.*)\n/.exec(text)?.[1] ?? "";
}

function section(text: string): string {
  const { group, names, versions } = (parse(text) as Definition).spec;
  const stored = versions.find(({ storage }) => storage);
  if (stored === undefined) throw new Error(`${names.kind} has no stored version`);
  const others = versions
    .filter(({ storage }) => !storage)
    .map(({ name, deprecated }) => `\`${name}\`${deprecated === true ? " (deprecated)" : ""}`);
  const short = (names.shortNames ?? []).filter(name => name !== names.kind.toLowerCase());
  const facts = [
    `\`${group}/${stored.name}\``,
    `plural \`${names.plural}\``,
    ...(short.length === 0 ? [] : [`short \`${short.join("`, `")}\``]),
    ...(others.length === 0 ? [] : [`also served, with the same fields: ${others.join(", ")}`]),
  ];
  const table = tableOf(names.kind, stored.schema.openAPIV3Schema);
  return [
    `## ${names.kind}`,
    "",
    headingOf(text),
    "",
    `${facts.join("; ")}.`,
    "",
    "| Field | Type | Default | Bounds | Meaning |",
    "| --- | --- | --- | --- | --- |",
    ...table,
    "",
  ].join("\n");
}

const PREFACE = `# Every kind and field

Made from \`crds/\` by \`npm run gen:reference\`. All kinds are namespaced and in the category \`mesh\` (\`kubectl get mesh -A\`); all have the conditions of [status](status.md).
\`[]\` stands for each item of a list. \`kubectl explain\` says the same of a running cluster. What a schema cannot say (patterns in RE2, references, conflicts) is judged when an object is
written and told in its conditions.
`;

/** Every kind and field. */
function resources(): string {
  const folder = path.join(ROOT, "crds");
  const texts = readdirSync(folder)
    .filter(name => name.endsWith(".yaml"))
    .sort()
    .map(name => readFileSync(path.join(folder, name), "utf8"));
  return `${[PREFACE, ...texts.map(section)].join("\n").trimEnd()}\n`;
}

/** Every reason and code that `osm support error-info` knows. */
function errorCodes(): string {
  return [
    "# Reasons and error codes",
    "",
    "What `osm support error-info` prints, made by `npm run gen:reference`. Reasons stand in conditions and events ([status](status.md) says on which objects); codes are those of Open Service",
    "Mesh, with where the same is told here. Each finding is counted in `osm_error_err_code_count`.",
    "",
    "| Reason or code | Meaning |",
    "| --- | --- |",
    ...errorInfo(undefined).map(({ code, meaning }) => `| \`${code}\` | ${cell(meaning)} |`),
    "",
  ].join("\n");
}

function main(args: readonly string[]): void {
  const pages = { "resources.md": resources(), "error-codes.md": errorCodes() };
  for (const [name, text] of Object.entries(pages)) {
    const file = path.join(FOLDER, name);
    if (!args.includes("--check")) writeFileSync(file, text);
    else if (!existsSync(file) || readFileSync(file, "utf8") !== text) {
      process.stderr.write(`docs/reference/${name} is not current: run npm run gen:reference\n`);
      process.exitCode = 1;
    }
  }
}

if (require.main === module) main(process.argv.slice(2));
