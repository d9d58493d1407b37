import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** What a root is for: to issue and be trusted, to be trusted only, or nothing. */
export type RootRole = "passive" | "active" | "inactive";

/** MeshRootCertificate (`config.openservicemesh.io/v1alpha2`): a root of trust and who issues from it. */
export interface MeshRootCertificateSpec {
  /** Exactly one of this and {@link MeshRootCertificateSpec.intent}. */
  readonly role?: RootRole;
  /** What OSM 1.2 called the role. */
  readonly intent?: Exclude<RootRole, "inactive">;
  /** Default `cluster.local`. */
  readonly trustDomain?: string;
  /** Default false. */
  readonly spiffeEnabled?: boolean;
  /** Where the CA is in a Secret: the mesh makes a new one there after each such time, a Go duration, and rotates to it. */
  readonly rotation?: { readonly every: string };
  /** Exactly one of the three. */
  readonly provider: {
    readonly certManager?: {
      readonly issuerName: string;
      readonly issuerKind: "ClusterIssuer" | "Issuer";
      readonly issuerGroup: string;
    };
    readonly vault?: {
      readonly host: string;
      readonly port: number;
      readonly role: string;
      readonly protocol: "http" | "https";
      readonly token: {
        readonly secretKeyRef: { readonly name: string; readonly key: string; readonly namespace: string };
      };
    };
    readonly tresor?: {
      readonly ca: { readonly secretRef: { readonly name: string; readonly namespace: string } };
    };
  };
}

/** Bounds of `rotation.every`, milliseconds: leaves come and go many times between two roots, and a CA outlives it twice. */
export const ROTATION_EVERY = { minMs: 3_600_000, maxMs: 43_800 * 3_600_000 } as const;

const certManager = is.object(
  { issuerName: is.objectName, issuerKind: is.word("ClusterIssuer", "Issuer"), issuerGroup: is.objectName },
  ["issuerName", "issuerKind", "issuerGroup"],
);

const vault = is.object(
  {
    host: is.host,
    port: is.port,
    role: is.text(253),
    protocol: is.word("http", "https"),
    token: is.object(
      {
        secretKeyRef: is.object({ name: is.objectName, key: is.text(253), namespace: is.labelName }, [
          "name",
          "key",
          "namespace",
        ]),
      },
      ["secretKeyRef"],
    ),
  },
  ["host", "port", "role", "protocol", "token"],
);

const tresor = is.object(
  {
    ca: is.object(
      { secretRef: is.object({ name: is.objectName, namespace: is.labelName }, ["name", "namespace"]) },
      ["secretRef"],
    ),
  },
  ["ca"],
);

const check = is.specOf(
  is.all(
    is.object(
      {
        role: is.word("passive", "active", "inactive"),
        intent: is.word("passive", "active"),
        trustDomain: is.objectName,
        spiffeEnabled: is.flag,
        rotation: is.object({ every: is.duration(ROTATION_EVERY.minMs) }, ["every"]),
        provider: is.all(
          is.object({ certManager, vault, tresor }),
          is.exactlyOne("certManager", "vault", "tresor"),
        ),
      },
      ["provider"],
    ),
    is.exactlyOne("role", "intent"),
  ),
);

/** What is wrong with the fields of a MeshRootCertificate. */
export function validateMeshRootCertificate(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}

/** The role under either name; a root without any is not used. */
export function roleOf({ role, intent }: Pick<MeshRootCertificateSpec, "role" | "intent">): RootRole {
  return role ?? intent ?? "inactive";
}
