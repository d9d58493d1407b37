/** Real Envoys in network namespaces with the bootstrap of injected pods; only the way to ADS is a socket, which a link carries on. */
import { once } from "node:events";
import type { ChildProcess } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { bootstrap, sdsDocuments } from "../../src/injector/bootstrap";
import { FILE_ADMIN_SOCKET, FILE_ROOT_SDS, FILE_TOKEN, FILE_TOKEN_SDS } from "../../src/injector/names";
import { ADS_SERVICE, CA_ROOT_KEY, SIDECAR_UID } from "../../src/model/mesh-words";
import { envoyAdmin, type EnvoyAdmin } from "../support/envoy-admin";
import type { NetworkPod } from "../support/netns";
import { redirect, type Workshop } from "../support/sidecar";
import { waitFor } from "../support/wait";
import type { Link } from "./link";

/** How long an Envoy may take to get its first configuration, milliseconds. */
const READY_MS = 120_000;

interface StaticCluster {
  readonly name: string;
  load_assignment: unknown;
  upstream_connection_options?: unknown;
}

/** The bootstrap of injected pods with a socket in place of the Service's address. */
function bootstrapText(folder: string, socket: string): string {
  const input = { adsAddress: "127.0.0.1:15128", routes: [], metrics: false, ipv6: false };
  const config = bootstrap(input, { identity: folder, run: folder }) as {
    static_resources: { clusters: StaticCluster[] };
  };
  const ads = config.static_resources.clusters.find(({ name }) => name === ADS_SERVICE);
  if (ads === undefined) throw new Error("a bootstrap without ADS");
  const endpoint = { address: { pipe: { path: socket } } };
  ads.load_assignment = { cluster_name: ADS_SERVICE, endpoints: [{ lb_endpoints: [{ endpoint }] }] };
  // Keepalive is a matter of TCP.
  delete ads.upstream_connection_options;
  return JSON.stringify(config);
}

/** What a sidecar is made of. */
export interface SidecarPlan {
  readonly place: NetworkPod;
  readonly workshop: Workshop;
  readonly token: string;
  /** PEM of the roots that verify ADS. */
  readonly root: string;
  readonly ads: Link;
  readonly onFinding: (text: string) => void;
}

/** One Envoy, and the one after it, and so on. */
export class ChaosSidecar {
  readonly admin: EnvoyAdmin;
  readonly ads: Link;
  private child: ChildProcess | undefined;
  private expectedEnd = false;
  private readonly folder: string;

  constructor(private readonly plan: SidecarPlan) {
    this.folder = path.join(plan.workshop.folder, plan.place.name);
    this.admin = envoyAdmin(path.join(this.folder, FILE_ADMIN_SOCKET));
    this.ads = plan.ads;
  }

  get name(): string {
    return this.plan.place.name;
  }

  /** What it has written: log and access log. */
  get outputFiles(): readonly string[] {
    return [path.join(this.folder, "envoy.log"), path.join(this.folder, "access.log")];
  }

  /** Lines of the access log that hold a text. */
  accessLines(text: string): readonly string[] {
    const [, file = ""] = this.outputFiles;
    if (!existsSync(file)) return [];
    return readFileSync(file, "utf8")
      .split("\n")
      .filter(line => line.includes(text));
  }

  /** Writes its files and applies the redirect rules. */
  async prepare(): Promise<void> {
    const { place, root, token } = this.plan;
    mkdirSync(this.folder, { recursive: true });
    chmodSync(this.folder, 0o777);
    const documents = sdsDocuments({ identity: this.folder, run: this.folder });
    const files = {
      [CA_ROOT_KEY]: root,
      [FILE_TOKEN]: token,
      [FILE_TOKEN_SDS]: documents.token,
      [FILE_ROOT_SDS]: documents.root,
    };
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(this.folder, name);
      writeFileSync(file, text);
      chownSync(file, SIDECAR_UID, SIDECAR_UID);
    }
    redirect(place);
    await this.ads.listen(path.join(this.folder, "ads.sock"));
  }

  async start(): Promise<void> {
    const { place, workshop, onFinding } = this.plan;
    const [logFile = "", accessFile = ""] = this.outputFiles;
    const flags = ["--disable-hot-restart", "--concurrency", "1", "--drain-time-s", "1"];
    const more = ["--drain-strategy", "immediate", "--file-flush-interval-msec", "100", "-l", "info"];
    const identity = ["--service-node", place.name, "--service-cluster", place.name];
    const config = ["--config-yaml", bootstrapText(this.folder, path.join(this.folder, "ads.sock"))];
    const child = place.start([workshop.envoy, ...flags, ...more, ...identity, ...config], {
      uid: SIDECAR_UID,
      stdio: ["ignore", openSync(accessFile, "a"), openSync(logFile, "a")],
    });
    this.child = child;
    this.expectedEnd = false;
    child.once("exit", (code, signal) => {
      if (!this.expectedEnd) onFinding(`Envoy of ${place.name} ended by itself (${String(code ?? signal)})`);
    });
    await waitFor(
      `Envoy of ${place.name} ready`,
      async () => (await this.admin.admin("/ready").catch(() => "")).startsWith("LIVE"),
      READY_MS,
    );
  }

  async disturb(how: "kill" | "pause"): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    if (how === "pause") {
      child.kill("SIGSTOP");
      return;
    }
    this.expectedEnd = true;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async heal(how: "kill" | "pause"): Promise<void> {
    if (how === "pause") this.child?.kill("SIGCONT");
    else await this.start();
  }

  /** Its end is expected from now on. */
  close(): void {
    this.expectedEnd = true;
    this.ads.close();
    this.child?.kill("SIGCONT");
    this.child?.kill("SIGKILL");
  }
}
