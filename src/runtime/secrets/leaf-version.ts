/** Fingerprint of the root in the version of a leaf (`<root>.<renewal time>`); a version of any other form is its own. */
export function leafRoot(version: string): string {
  const end = version.lastIndexOf(".");
  return end < 0 ? version : version.slice(0, end);
}
