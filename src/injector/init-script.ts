import { CHAIN_POD_IP, closedRules, jumps, redirectRules } from "./iptables";
import type { Family } from "./iptables";
import type { RedirectPlan } from "./redirect";

const PROGRAM: Readonly<Record<Family, string>> = { ipv4: "iptables", ipv6: "ip6tables" };

/**
 * The shell script that osm-init runs: applies the rules of both families and exits with an error, which keeps the pod
 * from starting, when they cannot be applied. Written for a plain POSIX shell with the iptables programs. Reads the
 * environment variable `POD_IPS` (addresses separated by commas) in PodIP mode. Running it again is harmless.
 */
export function initScript(plan: RedirectPlan): string {
  return [
    "set -eu",
    `rules4='${redirectRules(plan, "ipv4")}'`,
    `rules6='${redirectRules(plan, "ipv6")}'`,
    `closed6='${closedRules()}'`,
    RESTORE,
    forget(plan, "ipv4"),
    forget(plan, "ipv6"),
    ...(plan.podIp ? [POD_IP] : []),
    MAIN,
    ...(plan.podIp ? ["pod_ip"] : []),
    'echo "osm-init: rules are in place"',
    "",
  ].join("\n");
}

/** Applies rules with the first of iptables' two kernel interfaces that takes them, and remembers which one it was. */
const RESTORE = `restore() {
  for program in "$1" "$1-legacy"; do
    command -v "$program-restore" >/dev/null 2>&1 || continue
    "$2" "$program"
    if printf "%s" "$3" | "$program-restore" --noflush --wait 10; then used=$program; return 0; fi
  done
  return 1
}
nothing() { :; }`;

/** Removes the jumps of an earlier run in the same pod (a restarted init container), so that they never double. */
function forget(plan: RedirectPlan, family: Family): string {
  const lines = jumps(plan, family).map(
    ([chain, rule]) => `  "$1" -t nat -D ${chain} ${rule} 2>/dev/null || true`,
  );
  return [`forget_${family}() {`, ...lines, "}"].join("\n");
}

const MAIN = `if ! restore ${PROGRAM.ipv4} forget_ipv4 "$rules4"; then
  echo "osm-init: the redirect rules cannot be applied (NET_ADMIN and the nat table are needed)" >&2
  exit 1
fi
used4=$used
used6=
if [ -z "$(cat /proc/net/if_inet6 2>/dev/null)" ]; then
  echo "osm-init: this pod has no IPv6"
elif restore ${PROGRAM.ipv6} forget_ipv6 "$rules6"; then
  used6=$used
elif restore ${PROGRAM.ipv6} nothing "$closed6"; then
  echo "osm-init: no IPv6 nat table here; TCP over IPv6 is closed for this pod" >&2
else
  echo "osm-init: this pod has IPv6 and its traffic can be neither redirected nor closed" >&2
  exit 1
fi`;

const POD_IP = `pod_ip() {
  for address in $(echo "$POD_IPS" | tr , " "); do
    case $address in
      *:*) if [ -n "$used6" ]; then
        "$used6" -t nat -A ${CHAIN_POD_IP} -p tcp -j DNAT --to-destination "$address"
      fi ;;
      *) "$used4" -t nat -A ${CHAIN_POD_IP} -p tcp -j DNAT --to-destination "$address" ;;
    esac
  done
}`;
