/** TLS of the ADS server: version 1.3 only, a client certificate asked for, everything replaceable while it runs. */
import { ServerCredentials } from "@grpc/grpc-js";
import type { SecureContextOptions } from "node:tls";

/** Deadline of a TLS handshake, milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 5_000;

/** What the server presents and trusts, PEM. */
export interface ServingMaterial {
  readonly certPem: string;
  readonly keyPem: string;
  /** Roots of client certificates. A certificate of another root counts as none: it proves nothing. */
  readonly clientRoots: string;
  /** Name of the root that the chain leads to; undefined: nobody asks. */
  readonly root?: string;
  /** Certificates by which the root before that verifies the chain too; absent: there is none. */
  readonly crossPem?: string;
}

function contextOf(material: ServingMaterial): SecureContextOptions {
  return { cert: material.certPem, key: material.keyPem, ca: material.clientRoots, minVersion: "TLSv1.3" };
}

/** Credentials whose certificate and trust can be replaced; open connections keep what they were made with. */
export class RotatingCredentials extends ServerCredentials {
  /** `demand`: a client without a certificate of these roots is refused at once. Default: it may prove itself otherwise. */
  constructor(material: ServingMaterial, demand = false) {
    super(
      {
        requestCert: true,
        rejectUnauthorized: demand,
        minVersion: "TLSv1.3",
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      },
      contextOf(material),
    );
  }

  /** New connections use `material` from now on. Throws when certificate and key are unusable; the old ones then stay. */
  rotate(material: ServingMaterial): void {
    this.updateSecureContextOptions(contextOf(material));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
