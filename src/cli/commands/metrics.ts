import type { Command } from "commander";
import type { CliContext } from "../context";
import { setMetrics } from "../namespaces";
import { listOption } from "../options";
import { meshCommand } from "./namespace";

const VERBS = [
  {
    name: "enable",
    enabled: true,
    words: "new pods of namespaces count their requests, and say so to Prometheus",
  },
  { name: "disable", enabled: false, words: "new pods of namespaces count nothing" },
] as const;

/** `osm metrics enable` and `osm metrics disable`. */
export function addMetricsCommands(program: Command, context: CliContext): void {
  const group = program.command("metrics").description("switch metrics of requests on and off, by namespace");
  for (const { name, enabled, words } of VERBS) {
    group
      .command(name)
      .description(words)
      .requiredOption("--namespace <namespaces>", "namespaces, by comma or repeated", listOption)
      .addHelpText("after", `\nExample:\n  osm metrics ${name} --namespace shop,bank`)
      .action(async ({ namespace }: { readonly namespace: readonly string[] }) => {
        await setMetrics(await meshCommand(context), namespace, enabled);
      });
  }
}
