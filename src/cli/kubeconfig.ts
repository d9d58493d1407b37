import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parse } from "yaml";
import { inClusterCredentials, kubeconfigCredentials } from "../runtime/kube/credentials";
import type { KubeCredentials, RequestCredentials } from "../runtime/kube/credentials";
import { CommandError } from "./failure";

type Env = Readonly<Record<string, string | undefined>>;
type Tree = Record<string, unknown>;

/** Which cluster is meant. */
export interface ClusterChoice {
  /** A file, in place of `KUBECONFIG` and ~/.kube/config. */
  readonly kubeconfig?: string | undefined;
  /** A context, in place of the current one. */
  readonly context?: string | undefined;
  readonly env: Env;
  readonly now: () => number;
}

interface Named extends Tree {
  readonly name: string;
}

/** A kubeconfig, possibly of several files. */
export interface MergedKubeconfig {
  readonly "current-context"?: string;
  readonly contexts: readonly (Named & {
    readonly context: { readonly cluster: string; readonly user: string; readonly namespace?: string };
  })[];
  readonly clusters: readonly (Named & { readonly cluster: Tree })[];
  readonly users: readonly (Named & { readonly user: Tree })[];
}

const FILE_FIELDS = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];

/** File names stand relative to the file they are named in. */
function anchored(entry: Tree, folder: string): Tree {
  return Object.fromEntries(
    Object.entries(entry).map(([key, value]) =>
      FILE_FIELDS.includes(key) && typeof value === "string" && value !== ""
        ? [key, path.resolve(folder, value)]
        : [key, value],
    ),
  );
}

function listed(parsed: Tree, field: string, inner: string, folder: string): Named[] {
  const list = parsed[field];
  if (!Array.isArray(list)) return [];
  return (list as Named[]).map(entry => ({
    ...entry,
    [inner]: anchored((entry[inner] ?? {}) as Tree, folder),
  }));
}

function readOne(file: string): MergedKubeconfig {
  let parsed: Tree;
  try {
    parsed = (parse(readFileSync(file, "utf8")) ?? {}) as Tree;
  } catch (error) {
    throw new CommandError(`kubeconfig ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const folder = path.dirname(path.resolve(file));
  const current = parsed["current-context"];
  return {
    ...(typeof current === "string" && current !== "" ? { "current-context": current } : {}),
    contexts: listed(parsed, "contexts", "context", folder) as unknown as MergedKubeconfig["contexts"],
    clusters: listed(parsed, "clusters", "cluster", folder) as unknown as MergedKubeconfig["clusters"],
    users: listed(parsed, "users", "user", folder) as unknown as MergedKubeconfig["users"],
  };
}

/** The files kubectl would read: a named one must exist, of a list the missing are passed over. */
function filesOf({ kubeconfig, env }: ClusterChoice): readonly string[] {
  if (kubeconfig !== undefined) return [kubeconfig];
  const list = (env["KUBECONFIG"] ?? "").split(path.delimiter).filter(file => file !== "");
  const files = list.length > 0 ? list : [path.join(env["HOME"] ?? os.homedir(), ".kube", "config")];
  return files.filter(file => existsSync(file));
}

/** Reads and merges the kubeconfig; of two entries of one name the first counts. Undefined: there is none. */
export function readKubeconfig(choice: ClusterChoice): MergedKubeconfig | undefined {
  const files = filesOf(choice).map(readOne);
  if (files.length === 0) return undefined;
  const current = files.find(file => file["current-context"] !== undefined)?.["current-context"];
  return {
    ...(current === undefined ? {} : { "current-context": current }),
    contexts: files.flatMap(file => file.contexts),
    clusters: files.flatMap(file => file.clusters),
    users: files.flatMap(file => file.users),
  };
}

interface ExecPlugin {
  readonly command: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null;
  readonly apiVersion?: string;
  readonly installHint?: string;
}

interface ExecStatus {
  readonly token?: string;
  readonly clientCertificateData?: string;
  readonly clientKeyData?: string;
}

function runPlugin(plugin: ExecPlugin, env: Env): string {
  const apiVersion = plugin.apiVersion ?? "client.authentication.k8s.io/v1";
  const info = { kind: "ExecCredential", apiVersion, spec: { interactive: false } };
  const added = Object.fromEntries((plugin.env ?? []).map(({ name, value }) => [name, value]));
  const ran = spawnSync(plugin.command, plugin.args ?? [], {
    env: { ...env, ...added, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    timeout: 60_000,
  });
  if (ran.error === undefined && ran.status === 0) return ran.stdout;
  const why = ran.error?.message ?? `it ended with ${String(ran.status)}`;
  throw new CommandError(`credential plugin ${plugin.command}: ${why}. ${plugin.installHint ?? ""}`.trim());
}

/** Asks a credential plugin, as kubectl does. Throws {@link CommandError} that names the program. */
function askPlugin(plugin: ExecPlugin, env: Env): ExecStatus {
  const text = runPlugin(plugin, env);
  try {
    return (JSON.parse(text) as { status?: ExecStatus }).status ?? {};
  } catch {
    throw new CommandError(`credential plugin ${plugin.command}: its answer is no JSON`);
  }
}

function withPlugin(base: KubeCredentials, plugin: ExecPlugin, env: Env): KubeCredentials {
  let held: RequestCredentials | undefined;
  return {
    server: base.server,
    current(refresh = false) {
      if (held !== undefined && !refresh) return held;
      const { token, clientCertificateData: cert, clientKeyData: key } = askPlugin(plugin, env);
      held = {
        ...base.current(),
        ...(token === undefined ? {} : { token }),
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
      };
      return held;
    },
  };
}

/** Credentials of one context. Throws {@link CommandError} that names what is missing. */
function credentialsOf(config: MergedKubeconfig, choice: ClusterChoice): KubeCredentials {
  const name = choice.context ?? config["current-context"] ?? "";
  const user = config.contexts.find(entry => entry.name === name)?.context.user;
  const plugin = config.users.find(entry => entry.name === user)?.user["exec"] as ExecPlugin | undefined;
  const plain = config.users.map(entry => ({ ...entry, user: { ...entry.user, exec: undefined } }));
  try {
    const base = kubeconfigCredentials({ ...config, users: plain }, name);
    return plugin === undefined ? base : withPlugin(base, plugin, choice.env);
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Credentials as kubectl would find them (`--kubeconfig`, `KUBECONFIG`, ~/.kube/config), else those of the pod we run in. Needs no
 * kubectl. Throws {@link CommandError} that says where was looked.
 */
export function chosenCredentials(choice: ClusterChoice): KubeCredentials {
  const config = readKubeconfig(choice);
  const found =
    config === undefined
      ? inClusterCredentials({ env: choice.env, now: choice.now })
      : credentialsOf(config, choice);
  if (found !== undefined) return found;
  throw new CommandError("no cluster: there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config)");
}

/** The namespace that the context names, as kubectl takes it where none is given. Default "default". */
export function contextNamespace(choice: ClusterChoice): string {
  const config = readKubeconfig(choice);
  const name = choice.context ?? config?.["current-context"];
  return config?.contexts.find(entry => entry.name === name)?.context.namespace ?? "default";
}
