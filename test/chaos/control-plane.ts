/** The control plane of a chaos run: one process that writes and serves, and replicas that serve, each as `npm run control-plane` starts it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { repositoryRoot } from "../../hack/cluster/settings";
import type { Facts, FactsAnswer, FactsQuestion } from "../../hack/control-plane/facts";
import { bundle } from "../bench/build";
import { freePort, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";
import { kubeconfigOf } from "../support/kubeconfig";
import { Link } from "./link";
import type { ProcessFault } from "./plan";

/** How long a process may take to become ready, milliseconds: ten times what it takes on a busy machine. */
const READY_MS = 120_000;
/** How long a process may take to answer a question, milliseconds. */
const ANSWER_MS = 30_000;

/** Below the folder of a run: whom its processes have called, where `called-addresses.cjs` notes it. */
const CALLED = "called";

interface ReplicaPlan {
  readonly index: number;
  readonly folder: string;
  readonly args: readonly string[];
  /** One file, so that a process that is started again is the same as the one before, whatever becomes of the sources meanwhile. */
  readonly program: string;
  readonly adsPort: number;
  /** Options of Node. */
  readonly node?: readonly string[];
  /** Variables of its environment, beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** What came out of it that nobody asked for. */
  readonly onFinding: (text: string) => void;
}

/** One process, and the one after it, and so on. */
export class Replica {
  readonly watches: Link;
  private child: ChildProcess | undefined;
  private current: string;
  private ready = false;
  private expectedEnd = false;
  private questions = 0;
  private readonly waiting = new Map<number, (facts: Facts) => void>();

  constructor(
    private readonly plan: ReplicaPlan,
    api: TestApiServer,
  ) {
    this.watches = new Link(() => net.connect(api.port, "127.0.0.1"));
    this.current = plan.program;
  }

  /** Where proxies reach it; undefined: it is not ready. */
  get adsPort(): number | undefined {
    return this.ready ? this.plan.adsPort : undefined;
  }

  get logFile(): string {
    return path.join(this.plan.folder, `control-plane-${this.plan.index}.log`);
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Processes that are started from now on are of this program: another version of the control plane. */
  runs(program: string): void {
    this.current = program;
  }

  /** The program of the processes that are started. */
  get program(): string {
    return this.current;
  }

  /** Starts a process; resolves when it is ready. One that ends before, as it does without an API server, is started again. */
  async start(): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (!(await this.tryOnce())) {
      if (Date.now() > deadline)
        throw new Error(`control plane ${this.plan.index} does not become ready: ${this.logFile}`);
    }
  }

  private async tryOnce(): Promise<boolean> {
    const log = openSync(this.logFile, "a");
    // Whoever looks for a leak: SIGUSR2 makes it write a snapshot of its heap.
    const { node: more = [], folder, env } = this.plan;
    const node = ["--expose-gc", "--heapsnapshot-signal=SIGUSR2", `--diagnostic-dir=${folder}`, ...more];
    const child = spawn(process.execPath, [...node, this.current, ...this.plan.args], {
      stdio: ["ignore", "pipe", log, "ipc"],
      cwd: repositoryRoot(),
      env: { ...process.env, TMPDIR: folder, ...env, OSM_CALLED: path.join(folder, CALLED) },
    });
    // The process has its own.
    closeSync(log);
    this.child = child;
    this.expectedEnd = false;
    child.on("message", ({ facts, answer }: FactsAnswer) => {
      this.waiting.get(facts)?.(answer);
      this.waiting.delete(facts);
    });
    child.once("exit", (code, signal) => {
      if (this.child !== child) return;
      const wasReady = this.ready;
      this.ready = false;
      if (this.expectedEnd || !wasReady) return;
      this.plan.onFinding(
        `control plane ${this.plan.index} ended by itself (${String(code ?? signal)}): ${this.tail()}`,
      );
    });
    if (child.stdout === null) throw new Error("no output");
    const said = once(createInterface(child.stdout), "line").then(() => true);
    const ended = once(child, "exit").then(() => false);
    this.ready = await Promise.race([said, ended]);
    return this.ready;
  }

  private tail(): string {
    return readFileSync(this.logFile, "utf8").slice(-2_000);
  }

  async disturb(how: ProcessFault): Promise<void> {
    const { child } = this;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    if (how === "pause") {
      child.kill("SIGSTOP");
      return;
    }
    this.expectedEnd = true;
    this.ready = false;
    const ended = once(child, "exit");
    child.kill(how === "term" ? "SIGTERM" : "SIGKILL");
    await ended;
  }

  async heal(how: ProcessFault): Promise<void> {
    if (how === "pause") this.child?.kill("SIGCONT");
    else await this.start();
  }

  /** What is in it. Rejects when it does not answer. */
  facts(): Promise<Facts> {
    const facts = ++this.questions;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(facts);
        reject(new Error(`control plane ${this.plan.index} does not answer`));
      }, ANSWER_MS);
      this.waiting.set(facts, answer => {
        clearTimeout(timer);
        resolve(answer);
      });
      this.child?.send({ facts } satisfies FactsQuestion, error => {
        if (error === null) return;
        clearTimeout(timer);
        reject(error);
      });
    });
  }

  async stop(): Promise<void> {
    this.watches.close();
    this.child?.kill("SIGCONT");
    await this.disturb("kill");
  }
}

/** All replicas; the first one writes. */
export class ControlPlaneProcesses {
  private turn = 0;

  private constructor(
    readonly replicas: readonly Replica[],
    private readonly place: { readonly folder: string; readonly rootFile: string },
    /** Ports of loopback that they were told of: the API server's, and each other's ledgers. */
    private readonly told: readonly number[],
  ) {}

  /** Starts them; each reaches the API server through a link of its own. */
  static async start(
    api: TestApiServer,
    count: number,
    place: Pick<ReplicaPlan, "folder" | "node" | "env" | "onFinding">,
  ): Promise<ControlPlaneProcesses> {
    const rootFile = path.join(place.folder, "root.pem");
    const program = bundle(path.join(repositoryRoot(), "hack/control-plane/main.ts"));
    const ports = await Promise.all(
      Array.from({ length: count }, async () => ({
        ads: await freePort(),
        ledger: await freePort(),
        api: await freePort(),
      })),
    );
    const ledgers = ports.slice(1).map(({ ledger }) => `127.0.0.1:${ledger}`);
    const replicas: Replica[] = [];
    for (const [index, port] of ports.entries()) {
      const kubeconfig = path.join(place.folder, `kubeconfig-${index}`);
      const { ca, token } = api;
      writeFileSync(kubeconfig, kubeconfigOf({ server: `https://127.0.0.1:${port.api}`, ca, token }));
      const role =
        index === 0
          ? ["--root-file", rootFile, ...(ledgers.length === 0 ? [] : ["--follow", ...ledgers])]
          : ["--replica", "--ledger-address", `127.0.0.1:${port.ledger}`];
      const args = ["--kubeconfig", kubeconfig, "--ads-address", `127.0.0.1:${port.ads}`, ...role];
      const replica = new Replica({ index, args, program, adsPort: port.ads, ...place }, api);
      await replica.watches.listen(port.api);
      replicas.push(replica);
    }
    const told = ports.flatMap(({ api: link, ledger }) => [link, ledger]);
    const processes = new ControlPlaneProcesses(replicas, { folder: place.folder, rootFile }, told);
    // The first one makes what the others look for.
    for (const replica of replicas) await replica.start();
    return processes;
  }

  /** PEM of the roots that verify ADS. */
  get root(): string {
    return readFileSync(this.place.rootFile, "utf8");
  }

  /** Whom they have called beside those that they were told of, and how many that were in all; 0: nothing was noted. */
  called(): { readonly count: number; readonly strangers: readonly string[] } {
    const file = path.join(this.place.folder, CALLED);
    const called = new Set(existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []);
    const told = new Set(this.told.map(port => `tcp 127.0.0.1:${port}`));
    const strangers = [...called].filter(each => !told.has(each));
    return { count: called.size, strangers };
  }

  /** A connection to one of those that are ready, as a Service makes it; undefined: none is. */
  connect(): net.Socket | undefined {
    const ports = this.replicas.flatMap(({ adsPort }) => adsPort ?? []);
    this.turn += 1;
    const port = ports[this.turn % Math.max(1, ports.length)];
    return port === undefined ? undefined : net.connect(port, "127.0.0.1");
  }

  async stop(): Promise<void> {
    await Promise.all(this.replicas.map(replica => replica.stop()));
  }
}

/** Waits for the answer of a replica that may have been disturbed a moment ago. */
export function factsOf(replica: Replica): Promise<Facts> {
  return waitFor("an answer of the control plane", () => replica.facts().catch(() => undefined), ANSWER_MS);
}
