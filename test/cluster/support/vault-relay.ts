import { once } from "node:events";
import net from "node:net";
import { DEFAULT_OSM_NAMESPACE, DEFAULT_TRUST_DOMAIN } from "../../../src/model/mesh-words";
import { startVault } from "../../support/vault";
import { LiveRoots } from "./live-roots";
import type { Mesh } from "./mesh";

/** Role of the mesh in Vault, which lets it have any workload's certificate. */
const ROLE = "openservicemesh";
const ROLE_SPEC = {
  allow_any_name: true,
  enforce_hostnames: false,
  allowed_uri_sans: `spiffe://${DEFAULT_TRUST_DOMAIN}/*`,
  key_type: "ec",
  key_bits: 256,
  require_cn: false,
  max_ttl: "48h",
};

/** The real Vault, which listens on loopback alone, where pods reach it: at this machine's end of the link to the cluster. */
export class ReachableVault {
  private readonly open = new Set<net.Socket>();
  private server: net.Server | undefined;

  private constructor(
    private readonly mesh: Mesh,
    private readonly vault: Awaited<ReturnType<typeof startVault>>,
    private port: number,
  ) {}

  public static async start(mesh: Mesh): Promise<ReachableVault> {
    const vault = await startVault();
    await vault.write(`pki/roles/${ROLE}`, ROLE_SPEC);
    const made = new ReachableVault(mesh, vault, 0);
    await made.back();
    return made;
  }

  /** A MeshRootCertificate of it, active. */
  public async root(name: string): Promise<LiveRoots> {
    const secretKeyRef = { name, key: "token", namespace: DEFAULT_OSM_NAMESPACE };
    const place = {
      host: this.mesh.cluster.settings.hostAddress,
      port: this.port,
      protocol: "http",
      role: ROLE,
    };
    return LiveRoots.of(this.mesh, name, {
      trustDomain: DEFAULT_TRUST_DOMAIN,
      role: "active",
      provider: { vault: { ...place, token: { secretKeyRef } } },
      secret: { token: await this.vault.tokenFor(ROLE) },
    });
  }

  /** From now on its address refuses connections. */
  public async away(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (server === undefined) return;
    const closed = once(server, "close");
    server.close();
    for (const socket of this.open) socket.destroy();
    await closed;
  }

  /** It is reached again, at the same port. */
  public async back(): Promise<void> {
    const server = net.createServer(client => {
      const upstream = net.connect(this.vault.port, "127.0.0.1");
      this.carry(client, upstream);
      this.carry(upstream, client);
    });
    server.listen(this.port, this.mesh.cluster.settings.hostAddress);
    await once(server, "listening");
    this.port = (server.address() as net.AddressInfo).port;
    this.server = server;
  }

  public async stop(): Promise<void> {
    await this.away();
    await this.vault.stop();
  }

  private carry(from: net.Socket, to: net.Socket): void {
    this.open.add(from);
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.open.delete(from);
      to.destroy();
    });
  }
}
