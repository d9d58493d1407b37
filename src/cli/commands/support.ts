import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import type { Command } from "commander";
import { gatherReport } from "../bug-report";
import type { CliContext } from "../context";
import { CommandError } from "../failure";
import { errorInfo } from "../error-codes";
import { listOption } from "../options";
import { placeOf } from "../pods";
import { tarOf } from "../tar";

interface ReportOptions {
  readonly all?: boolean;
  readonly appNamespaces?: readonly string[];
  readonly appPods?: readonly string[];
  readonly appDeployments?: readonly string[];
  readonly ingress?: boolean;
}

async function bugReport(context: CliContext, options: ReportOptions): Promise<void> {
  const file =
    context.givenOutput ??
    `osm-bug-report-${new Date(context.now()).toISOString().replaceAll(":", "")}.tar.gz`;
  const { appPods = [], appDeployments = [], appNamespaces: namespaces = [] } = options;
  const places = (given: readonly string[], option: string): string[] =>
    given.map(text => {
      const { namespace, name } = placeOf(text, context.namespace, option);
      return `${namespace}/${name}`;
    });
  const files = await gatherReport({
    kube: await context.kube(),
    credentials: context.credentials(),
    pods: places(appPods, "app-pods"),
    deployments: places(appDeployments, "app-deployments"),
    namespaces,
    ingress: options.ingress === true,
    all: options.all === true,
    say: line => {
      context.say(line);
    },
  });
  writeFileSync(file, gzipSync(tarOf(files, Math.floor(context.now() / 1_000))), { mode: 0o600 });
  context.say(`${files.size} files in ${file}; look through them before you pass them on`);
}

function showErrorInfo(context: CliContext, code: string | undefined): void {
  const found = errorInfo(code);
  if (found.length === 0)
    throw new CommandError(`there is no code ${code ?? ""}; osm support error-info lists them`);
  context.out.show(found, () => ({
    head: ["CODE", "MEANING"],
    rows: found.map(one => [one.code, one.meaning]),
  }));
}

/** `osm support …`. */
export function addSupportCommands(program: Command, context: CliContext): void {
  const group = program.command("support").description("find out what is wrong");
  group
    .command("bug-report")
    .description("gather logs, objects and the configuration of sidecars in an archive")
    .option("--all", "all namespaces of the mesh")
    .option("--app-namespaces <namespaces>", "namespaces, by comma", listOption)
    .option("--app-deployments <deployments>", "Deployments as NAMESPACE/NAME, by comma", listOption)
    .option("--app-pods <pods>", "pods as NAMESPACE/NAME, by comma", listOption)
    .option("--ingress", "Ingress objects, and logs of the pods that IngressBackends let in")
    .addHelpText(
      "after",
      `
-o FILE names the archive, as in OSM; a new file is for you alone to read. No Secrets are in it, and no environment, command or
annotation of pods, Deployments and Ingresses. Services, events, namespaces and the mesh's objects are whole, with their annotations; logs of sidecars, of the control plane and
(--ingress) of ingress controllers, and messages of containers, are as they were written. What you may not read has the reason in its place.

Example:
  osm support bug-report --app-namespaces shop -o report.tar.gz`,
    )
    .action((options: ReportOptions) => bugReport(context, options));
  group
    .command("error-info")
    .description("explain a reason of a condition or event, or what took the place of a code of OSM's")
    .argument("[code]", "such as UnresolvedReference or E4000; none lists all")
    .action((code: string | undefined) => {
      showErrorInfo(context, code);
    });
}
