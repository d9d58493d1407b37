/** Where a TrafficTarget is right and still lets nothing through. */
import type { ServedPort } from "../catalog/node-groups";
import type { Diagnostic } from "../model/diagnostic";
import type { PortGrant, TargetGrants } from "./access";
import { countsAt, speaksOf } from "./access";
import type { AppProtocol } from "./types";

/** A served port of some pod and how it is carried. */
export interface DestinationPort {
  readonly served: ServedPort;
  readonly protocol: AppProtocol;
  /** Some Service declares the port as HTTP, another as bytes. */
  readonly conflict: boolean;
}

/** The pods of a TrafficTarget's destination. */
export interface Destination {
  readonly pods: number;
  /** Ports of all of them; may repeat. */
  readonly ports: readonly DestinationPort[];
}

/** What the owner of a TrafficTarget should know about its destination as it is now. */
export function targetEffects(target: TargetGrants, { pods, ports }: Destination): readonly Diagnostic[] {
  const tell = (field: string, message: string, code = "NoEffect"): Diagnostic => ({
    severity: "warning",
    code,
    subject: target.ref,
    field,
    message,
  });
  if (pods === 0) return [tell("spec.destination", "no pod of the mesh is this destination")];
  const spoken = ports.filter(port => speaksOf(target, port.served));
  if (spoken.length === 0) {
    const what =
      target.port === undefined ? "no port of a Service leads" : `port ${target.port} does not lead`;
    return [tell("spec.destination", `${what} to pods of this destination`)];
  }
  const byField = new Map<string, PortGrant>();
  for (const grant of target.grants) if (!byField.has(grant.field)) byField.set(grant.field, grant);
  return [...byField].flatMap(([field, grant]): Diagnostic[] => {
    const conflicts = grant.kind === "http" ? spoken.filter(port => port.conflict) : [];
    if (conflicts.length > 0) {
      const numbers = [...new Set(conflicts.map(port => port.served.port))].join(", ");
      const message = `container port ${numbers} is carried as tcp, because another Service port declares it so; rules of HTTP grant nothing there`;
      return [tell(field, message, "ProtocolConflict")];
    }
    if (spoken.some(port => countsAt(grant, port.served.port, port.protocol))) return [];
    return [tell(field, withoutEffect(grant))];
  });
}

function withoutEffect({ kind, ports }: PortGrant): string {
  if (kind === "http")
    return "the destination serves no HTTP port, and rules of HTTP grant nothing on others";
  return `the destination does not serve port ${ports.join(", ")}`;
}
