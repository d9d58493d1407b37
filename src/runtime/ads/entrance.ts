/** The way into the ADS server: TLS with the chain that each connection is to be shown. */
import type { Socket } from "node:net";
import type { Server } from "@grpc/grpc-js";
import type { Clock } from "../ports";
import { peerOf } from "./connections";
import { RotatingCredentials, type ServingMaterial } from "./credentials";
import { Handshakes, type Shown } from "./handshakes";
import { Strays } from "./strays";

/** From when a connection is let in to its first stream, milliseconds: as long as its handshake may take. */
const NEW_CONNECTION_MS = 5_000;
/** From a connection's last stream to the next, milliseconds. */
const LONELY_MS = 5_000;

/** A call, as far as its connection is concerned. */
interface Peer {
  getPeer(): string;
}

/** The client certificate that a call was opened by; undefined: it was by something else. */
type CertificateOf<Call> = (call: Call) => Uint8Array | undefined;

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
  readonly strays: Strays;
  /** By call: whether its client certificate is of the present root, which costs a verification to know. */
  private own = new WeakMap<object, boolean>();
  private readonly credentials: Readonly<Record<Shown, RotatingCredentials>>;
  /** Whether client certificates of another root than the present one are believed too. */
  private trustsSeveral: boolean;
  private injectors: Readonly<Record<Shown, Injector>> | undefined;

  constructor(private readonly options: EntranceOptions) {
    const { serving, clock } = options;
    this.credentials = {
      alone: new RotatingCredentials(serving),
      crossed: new RotatingCredentials(crossedOf(serving)),
    };
    this.handshakes = new Handshakes(clock);
    this.trustsSeveral = countOf(serving.clientRoots) > 1;
    this.strays = new Strays(clock, { newConnectionMs: NEW_CONNECTION_MS, lonelyMs: LONELY_MS });
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
      this.strays.ended(peer);
    });
    this.strays.began(peer);
    const shown = this.handshakes.begin(peer, socket.remoteAddress ?? "");
    this.injectors?.[shown].injectConnection(socket);
  }

  /** New connections see this certificate and trust. */
  present(material: ServingMaterial): void {
    this.own = new WeakMap();
    this.trustsSeveral = countOf(material.clientRoots) > 1;
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
  rootOf<Call extends Peer>(call: Call, certificateOf: CertificateOf<Call>): string | null {
    return this.proves(call, certificateOf) ? this.handshakes.rootOf(call.getPeer()) : null;
  }

  /**
   * Whether a call's connection should be made anew, so that its peer shows and is shown what is in use now. A machine that trusted
   * both roots has presented the certificate that it had then; that it has fetched another one since is seen at its next handshake
   * alone, so while the old root is trusted it is asked for one a minute later, and every minute until it has.
   */
  isStale<Call extends Peer>(call: Call, certificateOf: CertificateOf<Call>): boolean {
    const peer = call.getPeer();
    if (this.handshakes.isStale(peer)) return true;
    return this.trustsSeveral && this.handshakes.isOld(peer) && !this.proves(call, certificateOf);
  }

  private proves<Call extends Peer>(call: Call, certificateOf: CertificateOf<Call>): boolean {
    const isOwn = this.own.get(call) ?? this.isOwn(certificateOf(call));
    this.own.set(call, isOwn);
    return isOwn;
  }

  private isOwn(clientCertificate: Uint8Array | undefined): boolean {
    const { isOwn = (): boolean => true } = this.options;
    return clientCertificate === undefined || isOwn(clientCertificate);
  }
}

/** Certificates in a PEM text. */
function countOf(pem: string): number {
  return pem.split("-----BEGIN CERTIFICATE-----").length - 1;
}

function crossedOf(material: ServingMaterial): ServingMaterial {
  return { ...material, certPem: material.certPem + (material.crossPem ?? "") };
}
