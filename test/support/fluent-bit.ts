/** The recipe for Fluent Bit in the guide, read as Fluent Bit's classic configuration. */
import { readPage } from "./guide-page";

/** A section like `[INPUT]`. */
export interface Section {
  readonly kind: string;
  /** By key as it is written. */
  readonly entries: Readonly<Record<string, string>>;
}

/**
 * Keys of the plugins that the recipe uses, as Fluent Bit's manual (4.0) lists them; those that are not used are left out. Fluent Bit
 * reads keys without regard to case.
 */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  "INPUT tail": ["name", "path", "multiline.parser", "tag", "exclude_path", "db", "read_from_head"],
  "FILTER kubernetes": ["name", "match", "merge_log", "keep_log", "kube_tag_prefix"],
  "OUTPUT stdout": ["name", "match", "format"],
};

/** Sections of a text in Fluent Bit's classic form. Throws for a line that is neither a section's name nor `key value` in one. */
export function sectionsOf(text: string): readonly Section[] {
  const sections: { kind: string; entries: Record<string, string> }[] = [];
  for (const line of text.split("\n").filter(each => each.trim() !== "")) {
    const kind = /^\[([A-Z]+)\]$/.exec(line)?.[1];
    const [, key, value] = /^ {4}(\S+) +(\S.*)$/.exec(line) ?? [];
    const section = sections.at(-1);
    if (kind !== undefined) sections.push({ kind, entries: {} });
    else if (key !== undefined && value !== undefined && section !== undefined) section.entries[key] = value;
    else throw new Error(`Fluent Bit would not read: ${line}`);
  }
  return sections;
}

/** The guide's recipe. */
export function guideRecipe(): readonly Section[] {
  const block = readPage("docs/guides/observability.md").blocks.find(({ text }) =>
    text.startsWith("[INPUT]"),
  );
  if (block === undefined) throw new Error("the guide has no recipe for Fluent Bit");
  return sectionsOf(block.text);
}

/** Whether `Path` of a `tail` takes a file: patterns by comma, `*` for anything but a slash. */
export function takes(patterns: string, file: string): boolean {
  return patterns.split(",").some(pattern => {
    const literal = pattern.split("*").map(part => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
    return new RegExp(`^${literal.join("[^/]*")}$`).test(file);
  });
}
