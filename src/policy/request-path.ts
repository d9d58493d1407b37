import type { EscapedSlashes } from "./types";

/**
 * The path by which rules judge a request, and which the application gets, as proxies make it of what was sent: without
 * query, dot segments resolved, backslashes and repeated slashes as one slash. undefined: refused as malformed, because a slash is
 * escaped in it, which a rule and an application could read differently. `keep` leaves such a slash as it is written: an
 * application that unescapes it sees another path than the rule did.
 */
export function requestPath(sent: string, slashes?: EscapedSlashes): string | undefined {
  const [written = ""] = sent.split(/[?#]/);
  const escaped = /%2f|%5c/i.test(written);
  if (escaped && slashes === undefined) return undefined;
  const path = slashes === "unescape" ? written.replaceAll(/%2f/gi, "/").replaceAll(/%5c/gi, "\\") : written;
  // Of OPTIONS *: no path.
  if (!path.startsWith("/")) return path;
  return new URL(`http://path${path}`).pathname.replace(/\/{2,}/g, "/");
}
