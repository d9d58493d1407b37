import { until } from "../../../hack/cluster/progress";
import { SDS_ROOT_CERT, SDS_SERVICE_CERT } from "../../../src/model/mesh-words";
import type { SidecarAdmin } from "./sidecar-admin";

/** A secret that a sidecar really holds. */
export interface HeldSecret {
  /** As the control plane named it: fingerprints of roots, or of a leaf's root and when it is due. */
  readonly version: string;
  /** When the sidecar took it, epoch milliseconds. */
  readonly at: number;
  /** Certificates in it: each as its PEM text. */
  readonly pem: string;
}

/** What a sidecar holds of its mesh certificates. */
export interface HeldSecrets {
  readonly trust: HeldSecret;
  readonly leaf: HeldSecret;
}

interface DumpedSecret {
  readonly name: string;
  readonly version_info?: string;
  readonly last_updated?: string;
  readonly secret?: {
    readonly validation_context?: { readonly trusted_ca?: Inline };
    readonly tls_certificate?: { readonly certificate_chain?: Inline };
  };
}

interface Inline {
  readonly inline_bytes?: string;
}

function held({ version_info: version, last_updated: at, secret }: DumpedSecret): HeldSecret {
  const bytes = secret?.validation_context?.trusted_ca ?? secret?.tls_certificate?.certificate_chain;
  const pem = Buffer.from(bytes?.inline_bytes ?? "", "base64").toString("utf8");
  return { version: version ?? "", at: Date.parse(at ?? ""), pem };
}

/** Reads what a sidecar holds; undefined while it holds not both. */
export async function heldSecrets(admin: SidecarAdmin): Promise<HeldSecrets | undefined> {
  const page = await admin.get("/config_dump?resource=dynamic_active_secrets");
  const { configs = [] } = JSON.parse(page) as { readonly configs?: readonly DumpedSecret[] };
  const [trust, leaf] = [SDS_ROOT_CERT, SDS_SERVICE_CERT].map(name =>
    configs.find(each => each.name === name),
  );
  return trust && leaf && { trust: held(trust), leaf: held(leaf) };
}

/** Trust domains of the names that complete a sidecar's handshakes, of either end; what is draining is left out. */
export async function acceptedDomains(admin: SidecarAdmin): Promise<readonly string[]> {
  const parts = ["dynamic_active_clusters", "dynamic_listeners", "dynamic_active_secrets"];
  const pages = await Promise.all(parts.map(part => admin.get(`/config_dump?resource=${part}`)));
  const active = pages.map(page =>
    JSON.stringify(JSON.parse(page, (key, value: unknown) => (key === "draining_state" ? undefined : value))),
  );
  const names = active.join().matchAll(/"(?:exact|prefix)":"spiffe:\/\/([^/"]+)\//g);
  return [...new Set([...names].map(([, domain = ""]) => domain))].sort();
}

/** Follows what sidecars hold, as often as the machine lets it. */
export class SecretHistory {
  /** By sidecar, each thing once, in the order in which it was seen. */
  public readonly seen: { readonly trust: HeldSecret[]; readonly leaf: HeldSecret[] }[];
  private stopping = false;
  private running: Promise<void> = Promise.resolve();

  public constructor(private readonly sidecars: readonly SidecarAdmin[]) {
    this.seen = sidecars.map(() => ({ trust: [], leaf: [] }));
  }

  /** Begins; {@link stop} ends it. */
  public start(): void {
    this.running = until("the end of looking", 86_400_000, async () => {
      await this.look();
      return this.stopping ? true : undefined;
    }).then(() => undefined);
  }

  public async stop(): Promise<void> {
    this.stopping = true;
    await this.running;
  }

  private async look(): Promise<void> {
    for (const [index, sidecar] of this.sidecars.entries()) {
      const now = await heldSecrets(sidecar);
      const seen = this.seen[index];
      if (now === undefined || seen === undefined) continue;
      for (const kind of ["trust", "leaf"] as const)
        if (seen[kind].at(-1)?.version !== now[kind].version) seen[kind].push(now[kind]);
    }
  }
}
