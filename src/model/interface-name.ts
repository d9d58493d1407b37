/** Longest name of a Linux network interface, bytes (IFNAMSIZ less its end). */
const LONGEST = 15;

/**
 * Whether a text names a network interface, or with a final `+` all whose name begins so (as iptables reads it). The
 * kernel's own rule (at most 15 bytes; no `/`, no `:`, no white space; not `.` or `..`), and of what it leaves only
 * letters, digits and `_ . @ -`, not first `-`: everything else means something to the shell or to iptables. A lone `+` is
 * refused, because it would take all traffic out of the mesh.
 */
export function isInterfaceName(text: string): boolean {
  if (text.length > LONGEST || !/^[A-Za-z0-9_.@][A-Za-z0-9_.@-]*[+]?$/.test(text)) return false;
  return text !== "." && text !== "..";
}
