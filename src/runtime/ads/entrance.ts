/** The way into the ADS server: TLS with the chain that each connection is to be shown. */
import type { Socket } from "node:net";
import type { Server } from "@grpc/grpc-js";
import type { Clock } from "../ports";
import { peerOf } from "./connections";
import { RotatingCredentials, type ServingMaterial } from "./credentials";
import { Handshakes, type Shown } from "./handshakes";

type Injector = ReturnType<Server["createConnectionInjector"]>;

/** What an entrance is made of. */
export interface EntranceOptions {
  readonly serving: ServingMaterial;
  readonly clock: Clock;
  /** Whether a client certificate is of the present root; default: yes. */
  readonly isOwn?: ((certificate: Uint8Array) => boolean) | undefined;
}

/** Takes connections in, and knows what each was shown. */
export class Entrance {
  readonly handshakes: Handshakes;
  private readonly credentials: Readonly<Record<Shown, RotatingCredentials>>;
  private injectors: Readonly<Record<Shown, Injector>> | undefined;

  constructor(private readonly options: EntranceOptions) {
    const { serving, clock } = options;
    this.credentials = {
      alone: new RotatingCredentials(serving),
      crossed: new RotatingCredentials(crossedOf(serving)),
    };
    this.handshakes = new Handshakes(clock);
    this.handshakes.present(serving.root, serving.crossPem !== undefined);
  }

  /** From now on connections are of that server. */
  open(grpc: Server): void {
    this.injectors = {
      alone: grpc.createConnectionInjector(this.credentials.alone),
      crossed: grpc.createConnectionInjector(this.credentials.crossed),
    };
  }

  /** Takes a connection in. */
  admit(socket: Socket): void {
    const peer = peerOf(socket);
    socket.on("close", () => {
      this.handshakes.ended(peer);
    });
    const shown = this.handshakes.begin(peer, socket.remoteAddress ?? "");
    this.injectors?.[shown].injectConnection(socket);
  }

  /** New connections see this certificate and trust. */
  present(material: ServingMaterial): void {
    this.credentials.alone.rotate(material);
    this.credentials.crossed.rotate(crossedOf(material));
    this.handshakes.present(material.root, material.crossPem !== undefined);
  }

  drain(graceMs: number): void {
    for (const injector of Object.values(this.injectors ?? {})) injector.drain(graceMs);
  }

  /** The root that a peer has been shown alone, and of which its client certificate is, where it came by that alone. */
  rootOf(peer: string, clientCertificate: Uint8Array | undefined): string | null {
    const { isOwn = (): boolean => true } = this.options;
    if (clientCertificate !== undefined && !isOwn(clientCertificate)) return null;
    return this.handshakes.rootOf(peer);
  }
}

function crossedOf(material: ServingMaterial): ServingMaterial {
  return { ...material, certPem: material.certPem + (material.crossPem ?? "") };
}
