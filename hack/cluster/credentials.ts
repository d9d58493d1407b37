import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { hasIpv6 } from "./network";
import { capture } from "./shell";
import type { ClusterSettings } from "./settings";

/** Days that the cluster's own certificates are valid; it is made anew far more often. */
const VALID_DAYS = "3650";

/** The users of the API server: file name, certificate user and group. */
const USERS = [
  { file: "admin", user: "osm-admin", group: "system:masters" },
  { file: "controller-manager", user: "system:kube-controller-manager", group: "osm" },
  { file: "scheduler", user: "system:kube-scheduler", group: "osm" },
  { file: "proxy", user: "system:kube-proxy", group: "osm" },
  { file: "kubelet", user: "system:node:", group: "system:nodes" },
  { file: "apiserver-kubelet", user: "osm-apiserver", group: "system:masters" },
] as const;

/** Name of one credential file pair or kubeconfig. */
export type UserFile = (typeof USERS)[number]["file"];

function pkiFolder(settings: ClusterSettings): string {
  return path.join(settings.state, "pki");
}

/** Path of a file in the cluster's folder of keys. */
export function pkiFile(settings: ClusterSettings, file: string): string {
  return path.join(pkiFolder(settings), file);
}

/** Path of a component's kubeconfig; `admin` is the one for people and tests. */
export function kubeconfigFile(settings: ClusterSettings, user: UserFile): string {
  return path.join(settings.state, user === "admin" ? "kubeconfig" : `${user}.kubeconfig`);
}

interface LeafPlan {
  readonly file: string;
  readonly subject: string;
  readonly extensions: readonly string[];
}

async function issue(folder: string, plan: LeafPlan): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const out = [
    "-keyout",
    path.join(folder, `${plan.file}.key`),
    "-out",
    path.join(folder, `${plan.file}.crt`),
  ];
  const signer = ["-CA", path.join(folder, "ca.crt"), "-CAkey", path.join(folder, "ca.key")];
  const extensions = plan.extensions.flatMap(extension => ["-addext", extension]);
  await capture("openssl", [
    ...["req", "-x509", "-days", VALID_DAYS, "-subj", plan.subject],
    ...key,
    ...out,
    ...signer,
    ...extensions,
  ]);
}

function serverNames(settings: ClusterSettings): string {
  const names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
  names.push("kubernetes.default.svc.cluster.local", settings.name);
  const addresses = ["127.0.0.1", settings.nodeAddress, settings.apiServiceAddress];
  if (hasIpv6()) addresses.push(settings.nodeAddress6, settings.serviceCidr6.replace(/\/\d+$/, "1"));
  return [...names.map(name => `DNS:${name}`), ...addresses.map(address => `IP:${address}`)].join(",");
}

async function createAll(settings: ClusterSettings, folder: string): Promise<void> {
  const ca = ["-keyout", path.join(folder, "ca.key"), "-out", path.join(folder, "ca.crt")];
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  const request = ["req", "-x509", "-days", VALID_DAYS, "-subj", `/CN=${settings.name} cluster`];
  await capture("openssl", [...request, ...key, ...ca, ...usage]);
  // RSA as on most clusters, so that whoever checks tokens against the published keys meets the usual RS256.
  await capture("openssl", ["genrsa", "-out", path.join(folder, "service-account.key"), "2048"]);
  const publicKey = path.join(folder, "service-account.pub");
  await capture("openssl", [
    "rsa",
    "-in",
    path.join(folder, "service-account.key"),
    "-pubout",
    "-out",
    publicKey,
  ]);
  const names = `subjectAltName=${serverNames(settings)}`;
  const server: LeafPlan = {
    file: "apiserver",
    subject: "/CN=kube-apiserver",
    extensions: ["basicConstraints=critical,CA:false", "extendedKeyUsage=serverAuth", names],
  };
  const clients = USERS.map(({ file, user, group }) => ({
    file,
    subject: `/O=${group}/CN=${file === "kubelet" ? user + settings.name : user}`,
    extensions: ["basicConstraints=critical,CA:false", "extendedKeyUsage=clientAuth"],
  }));
  await Promise.all([server, ...clients].map(plan => issue(folder, plan)));
}

function base64Of(file: string): string {
  return readFileSync(file).toString("base64");
}

function writeKubeconfig(settings: ClusterSettings, user: UserFile): void {
  const server = `https://${settings.nodeAddress}:6443`;
  const authority = base64Of(pkiFile(settings, "ca.crt"));
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": settings.name,
    clusters: [{ name: settings.name, cluster: { server, "certificate-authority-data": authority } }],
    users: [
      {
        name: user,
        user: {
          "client-certificate-data": base64Of(pkiFile(settings, `${user}.crt`)),
          "client-key-data": base64Of(pkiFile(settings, `${user}.key`)),
        },
      },
    ],
    contexts: [{ name: settings.name, context: { cluster: settings.name, user } }],
  };
  // JSON is YAML, and every client reads it.
  writeFileSync(kubeconfigFile(settings, user), `${JSON.stringify(config, undefined, 2)}\n`, { mode: 0o600 });
}

/** Makes the cluster's authority, keys, certificates and kubeconfigs, once. */
export async function ensureCredentials(settings: ClusterSettings): Promise<void> {
  const folder = pkiFolder(settings);
  if (!existsSync(folder)) {
    const unfinished = `${folder}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true, mode: 0o700 });
    await createAll(settings, unfinished);
    renameSync(unfinished, folder);
  }
  for (const { file } of USERS) writeKubeconfig(settings, file);
}
