import type { MeshConfigSpec } from "../api/mesh-config";
import type { Inputs } from "../catalog/inputs";
import { structurallyEqual } from "../graph/equality";
import type { Cell } from "../graph/graph";
import type { Compiled, Diagnostic } from "../model/diagnostic";
import { parseDuration } from "../model/duration";
import type { TrustDomain } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";
import { AUTHORIZATION_CLUSTER, TRACING_CLUSTER } from "./names";
import type { PathReading } from "./path-pattern";
import type { EscapedSlashes, ExternalAuthorization, TlsParameters, Tracing } from "./types";

/** External authorization as configured. `deny`: it is wanted but cannot be asked, so nothing is let through. */
export type AuthorizationMode =
  | { readonly kind: "off" }
  | { readonly kind: "ask"; readonly server: ExternalAuthorization }
  | { readonly kind: "deny" };

/** Settings of the whole mesh, each in its own cell, so that a change of one disturbs only its users. */
export interface Settings {
  readonly origin: ObjectRef;
  readonly trustDomain: Cell<TrustDomain>;
  /** By whose names callers are known; see {@link Inputs.callerDomain}. */
  readonly callerDomain: Cell<TrustDomain>;
  readonly tls: Cell<TlsParameters>;
  readonly egress: Cell<boolean>;
  readonly tracing: Cell<Tracing | undefined>;
  readonly authorization: Cell<Compiled<AuthorizationMode>>;
  /** What there is to say about `spec.traffic.clientScope`. */
  readonly scopeFindings: Cell<readonly Diagnostic[]>;
  /** How path patterns of HTTPRouteGroups are read. */
  readonly pathReading: Cell<PathReading>;
  /** Of requests with an escaped slash; undefined: they are refused. */
  readonly escapedSlashes: Cell<EscapedSlashes | undefined>;
}

function tlsOf({ sidecar }: MeshConfigSpec): TlsParameters {
  return {
    minVersion: sidecar.tlsMinProtocolVersion,
    maxVersion: sidecar.tlsMaxProtocolVersion,
    cipherSuites: sidecar.cipherSuites,
    ecdhCurves: sidecar.ecdhCurves,
  };
}

function tracingOf({ observability }: MeshConfigSpec): Tracing | undefined {
  const { enable, ...collector } = observability.tracing;
  return enable && collector.address !== "" ? { ...collector, cluster: TRACING_CLUSTER } : undefined;
}

function authorizationOf(spec: MeshConfigSpec, subject: ObjectRef): Compiled<AuthorizationMode> {
  const { enable, address, port, statPrefix, timeout, failureModeAllow } =
    spec.traffic.inboundExternalAuthorization;
  if (!enable) return { value: { kind: "off" }, diagnostics: [] };
  const timeoutMs = parseDuration(timeout);
  if (address !== "" && port !== 0 && timeoutMs !== undefined && timeoutMs > 0) {
    const server = { address, port, statPrefix, timeoutMs, failureModeAllow, cluster: AUTHORIZATION_CLUSTER };
    return { value: { kind: "ask", server }, diagnostics: [] };
  }
  const outcome = failureModeAllow
    ? "requests are let through unasked"
    : "all inbound HTTP requests are refused";
  return {
    value: { kind: failureModeAllow ? "off" : "deny" },
    diagnostics: [
      {
        severity: "error",
        code: "InvalidField",
        subject,
        field: "spec.traffic.inboundExternalAuthorization",
        message: `spec.traffic.inboundExternalAuthorization is enabled without a usable address, port and timeout; ${outcome}`,
      },
    ],
  };
}

function scopeFindingsOf({ traffic }: MeshConfigSpec, subject: ObjectRef): readonly Diagnostic[] {
  if (traffic.clientScope === "Mesh" || !traffic.enableEgress) return [];
  return [
    {
      severity: "warning",
      code: "InvalidField",
      subject,
      field: "spec.traffic.clientScope",
      message:
        "spec.traffic.clientScope Permitted takes effect while spec.traffic.enableEgress is false; until then every sidecar is told of the whole mesh",
    },
  ];
}

const ESCAPED_SLASHES: Readonly<
  Record<MeshConfigSpec["traffic"]["pathWithEscapedSlashes"], EscapedSlashes | undefined>
> = { RejectRequest: undefined, KeepUnchanged: "keep", UnescapeAndForward: "unescape" };

/** Settings as cells. */
export function createSettings(inputs: Inputs): Settings {
  const { graph, meshConfig, meshConfigRef, trustDomain, callerDomain } = inputs;
  const setting = <T>(label: string, of: (spec: MeshConfigSpec) => T): Cell<T> =>
    graph.derive(label, read => of(read(meshConfig)), structurallyEqual);
  return {
    origin: meshConfigRef,
    trustDomain,
    callerDomain,
    tls: setting("tls", tlsOf),
    egress: setting("egress", spec => spec.traffic.enableEgress),
    tracing: setting("tracing", tracingOf),
    authorization: setting("authorization", spec => authorizationOf(spec, meshConfigRef)),
    scopeFindings: setting("scopeFindings", spec => scopeFindingsOf(spec, meshConfigRef)),
    pathReading: setting("pathReading", ({ traffic }) => traffic.pathRegexMatch),
    escapedSlashes: setting(
      "escapedSlashes",
      ({ traffic }) => ESCAPED_SLASHES[traffic.pathWithEscapedSlashes],
    ),
  };
}
