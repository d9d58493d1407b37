import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { parse } from "yaml";
import type { KubeObject } from "../../runtime/kube";
import type { CliContext } from "../context";
import { CommandError, UsageError } from "../failure";
import { durationOf } from "../install/run";
import { createRoot, rotateRoot } from "../rotate";

interface RotateOptions {
  readonly file?: string;
  readonly meshRootCertificate?: string;
  readonly trustDomain?: string;
  readonly yes: boolean;
  readonly delete: boolean;
  readonly wait: string;
}

async function objectOf(context: CliContext, { file, trustDomain }: RotateOptions): Promise<KubeObject> {
  const text = file === "-" ? await context.readStdin() : readFileSync(file ?? "", "utf8");
  const object = parse(text) as (KubeObject & { spec?: object }) | null;
  if (object?.kind !== "MeshRootCertificate")
    throw new CommandError(`${file ?? ""}: kind is ${object?.kind ?? "missing"}, not MeshRootCertificate`);
  return {
    ...object,
    spec: { ...object.spec, ...(trustDomain === undefined ? {} : { trustDomain }) },
  } as KubeObject;
}

async function rotate(context: CliContext, options: RotateOptions): Promise<void> {
  const { file, meshRootCertificate: named } = options;
  if ((file === undefined) === (named === undefined))
    throw new UsageError("either -f or -c says which root is next");
  const waitMs = durationOf(options.wait, "wait");
  const kube = await context.kube();
  const { osmNamespace } = context;
  const question = "Every certificate of the mesh will be issued by another root. Go on?";
  if (!options.yes && !(await context.confirm(question, "--yes"))) return;
  const to = named ?? (await createRoot(kube, osmNamespace, await objectOf(context, options)));
  await rotateRoot({
    kube,
    osmNamespace,
    to,
    deleteOld: options.delete,
    waitMs,
    now: () => context.now(),
    pause: ms => context.pause(ms),
    say: line => {
      context.say(line);
    },
  });
  context.say(`The mesh's certificates are issued by ${to}`);
}

/** `osm alpha certificate rotate`, also `osm alpha mrc rotate`. */
export function addAlphaCommands(program: Command, context: CliContext): void {
  const group = program.command("alpha").description("commands that may still change");
  group
    .command("certificate")
    .alias("mrc")
    .description("certificates of the mesh")
    .command("rotate")
    .description("make another root the mesh's, each step proven by all proxies")
    .option("-f, --file <file>", "a MeshRootCertificate that is made (- for standard input)")
    .option("-c, --mesh-root-certificate <name>", "one that is there")
    .option("-t, --trust-domain <domain>", "trust domain of the one in the file")
    .option("-y, --yes", "do not ask", false)
    .option("-d, --delete", "delete the old one in the end", false)
    .option("-w, --wait <duration>", "how long each step may take", "60s")
    .addHelpText(
      "after",
      `
The new root is trusted first, then issues, then the old one is dropped. Nothing depends on this command running on: the control plane
makes each step itself when all proxies have proven the one before, and a second run waits on. MeshConfig must have
featureFlags.enableMeshRootCertificate.

Example:
  osm alpha certificate rotate -c my-root -y`,
    )
    .action((options: RotateOptions) => rotate(context, options));
}
