/** Joins an Envoy outside of the cluster to the mesh, and keeps its certificate. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { apiKind } from "../api/kinds";
import { FILE_CERTIFICATE, FILE_KEY } from "../injector/names";
import { CA_ROOT_KEY } from "../model/mesh-words";
import type { KubeClient, KubeObject } from "../runtime/kube";
import { isConflict, isNotFound } from "../runtime/kube/errors";
import type { Clock } from "../runtime/ports";
import { CommandError } from "./failure";
import { proxyFiles, type ProxyOwner, type ProxySetup } from "./proxy-files";

/** What the commands work with. */
export interface ProxyCommand {
  readonly kube: Pick<KubeClient, "get" | "mergePatch">;
  readonly clock: Clock;
  /** `namespace/name` of the ExternalWorkload. */
  readonly workload: string;
  /** Where the files are written on this machine. */
  readonly folder: string;
  /** Tells the user something, one line. */
  readonly say: (line: string) => void;
}

/** What joining needs besides. */
export interface BootstrapCommand extends ProxyCommand {
  readonly setup: ProxySetup;
  /** The object may name another key: whoever holds that one is shut out. Default false. */
  readonly replaceKey?: boolean;
  /** How long the control plane may take to certify the key, milliseconds. Default a minute. */
  readonly waitMs?: number;
}

interface Workload extends KubeObject {
  readonly spec: { readonly publicKey?: string; readonly serviceAccountName?: string };
  readonly status?: { readonly proxy?: Readonly<Record<string, string | undefined>> };
}

/** What the control plane has written for a key. */
interface Certified {
  readonly certificate: string;
  readonly trust: string;
}

const WAIT_MS = 60_000;
const LOOK_AGAIN_MS = 500;
/** The control plane writes status to the same object: so often the key is declared again after a conflict. */
const DECLARE_AGAIN = 5;

function pathOf(workload: string): string {
  const [namespace, name, ...rest] = workload.split("/");
  const row = apiKind("ExternalWorkload");
  if (!namespace || !name || rest.length > 0 || row === undefined) {
    throw new CommandError(`${workload} is not NAMESPACE/NAME`);
  }
  return `/apis/${row.group}/${row.version}/namespaces/${namespace}/${row.plural}/${name}`;
}

async function read({ kube, workload }: ProxyCommand): Promise<Workload> {
  try {
    return await kube.get<Workload>(pathOf(workload));
  } catch (error) {
    if (isNotFound(error)) throw new CommandError(`there is no ExternalWorkload ${workload}`);
    throw error;
  }
}

/** Puts a file in place at once, so that an Envoy that watches the folder never reads half of it. */
function put(folder: string, name: string, text: string, mode = 0o644): void {
  const target = path.join(folder, name);
  if (existsSync(target) && readFileSync(target, "utf8") === text) return;
  const next = path.join(folder, `.${name}.next`);
  writeFileSync(next, text, { mode });
  chmodSync(next, mode);
  renameSync(next, target);
}

function publicKeyOf(keyPem: string): string {
  return createPublicKey(createPrivateKey(keyPem)).export({ type: "spki", format: "der" }).toString("base64");
}

/** The public half of the folder's key, which is made where there is none; it never leaves the folder. */
function ensureKey(folder: string): string {
  const file = path.join(folder, FILE_KEY);
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    put(folder, FILE_KEY, privateKey.export({ type: "pkcs8", format: "pem" }).toString(), 0o600);
  }
  return publicKeyOf(readFileSync(file, "utf8"));
}

/** What there is for a key; undefined: nothing that is still good. */
function certifiedFor(object: Workload, publicKey: string, now: number): Certified | undefined {
  const { certificate, trust } = object.status?.proxy ?? {};
  if (certificate === undefined || trust === undefined) return undefined;
  const parsed = new X509Certificate(certificate);
  const key = parsed.publicKey.export({ type: "spki", format: "der" }).toString("base64");
  return key === publicKey && Date.parse(parsed.validTo) > now ? { certificate, trust } : undefined;
}

function putCertified(folder: string, { certificate, trust }: Certified): void {
  put(folder, CA_ROOT_KEY, trust);
  put(folder, FILE_CERTIFICATE, certificate);
}

/** Whoever else wrote to the object meanwhile may have named a key, so each attempt reads it anew. */
async function declareKey(
  command: BootstrapCommand,
  publicKey: string,
  again = DECLARE_AGAIN,
): Promise<void> {
  const { kube, workload, replaceKey = false } = command;
  const object = await read(command);
  const { publicKey: before } = object.spec;
  if (before === publicKey) return;
  if (before !== undefined && !replaceKey) {
    throw new CommandError(
      `${workload} names the key of another folder; --replace-key shuts that one out and lets this one in`,
    );
  }
  const { resourceVersion } = object.metadata;
  try {
    await kube.mergePatch(pathOf(workload), { metadata: { resourceVersion }, spec: { publicKey } });
  } catch (error) {
    if (!isConflict(error) || again === 0) throw error;
    await declareKey(command, publicKey, again - 1);
  }
}

async function waitForCertificate(command: BootstrapCommand, publicKey: string): Promise<Certified> {
  const { clock, workload, waitMs = WAIT_MS } = command;
  const deadline = clock.now() + waitMs;
  for (;;) {
    const found = certifiedFor(await read(command), publicKey, clock.now());
    if (found !== undefined) return found;
    if (clock.now() >= deadline) {
      throw new CommandError(`the control plane has not certified the key of ${workload}; is it running?`);
    }
    await new Promise<void>(resolve => clock.setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/**
 * Makes a key in the folder, names it in the ExternalWorkload, waits for its certificate and writes all files that an Envoy
 * needs. Doing it again changes nothing but what has changed. Rejects with {@link CommandError} for what the user can mend.
 */
export async function bootstrapProxy(command: BootstrapCommand): Promise<void> {
  const { folder, setup, say, workload } = command;
  const { metadata, spec } = await read(command);
  const owner: ProxyOwner = {
    namespace: metadata.namespace ?? "",
    name: metadata.name,
    serviceAccount: spec.serviceAccountName ?? "",
  };
  mkdirSync(path.join(folder, "run"), { recursive: true });
  const publicKey = ensureKey(folder);
  await declareKey(command, publicKey);
  putCertified(folder, await waitForCertificate(command, publicKey));
  for (const [name, text] of Object.entries(proxyFiles(setup, owner))) {
    put(folder, name, text, name.endsWith(".sh") ? 0o755 : 0o644);
  }
  say(`${workload} may join the mesh with the files in ${folder}`);
}

/**
 * Fetches the certificate and trust that the control plane has renewed meanwhile; an Envoy that watches the folder takes
 * them without a restart. Needs no more than to read the ExternalWorkload. Rejects with {@link CommandError} where there is
 * nothing for the folder's key.
 */
export async function renewProxy(command: ProxyCommand): Promise<void> {
  const { folder, workload, clock, say } = command;
  const file = path.join(folder, FILE_KEY);
  if (!existsSync(file)) throw new CommandError(`${folder} holds no key; begin with: osm proxy bootstrap`);
  const object = await read(command);
  const found = certifiedFor(object, publicKeyOf(readFileSync(file, "utf8")), clock.now());
  if (found === undefined) throw new CommandError(`${workload} has no certificate for the key in ${folder}`);
  putCertified(folder, found);
  say(`the certificate of ${workload} is good until ${new X509Certificate(found.certificate).validTo}`);
}
