import type { Diagnostic, Severity } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import { parseDuration } from "../model/duration";
import { parseCidr } from "../model/cidr";
import { parseQuantity } from "../model/quantity";
import { regexFault } from "./regex";

/** A place in an object under validation, where findings are written down. */
export interface Place {
  /** Like `spec.ports[2].number`. */
  readonly path: string;
  /** The same list at another field of the same object. */
  at(part: string | number): Place;
  /** Says that the value here cannot be used; `sentence` follows the path. */
  error(sentence: string): void;
  /** Says that the value here can be used, with a caveat; `code` is the reason, by default the one of all fields. */
  warn(sentence: string, code?: string): void;
}

/** Looks at one value and reports what is wrong with it. Never throws, whatever the value. */
export type Check = (value: unknown, place: Place) => void;

/** Reason of all findings about a field's value. */
const CODE = "InvalidField";
/** Reason of a finding about what is valid and does nothing. */
export const NO_EFFECT = "NoEffect";
/** Longest message of one finding. */
const MAX_MESSAGE = 1_000;
/** Longest quotation of a wrong value. */
const QUOTED = 80;

/** A plain record of an object's fields; empty when the value is something else. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/** The items of a list; empty when the value is something else. */
export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

/** A text; undefined when the value is something else. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** A Kubernetes quantity, written as text or number, in base units; undefined when the value is something else. */
export function quantityOf(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  return typeof value === "string" ? parseQuantity(value) : undefined;
}

/** A value as it is shown in messages: short, in quotes, on one line. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) return "nothing";
  return text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text;
}

/** Runs checks on a whole object and gives what they found. */
export function validateObject(subject: ObjectRef, object: unknown, check: Check): readonly Diagnostic[] {
  const found: Diagnostic[] = [];
  check(object, placeIn(subject, found, ""));
  return found;
}

/** A part of a path: names of maps are their owner's, and may be of any length. */
function shortened(part: string): string {
  return part.length > QUOTED ? `${part.slice(0, QUOTED)}…` : part;
}

function placeIn(subject: ObjectRef, found: Diagnostic[], path: string): Place {
  const report = (severity: Severity, sentence: string, code = CODE): void => {
    found.push({
      severity,
      code,
      subject,
      ...(path === "" ? {} : { field: path }),
      message: `${path === "" ? subject.kind : path} ${sentence}`.slice(0, MAX_MESSAGE),
    });
  };
  return {
    path,
    at: part =>
      placeIn(
        subject,
        found,
        typeof part === "number" ? `${path}[${part}]` : `${path === "" ? "" : `${path}.`}${shortened(part)}`,
      ),
    error: sentence => {
      report("error", sentence);
    },
    warn: (sentence, code) => {
      report("warning", sentence, code);
    },
  };
}

/** An object with these fields, of which `required` must be there; absent others are fine, unknown ones ignored. */
export function object(fields: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, place) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      place.error(`must be an object; it is ${quote(value)}`);
      return;
    }
    const given = value as Readonly<Record<string, unknown>>;
    for (const name of required) {
      if (given[name] === undefined || given[name] === null) place.at(name).error("is required");
    }
    for (const [name, check] of Object.entries(fields)) {
      if (given[name] !== undefined && given[name] !== null) check(given[name], place.at(name));
    }
  };
}

/** Several checks of the same value. */
export function all(...checks: readonly Check[]): Check {
  return (value, place) => {
    for (const check of checks) check(value, place);
  };
}

/** Most items of a list when nothing else is said: as the definitions allow. */
const MAX_ITEMS = 1_024;

/**
 * A list whose items are checked one by one, with at least `min` and at most `max` of them. Of a longer one nothing is
 * looked at, so that it costs no time.
 */
export function list(item: Check, min = 0, max = MAX_ITEMS): Check {
  return (value, place) => {
    if (!Array.isArray(value)) {
      place.error(`must be a list; it is ${quote(value)}`);
      return;
    }
    if (value.length < min) place.error(`must have at least ${min} ${min === 1 ? "item" : "items"}`);
    if (value.length > max) {
      place.error(`must have at most ${max} items; it has ${value.length}`);
      return;
    }
    value.forEach((entry, index) => {
      item(entry, place.at(index));
    });
  };
}

/** true or false. */
export const flag: Check = (value, place) => {
  if (typeof value !== "boolean") place.error(`must be true or false; it is ${quote(value)}`);
};

/** A whole number within bounds, both included. */
export function integer(min: number, max: number): Check {
  return (value, place) => {
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return;
    place.error(`must be a whole number from ${min} to ${max}; it is ${quote(value)}`);
  };
}

/** A TCP or UDP port. */
export const port = integer(1, 65_535);

/** A share in percent; fractions are allowed. */
export const percentage: Check = (value, place) => {
  if (typeof value !== "number" || !(value >= 0 && value <= 100))
    place.error(`must be a number from 0 to 100; it is ${quote(value)}`);
};

/** What Envoy counts with. */
export const count = integer(0, 4_294_967_295);

/** A text, by default not empty, of at most `max` characters. */
export function text(max = 1_024, min = 1): Check {
  return (value, place) => {
    if (typeof value !== "string") place.error(`must be a text; it is ${quote(value)}`);
    else if (value.length < min) place.error("must not be empty");
    else if (value.length > max) place.error(`must have at most ${max} characters; it has ${value.length}`);
  };
}

/** A text that a test approves of; `must` ends the sentence "must be …". */
export function textLike(must: string, test: (text: string) => boolean): Check {
  return (value, place) => {
    if (typeof value !== "string" || !test(value)) place.error(`must be ${must}; it is ${quote(value)}`);
  };
}

/** One of some words, exactly. */
export function word(...words: readonly string[]): Check {
  return textLike(`one of ${words.join(", ")}`, text => words.includes(text));
}

/** One of some words, whatever the case of their letters. */
export function anyCaseWord(...words: readonly string[]): Check {
  return textLike(`one of ${words.join(", ")}`, text => words.includes(text.toLowerCase()));
}

/** A Go duration of at least `minMs` milliseconds. */
export function duration(minMs = 0): Check {
  return (value, place) => {
    const ms = typeof value === "string" ? parseDuration(value) : undefined;
    if (ms === undefined) place.error(`must be a duration like 30s, 1m30s or 24h; it is ${quote(value)}`);
    else if (ms < minMs) place.error(`must be at least ${minMs / 1000}s; it is ${quote(value)}`);
  };
}

/** An IPv4 or IPv6 range with its prefix length. */
export const cidr = textLike(
  "an address range like 10.0.0.0/8 or fd00::/8",
  text => parseCidr(text) !== undefined,
);

const LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
const DNS_NAME = new RegExp(`^${LABEL}([.]${LABEL})*$`);
const HOST = new RegExp(`^([*][.])?${LABEL}([.]${LABEL})*[.]?$`, "i");

/** The name of most Kubernetes objects (RFC 1123 subdomain). */
export const objectName = textLike(
  "the name of an object (lower-case letters, digits, - and .)",
  text => text.length <= 253 && DNS_NAME.test(text),
);
/** The name of a namespace or Service (RFC 1123 label). */
export const labelName = textLike("a name of at most 63 lower-case letters, digits and -", text =>
  new RegExp(`^${LABEL}$`).test(text),
);
/** A host name or address; `*.` may stand in front. */
export const host = textLike(
  "a host name",
  text => text.length <= 253 && (HOST.test(text) || parseCidr(`${text}/0`) !== undefined),
);

/** A name of an HTTP header (RFC 9110 token). */
export const headerName = textLike("the name of an HTTP header", text =>
  /^:?[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/.test(text),
);

/** A regular expression that Envoy takes; see {@link regexFault}. */
export const regex: Check = (value, place) => {
  const fault = typeof value === "string" ? regexFault(value) : `must be a text; it is ${quote(value)}`;
  if (fault !== undefined) place.error(fault);
};

/** Exactly one of some fields is given. */
export function exactlyOne(...names: readonly string[]): Check {
  return (value, place) => {
    const given = names.filter(name => fieldsOf(value)[name] !== undefined);
    if (given.length === 1) return;
    const but = given.length === 0 ? "none is" : `${given.join(" and ")} are`;
    place.error(`must have exactly one of ${names.join(", ")}; ${but} given`);
  };
}

/** The namespace that an object under validation is of; undefined when it does not say. */
export function namespaceOf(object: unknown): string | undefined {
  return textOf(fieldsOf(fieldsOf(object)["metadata"])["namespace"]);
}

/** An object with only its spec checked. */
export function specOf(check: Check, required = true): Check {
  return object({ spec: check }, required ? ["spec"] : []);
}
