import type { Command } from "commander";
import type { CliContext } from "../context";
import { UsageError } from "../failure";
import { createAddresses } from "../offline/addresses";
import { readCluster, WORKLOADS } from "../offline/cluster";
import type { KubeDocument } from "../offline/documents";
import { readFiles } from "../offline/files";
import { planOf } from "../plan/plan";
import { renderPlan } from "../plan/render";

interface PlanOptions {
  readonly filename: readonly string[];
  readonly base: readonly string[];
  readonly delete: readonly string[];
  readonly namespace?: string;
}

const HELP = `
Compares the mesh as it is with the mesh as it would be: who gains and who loses access, which proxies are told what, and what
would be found about the objects. Nothing is applied. The mesh as it is comes from the cluster, read with your own rights, or
with --base from files.

Examples:
  osm plan -f canary.yaml
  osm plan -f new/ --base manifests/                       without any cluster
  osm plan --delete TrafficTarget/bookstore/bookstore-v1   what would a deletion do`;

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];

async function plan(context: CliContext, options: PlanOptions): Promise<void> {
  const { filename, base, delete: deletions } = options;
  if (filename.length + deletions.length === 0)
    throw new UsageError("say what would change: -f FILE, or --delete KIND/NAMESPACE/NAME");
  const offline = base.length > 0;
  const namespace = options.namespace ?? (offline ? "default" : context.namespace);
  const read = (names: readonly string[]): Promise<readonly KubeDocument[]> =>
    names.length === 0
      ? Promise.resolve([])
      : readFiles(names, { namespace, readStdin: () => context.readStdin() });
  const files = await read(filename);
  const now = offline
    ? { documents: await read(base), notes: [] }
    : await readCluster(await context.kube(), context, WORKLOADS);
  const { meshName, osmNamespace } = context;
  const found = planOf(
    { base: now.documents, files, deletions },
    { meshName, osmNamespace, addresses: createAddresses(), ...(offline ? {} : { plan: new Set<string>() }) },
  );
  const result = { ...found, notes: [...now.notes, ...found.notes] };
  context.out.show(result, () => renderPlan(result));
}

/** `osm plan`. */
export function addPlanCommand(program: Command, context: CliContext): void {
  program
    .command("plan")
    .description(
      "what a change would do: access gained and lost, proxies and resources that change; nothing is applied",
    )
    .option(
      "-f, --filename <file>",
      "objects to be applied: a file, a folder or -; can be repeated",
      collect,
      [],
    )
    .option("--delete <object>", "KIND/NAMESPACE/NAME to be deleted; can be repeated", collect, [])
    .option(
      "--base <file>",
      "the mesh as it is, from a file or folder instead of the cluster; can be repeated",
      collect,
      [],
    )
    .option("-n, --namespace <namespace>", "of objects that name none")
    .addHelpText("after", HELP)
    .action((options: PlanOptions) => plan(context, options));
}
