/** Fingerprint of the root in the version of a leaf (`<root>.<renewal time>`); a version of any other form is its own. */
export function leafRoot(version: string): string {
  const end = version.lastIndexOf(".");
  return end < 0 ? version : version.slice(0, end);
}

/** The renewal time in the version of a leaf, epoch milliseconds; undefined for a version of any other form. */
export function leafDue(version: string): number | undefined {
  const due = version.slice(leafRoot(version).length + 1);
  return /^\d{1,12}$/.test(due) ? Number(due) * 1000 : undefined;
}
