import { spawn, type ChildProcess } from "node:child_process";
import { generateKeyPairSync, randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { ensureKube } from "../../hack/cluster/binaries";
import { Progress, toStderr, until } from "../../hack/cluster/progress";
import { createKubeClient, type ClosableKubeClient } from "../../src/runtime/kube/client";
import type { KubeCredentials } from "../../src/runtime/kube/credentials";

/** A real kube-apiserver with its own etcd on loopback: the API without a cluster, up in about three seconds. */
export interface TestApiServer {
  /** `127.0.0.1:<port>` of the API server, for a proxy in between. */
  readonly port: number;
  readonly ca: string;
  readonly token: string;
  readonly etcdPort: number;
  /** PEM of the key that signs service-account tokens, for tests of tokens that the server would not issue. */
  readonly tokenSigningKey: string;
  /** Processes, for tests that stop and continue them. */
  readonly pids: { readonly etcd: number; readonly apiserver: number };
  /** Credentials of a cluster administrator; `port` defaults to the server's own. */
  credentials(port?: number): KubeCredentials;
  client(): ClosableKubeClient;
  /** Ends the API server only; {@link startAgain} brings it back on the same port. */
  stopApiServer(): Promise<void>;
  startAgain(): Promise<void>;
  /** Ends etcd at once, which leaves the API server without a store; {@link startEtcdAgain} brings it back with what it held. */
  stopEtcd(): Promise<void>;
  startEtcdAgain(): Promise<void>;
  stop(): Promise<void>;
}

/** Below what kernels hand out by themselves, so that no connection takes a port between here and its use. */
const OWN_PORTS = { first: 18_000, count: 12_000 } as const;

/** Ports that this process has given away. */
const given = new Set<number>();

/** A port of loopback that nobody listens on, and that nobody is given by chance. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = OWN_PORTS.first + randomInt(OWN_PORTS.count);
    if (given.has(port)) continue;
    const server = createServer();
    const isFree = await new Promise<boolean>(resolve => {
      server.once("error", () => {
        resolve(false);
      });
      server.listen(port, "127.0.0.1", () => {
        resolve(true);
      });
    });
    if (!isFree) continue;
    server.close();
    await once(server, "close");
    given.add(port);
    return port;
  }
  throw new Error("no port of loopback is free");
}

interface Plan {
  readonly dir: string;
  readonly kube: string;
  readonly token: string;
  readonly etcdPort: number;
  readonly peerPort: number;
  readonly port: number;
}

function start(plan: Plan, name: string, command: string, args: readonly string[]): ChildProcess {
  const log = openSync(path.join(plan.dir, `${name}.log`), "a");
  return spawn(command, args, { stdio: ["ignore", log, log], cwd: plan.dir });
}

function startEtcd(plan: Plan): ChildProcess {
  const client = `http://127.0.0.1:${plan.etcdPort}`;
  const peer = `http://127.0.0.1:${plan.peerPort}`;
  return start(plan, "etcd", "/usr/bin/etcd", [
    ...["--data-dir", path.join(plan.dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn"],
    ...["--listen-client-urls", client, "--advertise-client-urls", client],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
    ...["--initial-cluster", `default=${peer}`],
  ]);
}

function startApiServer(plan: Plan): ChildProcess {
  const file = (name: string): string => path.join(plan.dir, name);
  return start(plan, "kube-apiserver", path.join(plan.kube, "kube-apiserver"), [
    `--etcd-servers=http://127.0.0.1:${plan.etcdPort}`,
    ...["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", `--secure-port=${plan.port}`],
    `--cert-dir=${plan.dir}`,
    `--token-auth-file=${file("tokens.csv")}`,
    "--authorization-mode=RBAC",
    "--service-cluster-ip-range=10.99.0.0/16",
    "--service-account-issuer=https://kubernetes.default.svc",
    ...[
      `--service-account-key-file=${file("sa.key")}`,
      `--service-account-signing-key-file=${file("sa.key")}`,
    ],
    "--disable-admission-plugins=ServiceAccount",
    "--watch-cache=true",
  ]);
}

function prepare(plan: Plan): void {
  writeFileSync(path.join(plan.dir, "tokens.csv"), `${plan.token},admin,admin,"system:masters"\n`);
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(path.join(plan.dir, "sa.key"), privateKey.export({ type: "pkcs1", format: "pem" }));
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  child.kill("SIGCONT");
  child.kill("SIGKILL");
  await gone;
}

async function ready(plan: Plan): Promise<string> {
  const what = `kube-apiserver on port ${plan.port} (log: ${plan.dir}/kube-apiserver.log)`;
  return until(what, 180_000, async () => {
    const ca = readFileSync(path.join(plan.dir, "apiserver.crt"), "utf8");
    const server = `https://127.0.0.1:${plan.port}`;
    const client = createKubeClient({ server, current: () => ({ ca, token: plan.token }) });
    try {
      await client.get("/api/v1/namespaces/default");
      return ca;
    } finally {
      client.close();
    }
  });
}

/** Starts etcd and kube-apiserver (built on first use, see hack/cluster) and waits until they answer. */
export async function startApiServerForTest(): Promise<TestApiServer> {
  const plan: Plan = {
    dir: mkdtempSync(path.join(os.tmpdir(), "osm-api-")),
    kube: await ensureKube(new Progress(toStderr)),
    token: randomBytes(16).toString("hex"),
    etcdPort: await freePort(),
    peerPort: await freePort(),
    port: await freePort(),
  };
  prepare(plan);
  let etcd = startEtcd(plan);
  let apiserver = startApiServer(plan);
  const stop = async (): Promise<void> => {
    await end(apiserver);
    await end(etcd);
    rmSync(plan.dir, { recursive: true, force: true, maxRetries: 3 });
  };
  const ca = await ready(plan).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const credentials = (port = plan.port): KubeCredentials => ({
    server: `https://127.0.0.1:${port}`,
    current: () => ({ ca, token: plan.token }),
  });
  return {
    port: plan.port,
    ca,
    token: plan.token,
    etcdPort: plan.etcdPort,
    tokenSigningKey: readFileSync(path.join(plan.dir, "sa.key"), "utf8"),
    get pids() {
      return { etcd: etcd.pid ?? 0, apiserver: apiserver.pid ?? 0 };
    },
    credentials,
    client: () => createKubeClient(credentials()),
    stopApiServer: () => end(apiserver),
    startAgain: async () => {
      apiserver = startApiServer(plan);
      await ready(plan);
    },
    stopEtcd: () => end(etcd),
    startEtcdAgain: async () => {
      etcd = startEtcd(plan);
      // Without its store for long it may end by itself; a kubelet would start it again.
      if (apiserver.exitCode !== null || apiserver.signalCode !== null) apiserver = startApiServer(plan);
      await ready(plan);
    },
    stop,
  };
}
