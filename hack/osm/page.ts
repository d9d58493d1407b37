import { writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { repositoryRoot } from "../cluster/settings";

/** The dashboard's page as one file that needs nothing else. */
export async function pageHtml(): Promise<string> {
  const folder = path.join(repositoryRoot(), "src/cli/dashboard/page");
  const { outputFiles } = await build({
    entryPoints: [path.join(folder, "main.tsx"), path.join(folder, "page.css")],
    outdir: "out",
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    jsx: "automatic",
    jsxImportSource: "preact",
    tsconfig: path.join(folder, "tsconfig.json"),
    logLevel: "warning",
  });
  const text = (end: string): string => {
    const found = outputFiles.find(file => file.path.endsWith(end))?.text ?? "";
    // What ends a script in HTML may stand in a text of it.
    return found.trim().replaceAll("</", "<\\/");
  };
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    // cytoscape makes a style element of this id where there is none; the page's policy would not have it.
    '<title>osm dashboard</title><meta id="__________cytoscape_stylesheet" name="cytoscape">',
    `<style>${text(".css")}</style></head><body><div id="app"></div>`,
    `<script>${text(".js")}</script></body></html>\n`,
  ].join("");
}

/** Writes the page beside the command. */
export async function buildPage(folder: string): Promise<void> {
  writeFileSync(path.join(folder, "osm-dashboard.html"), await pageHtml());
}
