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
  /** Whether a client certificate is of the present root, which {@link Entrance.present} follows; default: yes. */
  readonly isOwn?: ((certificate: Uint8Array) => boolean) | undefined;
}

/** Takes connections in, and knows what each was shown. */
export class Entrance {
  readonly handshakes: Handshakes;
  /** By call: whether its client certificate is of the present root, which costs a verification to know. */
  private own = new WeakMap<object, boolean>();
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
      this.handshakes.ended(peer, socket.bytesRead);
    });
    const shown = this.handshakes.begin(peer, socket.remoteAddress ?? "");
    this.injectors?.[shown].injectConnection(socket);
  }

  /** New connections see this certificate and trust. */
  present(material: ServingMaterial): void {
    this.own = new WeakMap();
    this.credentials.alone.rotate(material);
    this.credentials.crossed.rotate(crossedOf(material));
    this.handshakes.present(material.root, material.crossPem !== undefined);
  }

  drain(graceMs: number): void {
    for (const injector of Object.values(this.injectors ?? {})) injector.drain(graceMs);
  }

  /**
   * The root that a call's peer has been shown alone, and of which its client certificate is, where it came by that alone.
   * `certificateOf` is asked once for each call and root, however often somebody counts.
   */
  rootOf(call: { getPeer(): string }, certificateOf: () => Uint8Array | undefined): string | null {
    const isOwn = this.own.get(call) ?? this.isOwn(certificateOf());
    this.own.set(call, isOwn);
    return isOwn ? this.handshakes.rootOf(call.getPeer()) : null;
  }

  private isOwn(clientCertificate: Uint8Array | undefined): boolean {
    const { isOwn = (): boolean => true } = this.options;
    return clientCertificate === undefined || isOwn(clientCertificate);
  }
}

function crossedOf(material: ServingMaterial): ServingMaterial {
  return { ...material, certPem: material.certPem + (material.crossPem ?? "") };
}
