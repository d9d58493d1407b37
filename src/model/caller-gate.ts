/** Of whom a gate is where Envoy fills in the name: the caller's SPIFFE URI, as its certificate says. */
export const CALLER_PLACEHOLDER = "%DOWNSTREAM_PEER_URI_SAN%";

/**
 * Name of the listener, and of the cluster that leads to it, through which one caller reaches one port of the application.
 * Envoy composes it from what the caller's certificate says ({@link CALLER_PLACEHOLDER}), the policy from what is allowed:
 * so who is allowed nothing is led nowhere.
 */
export function callerGateName(port: number, caller: string): string {
  return `inbound|${port}|${caller}`;
}
