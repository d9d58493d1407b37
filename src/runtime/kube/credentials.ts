import { readFileSync } from "node:fs";
import path from "node:path";

/** How the API server is reached and who we are. Asked for before every request, so that renewed files are used. */
export interface KubeCredentials {
  /** URL like `https://10.120.0.1:443`. */
  readonly server: string;
  /** What the next request presents; `refresh` asks to read again what may have been renewed (after a 401). */
  current(refresh?: boolean): RequestCredentials;
}

/** TLS material and token for one request; PEM text. */
export interface RequestCredentials {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  readonly servername?: string;
  readonly insecureSkipVerify?: boolean;
}

/** Where Kubernetes mounts a pod's API credentials. */
const SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Bound tokens are renewed at 80 % of their life (an hour at least), so a minute of staleness is harmless. */
const REREAD_MS = 60_000;

/** What the in-cluster credentials are made from. */
export interface InClusterOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
  /** Default {@link SERVICE_ACCOUNT_DIR}. */
  readonly dir?: string;
}

/**
 * Credentials of the pod we run in, undefined outside a cluster. Token and CA are read again every minute and when
 * the server refuses the token, because the kubelet renews both in place.
 */
export function inClusterCredentials(options: InClusterOptions): KubeCredentials | undefined {
  const host = options.env["KUBERNETES_SERVICE_HOST"];
  const port = options.env["KUBERNETES_SERVICE_PORT"] ?? "443";
  if (host === undefined || host === "") return undefined;
  const dir = options.dir ?? SERVICE_ACCOUNT_DIR;
  let read: { at: number; value: RequestCredentials } | undefined;
  return {
    server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    current(refresh = false): RequestCredentials {
      const now = options.now();
      if (read === undefined || refresh || now - read.at > REREAD_MS || now < read.at) {
        read = {
          at: now,
          value: {
            token: readFileSync(path.join(dir, "token"), "utf8").trim(),
            ca: readFileSync(path.join(dir, "ca.crt"), "utf8"),
          },
        };
      }
      return read.value;
    },
  };
}

interface NamedCluster {
  readonly name: string;
  readonly cluster: Readonly<Record<string, unknown>>;
}
interface NamedUser {
  readonly name: string;
  readonly user: Readonly<Record<string, unknown>>;
}
interface NamedContext {
  readonly name: string;
  readonly context: { readonly cluster: string; readonly user: string };
}
interface Kubeconfig {
  readonly "current-context"?: string;
  readonly contexts?: readonly NamedContext[];
  readonly clusters?: readonly NamedCluster[];
  readonly users?: readonly NamedUser[];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** `<field>-data` is base64 of the content, `<field>` a file name. */
function material(from: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const data = text(from[`${field}-data`]);
  if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
  const file = text(from[field]);
  return file === undefined ? undefined : readFileSync(file, "utf8");
}

function tokenOf(user: Readonly<Record<string, unknown>>): string | undefined {
  const file = text(user["tokenFile"]);
  return text(user["token"]) ?? (file === undefined ? undefined : readFileSync(file, "utf8").trim());
}

function find<T extends { readonly name: string }>(
  list: readonly T[] | undefined,
  name: string,
  what: string,
): T {
  const found = list?.find(entry => entry.name === name);
  if (found === undefined) throw new Error(`kubeconfig has no ${what} "${name}"`);
  return found;
}

function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}

/**
 * Credentials of one context of a kubeconfig (already parsed from YAML): client certificate, token or token file.
 * Throws Error naming what is missing; exec plugins are not supported and say so.
 */
export function kubeconfigCredentials(parsed: unknown, contextName?: string): KubeCredentials {
  const config = parsed as Kubeconfig;
  const name = contextName ?? config["current-context"] ?? "";
  const { context } = find(config.contexts, name, "context");
  const { cluster } = find(config.clusters, context.cluster, "cluster");
  const { user } = find(config.users, context.user, "user");
  const server = text(cluster["server"]);
  if (server === undefined) throw new Error(`kubeconfig cluster "${context.cluster}" has no server`);
  if (user["exec"] !== undefined) throw new Error(`kubeconfig user "${context.user}" needs an exec plugin`);
  const value = present<RequestCredentials>({
    ca: material(cluster, "certificate-authority"),
    cert: material(user, "client-certificate"),
    key: material(user, "client-key"),
    token: tokenOf(user),
    servername: text(cluster["tls-server-name"]),
    insecureSkipVerify: cluster["insecure-skip-tls-verify"] === true ? true : undefined,
  });
  return { server, current: () => value };
}
