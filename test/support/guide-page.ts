/** A page of the documents, taken apart: what a reader would type, save, click or look up. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { repositoryRoot } from "../../hack/cluster/settings";

/** A fenced block. */
export interface Block {
  /** The word after the fence, like `sh`; empty: none. */
  readonly language: string;
  readonly text: string;
  /** Line of the opening fence, from 1. */
  readonly line: number;
}

/** A page. */
export interface Page {
  /** Below the repository, like `docs/guides/canary.md`. */
  readonly name: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** Everything that is in no fenced block. */
  readonly prose: string;
}

const FENCE = /^( *)```([a-z]*)$/;

function takeApart(text: string): Pick<Page, "blocks" | "prose"> {
  const blocks: Block[] = [];
  const prose: string[] = [];
  let open: { language: string; line: number; lines: string[] } | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const [, , language = ""] = FENCE.exec(line) ?? [];
    if (open === undefined && FENCE.test(line)) open = { language, line: index + 1, lines: [] };
    else if (open === undefined) prose.push(line);
    else if (FENCE.test(line)) {
      blocks.push({ language: open.language, text: open.lines.join("\n"), line: open.line });
      open = undefined;
    } else open.lines.push(line);
  }
  if (open !== undefined) throw new Error(`line ${open.line}: the block has no end`);
  return { blocks, prose: prose.join("\n") };
}

/** Reads a page. */
export function readPage(name: string): Page {
  const text = readFileSync(path.join(repositoryRoot(), name), "utf8");
  return { name, text, ...takeApart(text) };
}

/** The README and every guide. */
export function pageNames(): readonly string[] {
  const folder = "docs/guides";
  const guides = readdirSync(path.join(repositoryRoot(), folder)).filter(name => name.endsWith(".md"));
  return ["README.md", ...guides.sort().map(name => `${folder}/${name}`)];
}

/** What stands in backticks outside of blocks. */
export function codeWords({ prose }: Page): readonly string[] {
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, word = ""]) => word);
}

/** Targets of links that lead to files of the repository or to places of the page. */
export function localLinks({ prose }: Page): readonly string[] {
  return [...prose.matchAll(/\]\(([^()\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter(target => !/^[a-z]+:/.test(target));
}

/** Anchors of headings, as they are made of their words where the repository is shown. */
export function anchorsOf({ prose }: Page): ReadonlySet<string> {
  const headings = prose.split("\n").filter(line => /^#{1,6} /.test(line));
  return new Set(
    headings.map(line =>
      line
        .replace(/^#+ /, "")
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replaceAll(/\s/g, "-"),
    ),
  );
}
