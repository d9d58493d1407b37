/** I6: no key, token or certificate of identity in anything that a process writes for people to read. */
import { existsSync, readFileSync } from "node:fs";

const PATTERNS: readonly (readonly [string, RegExp])[] = [
  ["a private key", /-----BEGIN [A-Z ]*PRIVATE KEY-----/],
  ["a JSON web token", /\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}/],
  ["a bearer token", /\bBearer +[\w.~+/-]{16,}/i],
  // What every P-256 key begins with in PKCS #8 and in SEC 1, base64.
  ["a key in base64", /MIGHAgEAMBMGByqGSM49|MHcCAQEE/],
];
const SHOWN = 120;

/** What is found in a text: which kind of secret, and where. */
export function secretsIn(text: string, known: readonly string[] = []): readonly string[] {
  const patterns = PATTERNS.flatMap(([name, pattern]) => {
    const match = pattern.exec(text);
    return match === null ? [] : [`${name} at ${match.index}: ${text.slice(match.index, match.index + 12)}…`];
  });
  const verbatim = known.filter(secret => text.includes(secret)).map(() => "a secret of this run, verbatim");
  return [...patterns, ...verbatim].map(found => found.slice(0, SHOWN));
}

/** The same in files; those that are not there hold nothing. */
export function secretsInFiles(files: readonly string[], known: readonly string[]): readonly string[] {
  return files
    .filter(file => existsSync(file))
    .flatMap(file => secretsIn(readFileSync(file, "utf8"), known).map(found => `${file}: ${found}`));
}
