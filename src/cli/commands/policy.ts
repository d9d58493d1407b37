import type { Command } from "commander";
import { POLICY_KINDS } from "../../ingest/index";
import type { CliContext } from "../context";
import { conflictsOf } from "../explain/conflicts";
import { checkPods, type PodPermission } from "../explain/pods";
import { EXIT, UsageError } from "../failure";
import { createAddresses } from "../offline/addresses";
import { readCluster } from "../offline/cluster";
import { readFiles } from "../offline/files";
import { createMeshWorld, type MeshWorld } from "../offline/world";

interface Files {
  readonly filename: readonly string[];
}

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];
const FILES = "objects of a file, a folder or - instead of the cluster; can be repeated";

async function worldOf(context: CliContext, { filename }: Files): Promise<MeshWorld> {
  const { meshName, osmNamespace } = context;
  const options = { meshName, osmNamespace, addresses: createAddresses() };
  if (filename.length > 0) {
    const read = { namespace: "default", readStdin: () => context.readStdin() };
    return createMeshWorld(await readFiles(filename, read), options);
  }
  const { documents, notes } = await readCluster(await context.kube(), context);
  for (const note of notes) context.warn(note);
  return createMeshWorld(documents, { ...options, plan: new Set<string>() });
}

function permissionText({ from, to, permissive, ports, obstacle }: PodPermission): string {
  if (obstacle !== undefined) return `[-] ${from} may not call ${to} through the mesh: ${obstacle}`;
  if (ports.length === 0)
    return `[-] ${from} may not call ${to}: ${permissive ? "no Service leads to it" : "no TrafficTarget lets it"}`;
  const lines = ports.flatMap(({ port, by, allows }) =>
    allows.map(text => `    port ${port}: ${text} (${by})`),
  );
  return [`[+] ${from} may call ${to}:`, ...lines].join("\n");
}

/** `osm policy …`. */
export function addPolicyCommands(program: Command, context: CliContext): void {
  const policy = program.command("policy").description("ask what policies say");
  policy
    .command("check-pods")
    .description("whether one pod may call another, and by which policy")
    .argument("<source>", "NAMESPACE/POD that calls")
    .argument("<destination>", "NAMESPACE/POD that is called")
    .option("-f, --filename <file>", FILES, collect, [])
    .addHelpText(
      "after",
      "\nosm explain says more: of one request, which rule decides. Exit code 3: nothing is allowed.",
    )
    .action(async (source: string, destination: string, options: Files) => {
      const found = checkPods(await worldOf(context, options), source, destination);
      context.out.show(found, () => permissionText(found));
      if (found.ports.length === 0) context.exitWith(EXIT.refused);
    });
  policy
    .command("check-conflicts")
    .description("objects of a kind that contradict each other")
    .argument("<kind>", "such as IngressBackend")
    .option("-n, --namespaces <namespace>", "only of this namespace; can be repeated", collect, [])
    .option("-f, --filename <file>", FILES, collect, [])
    .action(async (given: string, options: Files & { readonly namespaces: readonly string[] }) => {
      const kind = POLICY_KINDS.find(each => each.toLowerCase() === given.toLowerCase());
      if (kind === undefined) throw new UsageError(`${given}: expected one of ${POLICY_KINDS.join(", ")}`);
      const found = conflictsOf(await worldOf(context, options), kind, options.namespaces);
      context.out.show(found, () =>
        found.length === 0
          ? `No conflicts among ${kind} objects.`
          : found
              .map(
                ({ object, other, text }) =>
                  `[-] ${object}${other === undefined ? "" : ` and ${other}`}: ${text}`,
              )
              .join("\n"),
      );
      if (found.length > 0) context.exitWith(EXIT.failed);
    });
}
