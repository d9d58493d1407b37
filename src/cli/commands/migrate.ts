import type { Command } from "commander";
import type { CliContext } from "../context";
import { checkMigration, type Migration } from "../migrate/check";
import { readCluster } from "../offline/cluster";
import { documentKey, type KubeDocument } from "../offline/documents";
import { readFiles } from "../offline/files";

interface CheckOptions {
  readonly filename: readonly string[];
}

const HELP = `
Reads an installation of Open Service Mesh (from the cluster, or its manifests with -f) and says of each object what becomes
of it under this mesh. It changes nothing.

Verdicts: carries-over (as it is), changes (it does something else than it did), action (somebody must do something),
refused (the mesh does not take it as it is). Exit code 1 when something is refused.`;

/** Kinds of OSM besides those that this mesh reads. */
const MORE = [
  { kind: "Deployment", apiPath: "/apis/apps/v1/deployments" },
  { kind: "MeshRootCertificate", apiPath: "/apis/config.openservicemesh.io/v1alpha2/meshrootcertificates" },
  { kind: "MultiClusterService", apiPath: "/apis/config.openservicemesh.io/v1alpha2/multiclusterservices" },
  {
    kind: "MutatingWebhookConfiguration",
    apiPath: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
  },
  {
    kind: "ValidatingWebhookConfiguration",
    apiPath: "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
  },
];

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];

async function documentsOf(context: CliContext, files: readonly string[]): Promise<readonly KubeDocument[]> {
  if (files.length > 0)
    return readFiles(files, { namespace: "default", readStdin: () => context.readStdin() });
  const { documents, notes } = await readCluster(await context.kube(), context, MORE);
  for (const note of notes) context.warn(note);
  return [...new Map(documents.map(document => [documentKey(document), document])).values()];
}

function rowsOf(found: readonly Migration[]): readonly (readonly string[])[] {
  return found.flatMap(({ object, verdict, notes }) =>
    (notes.length === 0 ? [""] : notes).map((note, index) =>
      index === 0 ? [verdict, object, note] : ["", "", note],
    ),
  );
}

async function check(context: CliContext, { filename }: CheckOptions): Promise<void> {
  const found = checkMigration(await documentsOf(context, filename));
  context.out.show(found, () =>
    found.length === 0
      ? "There is nothing of Open Service Mesh."
      : { head: ["VERDICT", "OBJECT", "WHAT TO KNOW"], rows: rowsOf(found) },
  );
  if (found.some(({ verdict }) => verdict === "refused")) context.exitWith(1);
}

/** `osm migrate …`. */
export function addMigrateCommands(program: Command, context: CliContext): void {
  const migrate = program.command("migrate").description("come from Open Service Mesh to this mesh");
  migrate
    .command("check")
    .description("what of an Open Service Mesh installation carries over, and what changes, object by object")
    .option(
      "-f, --filename <file>",
      "its manifests instead of the cluster: a file, a folder or -; can be repeated",
      collect,
      [],
    )
    .addHelpText("after", HELP)
    .action((options: CheckOptions) => check(context, options));
}
