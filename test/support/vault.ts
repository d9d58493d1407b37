import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { ensureVault } from "../../hack/cluster/binaries";
import { Progress, toStderr } from "../../hack/cluster/progress";

/** A running Vault with a PKI engine at `pki/`. */
export interface Vault {
  readonly port: number;
  /** Writes to an API path as root, like `pki/roles/x`; gives `data`, or `auth` where there is one. */
  write(path: string, body: object): Promise<Readonly<Record<string, unknown>>>;
  /** A token that may sign with the role, and nothing else. */
  tokenFor(role: string): Promise<string>;
  stop(): Promise<void>;
}

interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly auth?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly string[];
}

async function post(url: string, token: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "x-vault-token": token },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  const answer = (text === "" ? {} : JSON.parse(text)) as Answer;
  if (!response.ok) throw new Error(`${url}: ${response.status} ${answer.errors?.join("; ") ?? ""}`);
  return answer.auth ?? answer.data ?? {};
}

/** Starts the real Vault of `hack/vault`, in memory and unsealed, with a root CA in its PKI engine. */
export async function startVault(): Promise<Vault> {
  const program = await ensureVault(new Progress(toStderr));
  const child = spawn(program, { stdio: ["pipe", "pipe", "ignore"] });
  const gone = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  const first = once(createInterface(child.stdout), "line") as Promise<[string]>;
  const failed = gone.then(() => Promise.reject(new Error("Vault ended before it was ready")));
  const [line] = await Promise.race([first, failed]);
  failed.catch(() => undefined);
  const { address, token } = JSON.parse(line) as { readonly address: string; readonly token: string };
  const write: Vault["write"] = (path, body) => post(`http://${address}/v1/${path}`, token, body);
  const tokenFor = async (role: string): Promise<string> => {
    const policy = `path "pki/sign/${role}" { capabilities = ["update"] }`;
    await write(`sys/policies/acl/${role}`, { policy });
    const { client_token: made } = await write("auth/token/create", { policies: [role], no_parent: true });
    return String(made);
  };
  await write("sys/mounts/pki", { type: "pki", config: { max_lease_ttl: "720h" } });
  await write("pki/root/generate/internal", { common_name: "mesh", key_type: "ec", ttl: "720h" });
  return { port: Number(address.split(":").at(-1)), write, tokenFor, stop };
}
