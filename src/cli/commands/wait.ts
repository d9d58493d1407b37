import type { Command } from "commander";
import { apiKind } from "../../api/kinds";
import { asArray, asObject, asText } from "../../ingest/fields";
import type { KubeClient } from "../../runtime/kube";
import { KubeError } from "../../runtime/kube";
import type { CliContext } from "../context";
import { CommandError, UsageError } from "../failure";
import { documentKey } from "../offline/documents";
import { readFiles } from "../offline/files";

interface WaitOptions {
  readonly filename: readonly string[];
  readonly for: string;
  readonly timeout: string;
  readonly namespace?: string;
}

/** An object that is waited for. */
interface Awaited {
  /** `Kind/namespace/name`. */
  readonly key: string;
  readonly path: string;
}

/** How an object stands. */
interface Standing {
  readonly done: boolean;
  /** Waiting is of no use. */
  readonly hopeless: boolean;
  readonly why: string;
}

const HELP = `
Waits until objects are in force at every proxy (condition Programmed), and says what is waited for. Kinds without conditions
(Services, Deployments) are left out; kubectl wait knows those.

Examples:
  osm wait -f policies/
  osm wait TrafficSplit/bookstore/bookstore-split --timeout 30s
  osm wait --for delete TrafficTarget/bookstore/old`;

/** Between two looks, milliseconds. */
const LOOK_MS = 500;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

const collect = (value: string, all: readonly string[]): readonly string[] => [...all, value];

/** A Go duration of one unit, in milliseconds. */
function millisecondsOf(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  if (number === "") throw new UsageError(`--timeout ${text}: expected a duration such as 60s or 2m`);
  return Number(number) * (UNITS[unit] ?? 0);
}

function awaited(key: string): Awaited | undefined {
  const [kind = "", namespace = "", name = ""] = key.split("/");
  const row = apiKind(kind);
  if (row === undefined) return undefined;
  const { group, version, plural } = row;
  return { key, path: `/apis/${group}/${version}/namespaces/${namespace}/${plural}/${name}` };
}

async function objectsOf(
  context: CliContext,
  names: readonly string[],
  { filename, namespace }: WaitOptions,
): Promise<readonly Awaited[]> {
  const named = names.map(name => {
    const key =
      name.split("/").length === 2 ? name.replace("/", `/${namespace ?? context.namespace}/`) : name;
    const found = awaited(key);
    if (found === undefined || key.split("/").length !== 3)
      throw new UsageError(
        `${name}: expected KIND/NAMESPACE/NAME of a kind of the mesh, such as TrafficTarget`,
      );
    return found;
  });
  if (filename.length === 0) return named;
  const read = { namespace: namespace ?? context.namespace, readStdin: () => context.readStdin() };
  const documents = await readFiles(filename, read);
  return [...named, ...documents.flatMap(document => awaited(documentKey(document)) ?? [])];
}

/** How an object stands; `condition` is a type, or `delete`. */
function standingOf(object: unknown, condition: string): Standing {
  if (object === undefined) return { done: condition === "delete", hopeless: false, why: "it is not there" };
  if (condition === "delete") return { done: false, hopeless: false, why: "it is still there" };
  const generation = asObject(asObject(object)["metadata"])["generation"];
  const conditions = asArray(asObject(asObject(object)["status"])["conditions"]).map(asObject);
  const current = conditions.filter(({ observedGeneration }) => observedGeneration === generation);
  const wanted = current.find(({ type }) => type === condition);
  const refused = current.find(({ type, status }) => type === "Accepted" && status === "False");
  if (refused !== undefined && condition !== "Accepted")
    return { done: false, hopeless: true, why: `it is not accepted: ${asText(refused["message"]) ?? ""}` };
  if (wanted === undefined)
    return {
      done: false,
      hopeless: false,
      why: "the control plane has not looked at this version of it yet",
    };
  const why = `${condition} is ${asText(wanted["status"]) ?? "unknown"} (${asText(wanted["reason"]) ?? ""}): ${asText(wanted["message"]) ?? ""}`;
  return { done: wanted["status"] === "True", hopeless: false, why };
}

async function look(kube: KubeClient, { path }: Awaited, condition: string): Promise<Standing> {
  try {
    return standingOf(await kube.get<unknown>(path), condition);
  } catch (error) {
    if (error instanceof KubeError && error.status === 404) return standingOf(undefined, condition);
    throw error;
  }
}

type Looked = Awaited & Standing;

/** Says of each object how it stands, where that is new. */
function tell(
  context: CliContext,
  found: readonly Looked[],
  condition: string,
  said: Map<string, string>,
): void {
  for (const { key, done, why } of found) {
    const line = done ? `${key}: ${condition === "delete" ? "gone" : condition}` : `${key}: ${why}`;
    if (said.get(key) !== line) context.say(line);
    said.set(key, line);
  }
}

async function wait(context: CliContext, names: readonly string[], options: WaitOptions): Promise<void> {
  const until = context.now() + millisecondsOf(options.timeout);
  const objects = await objectsOf(context, names, options);
  if (objects.length === 0) throw new UsageError("there is nothing to wait for: name objects, or -f FILE");
  const kube = await context.kube();
  const said = new Map<string, string>();
  for (;;) {
    const found = await Promise.all(
      objects.map(async object => ({ ...object, ...(await look(kube, object, options.for)) })),
    );
    tell(context, found, options.for, said);
    const waiting = found.filter(({ done }) => !done);
    const [first] = waiting;
    if (first === undefined) return;
    const hopeless = waiting.find(each => each.hopeless);
    if (hopeless !== undefined) throw new CommandError(`${hopeless.key}: ${hopeless.why}`);
    const left = until - context.now();
    if (left <= 0) {
      const keys = waiting.map(({ key }) => key).join(", ");
      throw new CommandError(`${keys}: still waiting after ${options.timeout}; ${first.why}`);
    }
    await context.pause(Math.min(LOOK_MS, Math.max(1, left)));
  }
}

/** `osm wait`. */
export function addWaitCommand(program: Command, context: CliContext): void {
  program
    .command("wait")
    .description("wait until objects are in force at every proxy, and say what is waited for")
    .argument("[objects...]", "KIND/NAMESPACE/NAME")
    .option("-f, --filename <file>", "objects of a file, a folder or -; can be repeated", collect, [])
    .option("--for <condition>", "Programmed, Accepted, ResolvedRefs, or delete", "Programmed")
    .option("--timeout <duration>", "how long at most", "60s")
    .option("-n, --namespace <namespace>", "of objects that name none")
    .addHelpText("after", HELP)
    .action((names: readonly string[], options: WaitOptions) => wait(context, names, options));
}
