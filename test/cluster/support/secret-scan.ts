/** A place where something was found that must not be there. */
interface Hit {
  /** Where: a log, an event, an object. */
  readonly place: string;
  /** What kind of secret; never the secret itself. */
  readonly what: string;
  /** What stands before it, to find the spot. */
  readonly before: string;
}

/** A text to be searched, and where it is from. */
export interface Evidence {
  readonly place: string;
  readonly text: string;
}

/** Secrets that are known by their form. */
const FORMS: readonly (readonly [string, RegExp])[] = [
  ["private key (PEM)", /-----BEGIN [A-Z ]*PRIVATE KEY-----/],
  // "-----BEGIN PRIVATE", "-----BEGIN EC PRIV" and "-----BEGIN RSA PRI", as Secrets hold them.
  ["private key (PEM in base64)", /LS0tLS1CRUdJTi(BQUklWQVRF|BFQyBQUklW|BSU0EgUFJJ)/],
  ["JSON web token", /eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/],
];

/** Strings of a PEM or text that cannot be there by accident: its longest lines, and the same in base64. */
export function fingerprints(secret: string): string[] {
  const lines = secret.split("\n").filter(line => line.length >= 16 && !line.startsWith("-----"));
  const whole = Buffer.from(secret).toString("base64");
  return [...lines, ...lines.map(line => line.slice(0, 40)), whole.slice(40, 100)].filter(
    text => text.length >= 16,
  );
}

/** Searches for secrets by their form and for those that are known, by name. */
export function findSecrets(
  evidence: readonly Evidence[],
  known: ReadonlyMap<string, readonly string[]>,
): Hit[] {
  const hits: Hit[] = [];
  for (const { place, text } of evidence) {
    const note = (what: string, at: number): void => {
      hits.push({ place, what, before: text.slice(Math.max(0, at - 80), at) });
    };
    for (const [what, form] of FORMS) {
      const at = text.search(form);
      if (at >= 0) note(what, at);
    }
    for (const [what, strings] of known) {
      const found = strings.map(each => text.indexOf(each)).find(at => at >= 0);
      if (found !== undefined) note(what, found);
    }
  }
  return hits;
}
