import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { ADS_SAN } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { bundle } from "../bench/build";
import { BenchMesh } from "../bench/mesh";
import { AdsClient } from "./ads-client";
import { FaultyApi } from "./faulty-api";
import { watchOutput } from "./told-errors";
import { waitFor } from "./wait";
import { kubeconfigOf } from "./kubeconfig";

/** Below the folder of a run: whom its process has called. */
const CALLED = "called";

/** A control plane in a process of its own, before a real API server through {@link FaultyApi}, and proxies of pods that ask as Envoy does. */
export class OutsideMesh {
  readonly proxies: AdsClient[] = [];
  /** What the process has written. */
  readonly said: string[] = [];

  private constructor(
    readonly mesh: BenchMesh,
    readonly api: FaultyApi,
    readonly process: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(services: number): Promise<OutsideMesh> {
    const mesh = await BenchMesh.start();
    await mesh.growTo(services);
    const { server } = mesh.api;
    const api = await FaultyApi.before(server);
    const folder = mkdtempSync(path.join(os.tmpdir(), "osm-outage-"));
    const file = path.join(folder, "kubeconfig");
    writeFileSync(file, kubeconfigOf({ server: api.url, ca: api.ca, token: server.token }));
    const args = [
      "--kubeconfig",
      file,
      "--ads-address",
      "127.0.0.1:0",
      "--root-file",
      path.join(folder, "root.pem"),
    ];
    const node = ["--require", "./test/support/called-addresses.cjs"];
    const child = spawn(process.execPath, [...node, bundle("hack/control-plane/main.ts"), ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, TMPDIR: folder, OSM_CALLED: path.join(folder, CALLED) },
    });
    const made = new OutsideMesh(mesh, api, child, folder);
    const watch = watchOutput("control plane");
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      made.said.push(text);
      watch(text);
    });
    const gone = once(child, "exit").then(() => {
      throw new Error(`the control plane ended:\n${made.said.join("").slice(-2_000)}`);
    });
    gone.catch(() => undefined);
    const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), gone])) as [string];
    made.connect((JSON.parse(line) as { adsPort: number }).adsPort);
    return made;
  }

  /** Whether it has never ended. */
  get isAlive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Whom the process has called since its start, as `called-addresses.cjs` says it. */
  called(): readonly string[] {
    const file = path.join(this.folder, CALLED);
    return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
  }

  /** CPU that the process has used, seconds. */
  cpuSeconds(): number {
    const [, rest = ""] = readFileSync(`/proc/${this.process.pid ?? 0}/stat`, "utf8").split(") ");
    const fields = rest.split(" ");
    // Fields 14 and 15 of proc_pid_stat(5), in ticks of a hundredth of a second.
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** Versions of the endpoints that a proxy holds of the Service with that number, as it was given them. */
  endpointsAt(proxy: AdsClient, service: number): string {
    const held = [...(proxy.held.get(TYPE_URLS.endpoint)?.values() ?? [])];
    return held
      .filter(({ name }) => new RegExp(`\\bs${service}\\b`).test(name))
      .map(({ name, version }) => `${name}=${version}`)
      .join(" ");
  }

  async stop(): Promise<void> {
    for (const proxy of this.proxies) proxy.close();
    if (this.isAlive) {
      const gone = once(this.process, "exit");
      this.process.kill("SIGKILL");
      await gone;
    }
    await this.api.close();
    await this.mesh.api.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Waits until each proxy has endpoints of its own Service's. */
  async settled(): Promise<void> {
    await waitFor(
      "configuration",
      () => this.proxies.every(proxy => this.endpointsAt(proxy, 0) !== ""),
      120_000,
    );
  }

  private connect(port: number): void {
    const root = readFileSync(path.join(this.folder, "root.pem"), "utf8");
    const tokens = this.mesh.tokens(this.mesh.pods.map((_, index) => index));
    for (const token of tokens) {
      const proxy = new AdsClient({ address: `127.0.0.1:${port}`, root, serverName: ADS_SAN, token });
      const asked = new Set<string>();
      proxy.onResponse = ({ typeUrl, resources }) => {
        if (typeUrl !== TYPE_URLS.cluster) return;
        const subscribe = resources.map(({ name }) => name).filter(name => !asked.has(name));
        for (const name of subscribe) asked.add(name);
        if (subscribe.length > 0) proxy.send({ typeUrl: TYPE_URLS.endpoint, subscribe });
      };
      proxy.send({ typeUrl: TYPE_URLS.cluster });
      proxy.send({ typeUrl: TYPE_URLS.listener });
      proxy.send({ typeUrl: TYPE_URLS.secret, subscribe: ["service-cert"] });
      this.proxies.push(proxy);
    }
  }
}
