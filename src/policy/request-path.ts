/**
 * The path by which rules judge a request, as proxies make it of what was sent: without query, dot segments resolved,
 * backslashes and repeated slashes as one slash. undefined: refused as malformed, because a slash is escaped in it, which
 * a rule and an application could read differently.
 */
export function requestPath(sent: string): string | undefined {
  const [path = ""] = sent.split(/[?#]/);
  if (/%2f|%5c/i.test(path)) return undefined;
  // Of OPTIONS *: no path.
  if (!path.startsWith("/")) return path;
  return new URL(`http://path${path}`).pathname.replace(/\/{2,}/g, "/");
}
