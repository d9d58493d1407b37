/** External authorization of one workload, by an annotation of its pods, over that of the whole mesh. */
import type { Compiled } from "../model/diagnostic";
import { ANNOTATION_EXTERNAL_AUTHORIZATION } from "../model/mesh-words";
import type { ObjectRef } from "../model/object-ref";
import type { ExtensionService } from "../model/traffic";
import type { AuthorizationMode } from "./settings";
import { extensionCluster } from "./telemetry";
import type { ExternalClusterLeaf } from "./types";

/** How a workload's requests are authorized. */
export interface WorkloadAuthorization {
  readonly mode: AuthorizationMode;
  /** The server, where it is the workload's own. */
  readonly cluster: ExternalClusterLeaf | undefined;
  /** Objects that say so, besides MeshConfig. */
  readonly origins: readonly ObjectRef[];
}

const DISABLED = "disabled";
/** What MeshConfig says when it says nothing. */
const DEFAULTS = { statPrefix: "inboundExtAuthz", timeoutMs: 1000, failureModeAllow: false };

/** As the mesh says. */
export function meshAuthorization(mode: AuthorizationMode): WorkloadAuthorization {
  return { mode, cluster: undefined, origins: [] };
}

/**
 * Reads the annotation of a pod; absent: as the mesh says. Where the service that it names cannot be asked, nothing is let
 * through: somebody wants every request looked at.
 */
export function workloadAuthorization(
  annotation: string | undefined,
  mesh: AuthorizationMode,
  service: (key: string) => ExtensionService | undefined,
): WorkloadAuthorization {
  const written = annotation?.trim();
  if (written === undefined) return meshAuthorization(mesh);
  if (written.toLowerCase() === DISABLED) return meshAuthorization({ kind: "off" });
  const found = service(written);
  if (found?.http2 !== true) return meshAuthorization({ kind: "deny" });
  const cluster = extensionCluster(found, []);
  const terms =
    mesh.kind === "ask"
      ? {
          statPrefix: mesh.server.statPrefix,
          timeoutMs: mesh.server.timeoutMs,
          failureModeAllow: mesh.server.failureModeAllow,
        }
      : DEFAULTS;
  const server = { ...terms, cluster: cluster.name, address: found.host, port: found.port };
  return { mode: { kind: "ask", server }, cluster, origins: [found.ref] };
}

/** What the owner of a pod should know about its annotation. */
export function authorizationFindings(
  subject: ObjectRef,
  annotation: string | undefined,
  service: (key: string) => ExtensionService | undefined,
): Compiled<undefined>["diagnostics"] {
  const written = annotation?.trim();
  if (written === undefined || written.toLowerCase() === DISABLED) return [];
  const found = service(written);
  if (found?.http2 === true) return [];
  const problem =
    found === undefined
      ? `there is no ExtensionService ${written || '""'}`
      : `ExtensionService ${written} speaks http1, and authorization is asked for by gRPC`;
  return [
    {
      severity: "error",
      code: found === undefined ? "UnresolvedReference" : "InvalidField",
      subject,
      field: `metadata.annotations["${ANNOTATION_EXTERNAL_AUTHORIZATION}"]`,
      message: `${problem}; all inbound HTTP requests are refused`,
    },
  ];
}
