/**
 * The one thing that is not mutated: words that only people read. Stryker asks this plugin about each place. A text that is
 * compared, looked up or written to a proxy decides something, and is mutated.
 */

/** A node of Babel's tree. */
interface Node {
  readonly type: string;
  readonly name?: string;
  readonly id?: Node;
  readonly init?: unknown;
  readonly key?: Node;
  readonly value?: unknown;
  readonly callee?: Node;
  readonly property?: Node;
  readonly test?: Node;
  readonly arguments?: readonly Node[];
  readonly quasis?: readonly { readonly value: { readonly raw: string } }[];
}

/** Where in the tree it is. */
export interface NodePath {
  readonly node: Node;
  readonly parentPath: NodePath | null;
}

const TEXTS: readonly string[] = ["StringLiteral", "TemplateLiteral"];

/** Fields of findings and of cells: what owners and logs are told. */
const TEXT_FIELDS: Readonly<Record<string, string>> = {
  message: "the words of a finding; its code, subject and field are mutated",
  label: "the name of a cell in logs and figures",
};

/** Which argument of a call is words. */
const TEXT_ARGUMENTS: Readonly<Record<string, number>> = {
  Error: 0,
  malformed: 0,
  refused: 1,
  AuthenticationError: 1,
  derive: 0,
  setting: 0,
  debug: 0,
  info: 0,
  warn: 0,
  error: 0,
};

/** Calls that make a finding: of their arguments the words are those with a space; codes and fields have none. */
const TELLING: readonly string[] = ["tell", "idle"];

function isSentence({ value, quasis }: Node): boolean {
  const texts = [value, ...(quasis ?? []).map(part => part.value.raw)];
  return texts.some(text => typeof text === "string" && text.includes(" "));
}

/** The place whose value is this text, where branches lead to it. */
function outermost(path: NodePath): NodePath {
  const parent = path.parentPath;
  const branch = parent?.node.type === "ConditionalExpression" && parent.node.test !== path.node;
  return parent !== null && branch ? outermost(parent) : path;
}

/** Whether this text is words by its place among the arguments of a call. */
function isWordsOf({ callee, arguments: given = [] }: Node, text: Node): boolean {
  if (callee === undefined) return false;
  const { name = "" } = callee.property ?? callee;
  if (TELLING.includes(name)) return given.includes(text) && isSentence(text);
  const at = TEXT_ARGUMENTS[name];
  return at !== undefined && given[at] === text;
}

/** The name of the property or variable whose value this text is. */
function holderOf(parent: Node, text: Node): string | undefined {
  if (parent.type === "ObjectProperty" && parent.value === text) return parent.key?.name;
  if (parent.type === "VariableDeclarator" && parent.init === text) return parent.id?.name;
  return undefined;
}

/** Why a place is not mutated; undefined: it is. */
export function whyIgnored(path: NodePath): string | undefined {
  if (!TEXTS.includes(path.node.type)) return undefined;
  const { node, parentPath } = outermost(path);
  if (parentPath === null) return undefined;
  const holder = holderOf(parentPath.node, node);
  if (holder !== undefined) return TEXT_FIELDS[holder];
  return isWordsOf(parentPath.node, node)
    ? "the words of a finding, an error or a line of the log"
    : undefined;
}

/**
 * As Stryker loads it.
 * @public
 */
export const strykerPlugins = [
  { kind: "Ignore", name: "texts", value: { shouldIgnore: whyIgnored } },
] as const;
