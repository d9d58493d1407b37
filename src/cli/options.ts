/** Reads what options of commands say. Whatever is none is refused: redirect rules would silently leave it out. */
import { parseRange } from "../injector/address-range";
import { ADS_PORT, RESERVED_PORTS } from "../model/mesh-words";
import { CommandError } from "./failure";

const MAX_PORT = 65_535;

const listed = (text: string): string[] => text.split(",").flatMap(part => part.trim() || []);

/** A port. Throws {@link CommandError} that names the option for what is none. */
export function portOf(text: string, option: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= MAX_PORT) return port;
  throw new CommandError(`--${option}: ${JSON.stringify(text)} is not a port (1 to ${MAX_PORT})`);
}

/**
 * Inbound ports that are left alone, by comma. Throws {@link CommandError} that names the option for what is no port, and for
 * one of the proxy's own: callers would get past the rules into its listeners.
 */
export function portsOf(text: string, option: string): readonly number[] {
  return listed(text).map(part => {
    const port = portOf(part, option);
    if (!RESERVED_PORTS.includes(port)) return port;
    throw new CommandError(`--${option}: port ${port} belongs to the proxy and cannot be excluded`);
  });
}

/** Ranges of either family, by comma. Throws {@link CommandError} that names the option for what is no `address/prefix`. */
export function rangesOf(text: string, option: string): readonly string[] {
  return listed(text).map(part => {
    if (parseRange(part) !== undefined) return part;
    throw new CommandError(
      `--${option}: ${JSON.stringify(part)} is not a range such as 10.96.0.0/12 or fd00::/8`,
    );
  });
}

/** `HOST[:PORT]` with the port, by default that of ADS. Throws {@link CommandError} for what is no port. */
export function adsAddressOf(text: string): string {
  const [, port] = /:(\d+)$/.exec(text) ?? [];
  if (port === undefined) return `${text}:${ADS_PORT}`;
  portOf(port, "ads");
  return text;
}

/** An option that may be repeated, and may hold several by comma. */
export function listOption(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...listed(text)];
}
