import { Secret, SECRET_MARK } from "../../model/secret";

/** What is printed instead of something that looks like a secret. */
const REDACTED = "[redacted]";

/** Longer strings are cut: a log line is for reading, and a hostile object must not fill the disk. */
const MAX_TEXT = 4_096;

/** How much of a nested value is shown. */
export interface Bounds {
  readonly depth: number;
  /** Items of each list and record. */
  readonly items: number;
}

/** For lines of a log. */
const LOG_BOUNDS: Bounds = { depth: 6, items: 100 };

/** Names of fields whose value is not printed, whatever it looks like. */
const SECRET_FIELD =
  /^(.*(token|password|passwd|privatekey|private[-_.]key|credential|authorization|cookie)|key|keypem|tls\.key)$/i;

const PATTERNS: readonly RegExp[] = [
  // PEM blocks, also with escaped line ends and also unfinished ones (a cut text must not show half a key).
  /-----BEGIN [A-Z0-9 ]+-----[\s\S]*?(-----END [A-Z0-9 ]+-----|$)/g,
  // A PEM block in base64, as Secrets hold it.
  /LS0tLS1CRUdJTi[A-Za-z0-9+/=_-]*/g,
  // JSON web tokens (three parts; the first two are JSON objects in base64url).
  /\beyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{2,}(\.[A-Za-z0-9_-]*)?/g,
  /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi,
  // DER of a PKCS#8 or SEC1 key in base64.
  /\bM[CHIGE][A-Za-z0-9+/]{60,}={0,2}/g,
];

/** Text without what looks like a key, a certificate or a token, and not longer than 4,096 characters. */
export function redactText(text: string): string {
  let clean = text.length > 4 * MAX_TEXT ? text.slice(0, 4 * MAX_TEXT) : text;
  for (const pattern of PATTERNS) clean = clean.replace(pattern, REDACTED);
  return clean.length > MAX_TEXT ? `${clean.slice(0, MAX_TEXT)}…` : clean;
}

/** Any value as plain JSON data, redacted, bounded in depth and size; never throws. */
export function redact(value: unknown, bounds: Bounds = LOG_BOUNDS): unknown {
  if (typeof value === "object" && value !== null) return redactObject(value, bounds);
  if (typeof value === "string") return redactText(value);
  if (typeof value === "bigint") return String(value);
  return typeof value === "function" || typeof value === "symbol" ? typeof value : value;
}

function redactObject(value: object, bounds: Bounds): unknown {
  if (value instanceof Secret) return SECRET_MARK;
  if (value instanceof Error) return redactText(errorText(value));
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (bounds.depth <= 0) return "[…]";
  return redactContainer(value, { ...bounds, depth: bounds.depth - 1 });
}

function redactContainer(value: object, bounds: Bounds): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "invalid date" : value.toISOString();
  if (Array.isArray(value) || value instanceof Set) {
    return [...(value as Iterable<unknown>)].slice(0, bounds.items).map(item => redact(item, bounds));
  }
  const entries = value instanceof Map ? [...(value as Map<unknown, unknown>)] : Object.entries(value);
  const clean = entries.slice(0, bounds.items).map(([key, item]) => {
    const name = redactText(String(key));
    return [name, SECRET_FIELD.test(name) && isText(item) ? REDACTED : redact(item, bounds)] as const;
  });
  // Not by assignment: a field may be called `__proto__`.
  return Object.fromEntries(clean);
}

function isText(value: unknown): boolean {
  return typeof value === "string" || ArrayBuffer.isView(value);
}

/** An error with its causes on one line; the stack is left out because it names files, not reasons. */
function errorText(error: Error): string {
  const causes: string[] = [];
  let at: unknown = error;
  for (let n = 0; n < 4 && at instanceof Error; n += 1) {
    causes.push(at.message);
    at = at.cause;
  }
  return `${error.name}: ${[...new Set(causes)].join(": ")}`;
}

/** DEL, C1 controls, line separators and marks that change the direction of text. */
const HIDDEN = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** One line of JSON in which no control character, line end or direction mark stands unescaped. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(
    HIDDEN,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
