import { tcpPortsOf } from "../../catalog/node-groups";
import type { MeshService } from "../../model/workload";
import { selectProtocol } from "../../policy/protocol";
import type { Clock } from "../ports";
import type { Compiler } from "./compiler";
import type { EngineEvent } from "./events";

/**
 * Connections that carry bytes are kept this long, milliseconds, when their port becomes HTTP, and then until the Service is
 * seen again. Nobody can be told to end such a connection when it is done, so it is not cut at all, within reason.
 */
const CARRIED_BYTES_MS = 3_600_000;

/** Numbers of the ports that carry bytes, or of those that do not. */
function portsOf(service: MeshService, bytes: boolean): readonly number[] {
  return tcpPortsOf(service)
    .filter(port => (selectProtocol(port).protocol === "tcp") === bytes)
    .map(({ port }) => port);
}

/**
 * Applies events, and remembers for {@link Inputs.carriedBytes} which ports of Services have carried bytes: unless nothing
 * is to linger (`lingerMs` of 0).
 */
export function rememberingBytes(
  { inputs: { services, carriedBytes }, writer }: Pick<Compiler, "inputs" | "writer">,
  { clock, lingerMs = 0 }: { readonly clock: Clock; readonly lingerMs?: number | undefined },
): (event: EngineEvent) => void {
  /** Until when, by Service and port. */
  const until = new Map<string, ReadonlyMap<number, number>>();

  const see = (key: string, now: MeshService | undefined): void => {
    const before = services.rows.get(key);
    const known = until.get(key) ?? new Map<number, number>();
    const http = now === undefined ? [] : portsOf(now, false);
    const carried = before === undefined ? [] : portsOf(before, true);
    const ports = new Map([...known].filter(([port, end]) => http.includes(port) && end > clock.now()));
    for (const port of http) if (carried.includes(port)) ports.set(port, clock.now() + CARRIED_BYTES_MS);
    if (ports.size === 0 && known.size === 0) return;
    if (ports.size === 0) until.delete(key);
    else until.set(key, ports);
    carriedBytes.set(key, ports.size === 0 ? undefined : [...ports.keys()].sort((a, b) => a - b));
  };

  const look = (event: EngineEvent): void => {
    if (event.kind !== "Service") return;
    if (event.type === "upsert") see(event.key, event.compiled.value);
    else if (event.type === "delete") see(event.key, undefined);
    else
      for (const key of new Set([...services.rows.keys(), ...until.keys()]))
        see(key, event.items.get(key)?.value);
  };

  return event => {
    if (lingerMs > 0) look(event);
    writer.apply(event);
  };
}
