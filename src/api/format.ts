import { type Check, quote, text } from "./field";

/**
 * Commands of Envoy 1.40.0's format strings that take no argument (documentation of that version: "Access log command
 * operators"). A test puts each of them, and what stands beside them, to the pinned Envoy.
 */
const PLAIN = `
  ACCESS_LOG_TYPE BYTES_RECEIVED BYTES_RETRANSMITTED BYTES_SENT CONNECTION_ID CONNECTION_TERMINATION_DETAILS
  CUSTOM_FLAGS DOWNSTREAM_CX_RTT DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
  DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT DOWNSTREAM_DETECTED_CLOSE_TYPE DOWNSTREAM_DIRECT_LOCAL_ADDRESS
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID DOWNSTREAM_DIRECT_LOCAL_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
  DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_HANDSHAKE_DURATION DOWNSTREAM_HEADER_BYTES_RECEIVED
  DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID
  DOWNSTREAM_LOCAL_CLOSE_REASON DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_LOCAL_EMAIL_SAN DOWNSTREAM_LOCAL_IP_SAN
  DOWNSTREAM_LOCAL_OTHERNAME_SAN DOWNSTREAM_LOCAL_PORT DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN
  DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1 DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256
  DOWNSTREAM_PEER_CHAIN_SERIALS DOWNSTREAM_PEER_DNS_SAN DOWNSTREAM_PEER_EMAIL_SAN
  DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_IP_SAN DOWNSTREAM_PEER_ISSUER
  DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256 DOWNSTREAM_PEER_ISSUER_SERIAL DOWNSTREAM_PEER_OTHERNAME_SAN
  DOWNSTREAM_PEER_SERIAL DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_REMOTE_ADDRESS
  DOWNSTREAM_REMOTE_PORT DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_GROUP DOWNSTREAM_TLS_SESSION_ID
  DOWNSTREAM_TLS_VERSION DOWNSTREAM_TRANSPORT_FAILURE_REASON DOWNSTREAM_WIRE_BYTES_RECEIVED
  DOWNSTREAM_WIRE_BYTES_SENT DURATION FILTER_CHAIN_NAME GRPC_STATUS_NUMBER HOSTNAME LISTENER_NAME
  LOCAL_REPLY_BODY PACKETS_RETRANSMITTED PROTOCOL REQUESTED_SERVER_NAME REQUEST_DURATION REQUEST_HEADERS_BYTES REQUEST_TX_DURATION
  RESPONSE_CODE RESPONSE_DURATION RESPONSE_FLAGS RESPONSE_FLAGS_LONG RESPONSE_HEADERS_BYTES
  RESPONSE_TRAILERS_BYTES RESPONSE_TX_DURATION ROUNDTRIP_DURATION ROUTE_NAME ROUTE_RESOLUTION_COUNT
  ROUTE_RESOLUTION_TIME_US SPAN_ID STREAM_ID TLS_JA3_FINGERPRINT TLS_JA4_FINGERPRINT TRACE_ID UNIQUE_ID
  UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_CONNECTION_ID UPSTREAM_CONNECTION_IDS_ATTEMPTED
  UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED
  UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT UPSTREAM_DETECTED_CLOSE_TYPE UPSTREAM_HEADER_BYTES_RECEIVED
  UPSTREAM_HEADER_BYTES_SENT UPSTREAM_HOST UPSTREAM_HOSTS_ATTEMPTED UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT
  UPSTREAM_HOST_NAME UPSTREAM_HOST_NAMES_ATTEMPTED UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT
  UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_CLOSE_REASON UPSTREAM_LOCAL_DNS_SAN
  UPSTREAM_LOCAL_IP_SAN UPSTREAM_LOCAL_PORT UPSTREAM_LOCAL_URI_SAN UPSTREAM_PEER_CERT UPSTREAM_PEER_DNS_SAN
  UPSTREAM_PEER_IP_SAN UPSTREAM_PEER_ISSUER UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_URI_SAN UPSTREAM_PROTOCOL
  UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID UPSTREAM_REMOTE_PORT
  UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_SERVER_NAME UPSTREAM_TLS_CIPHER UPSTREAM_TLS_GROUP
  UPSTREAM_TLS_SESSION_ID UPSTREAM_TLS_VERSION UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_WIRE_BYTES_RECEIVED
  UPSTREAM_WIRE_BYTES_SENT VIRTUAL_CLUSTER_NAME
`;

/** With a pattern of time, or without. */
const TIMES = `
  START_TIME START_TIME_LOCAL EMIT_TIME EMIT_TIME_LOCAL DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CERT_V_END
  UPSTREAM_PEER_CERT_V_START UPSTREAM_PEER_CERT_V_END
`;

/** With the length of a prefix, or without. */
const ADDRESSES = `
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT
`;

/** With the name of a header, and `?` and another one for where that is absent. */
const HEADERS = `REQ RESP TRAILER REQUEST_HEADER RESPONSE_HEADER RESPONSE_TRAILER REQ_WITHOUT_QUERY`;

/** What a command takes. */
interface Command {
  /** Says whether the text between the brackets can be used; undefined stands for no brackets, or nothing in them. */
  readonly takes: (argument: string | undefined) => boolean;
  /** An argument, as it is shown to who has written a wrong one. */
  readonly like: string;
  /** Whether a length may stand behind it, `:` and digits. */
  readonly length: boolean;
}

const SOME: Command["takes"] = argument => argument !== undefined;
/** Envoy refuses a pattern of time that writes a line break. */
const BREAK = /%[-_0^#]*[1-9]*[EO]?n/;
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const HEADER = new RegExp(`^:?${TOKEN}([?]:?${TOKEN})?$`);

function matching(pattern: RegExp, optional: boolean): Command["takes"] {
  return argument => (argument === undefined ? optional : pattern.test(argument));
}

function commands(names: string, command: Command): [string, Command][] {
  return names
    .trim()
    .split(/\s+/)
    .map(name => [name, command]);
}

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ...commands(PLAIN, { takes: argument => argument === undefined, like: "", length: false }),
  ...commands(TIMES, {
    takes: argument => argument === undefined || !BREAK.test(argument),
    like: "(%Y-%m-%dT%H:%M:%S)",
    length: false,
  }),
  ...commands(ADDRESSES, { takes: matching(/^[0-9]{1,3}$/, true), like: "(24)", length: false }),
  ...commands(HEADERS, { takes: matching(HEADER, false), like: "(x-name?x-other)", length: true }),
  ...commands("DYNAMIC_METADATA", { takes: SOME, like: "(filter:key)", length: true }),
  ...commands("CLUSTER_METADATA UPSTREAM_METADATA", { takes: SOME, like: "(filter:key)", length: false }),
  ...commands("QUERY_PARAM ENVIRONMENT", { takes: SOME, like: "(name)", length: true }),
  ...commands("FILTER_STATE UPSTREAM_FILTER_STATE", {
    takes: matching(/^[^:]+(:PLAIN|:TYPED|:FIELD:[^:]+)?$/, false),
    like: "(key:PLAIN)",
    length: true,
  }),
  ...commands("METADATA", {
    takes: matching(
      /^(DYNAMIC|CLUSTER|ROUTE|UPSTREAM_HOST|LISTENER|VIRTUAL_HOST|LISTENER_FILTER_CHAIN):./,
      false,
    ),
    like: "(ROUTE:filter:key)",
    length: true,
  }),
  ...commands("PATH", {
    takes: matching(/^(WQ|NQ)(:(ORIG|PATH|ORIG_OR_PATH))?$/, true),
    like: "(NQ:PATH)",
    length: true,
  }),
  ...commands("QUERY_PARAMS", { takes: matching(/^(ORIG|DECODED)$/, true), like: "(ORIG)", length: true }),
  ...commands("RESPONSE_CODE_DETAILS", {
    takes: matching(/^ALLOW_WHITESPACES$/, true),
    like: "(ALLOW_WHITESPACES)",
    length: false,
  }),
  ...commands("GRPC_STATUS", {
    takes: matching(/^(CAMEL_STRING|SNAKE_STRING|NUMBER)$/, true),
    like: "(NUMBER)",
    length: false,
  }),
  ...commands("COMMON_DURATION", {
    takes: matching(/^[A-Z0-9_]+:[A-Z0-9_]+(:(ms|us|ns))?$/, false),
    like: "(DS_RX_BEG:DS_RX_END:ms)",
    length: false,
  }),
]);

/** What Envoy knows and nobody here can judge: an expression or a program of its own stands within. */
const UNCHECKED = new Set(["CEL", "COALESCE"]);
/** Of access logs alone. */
const LOG_ONLY = new Set(["REQ_WITHOUT_QUERY"]);

/** Names of all commands that a format may have; `log` adds those that only access logs know. */
export function formatCommands(log: boolean): readonly string[] {
  return [...COMMANDS.keys()].filter(name => log || !LOG_ONLY.has(name));
}

/** A command as Envoy reads it: the argument ends at the first `)` behind which the command can end. */
const COMMAND = /%([A-Z0-9_]+)(?:\(([^\n]*?)\))?(?::([0-9]+))?%/y;
/** Most digits of a length. */
const MAX_DIGITS = 9;

function commandFault(
  name: string,
  argument: string | undefined,
  digits: string | undefined,
): string | undefined {
  if (UNCHECKED.has(name)) return "is not taken: what stands in it cannot be checked";
  const command = COMMANDS.get(name);
  if (command === undefined) return "is no command of Envoy";
  if (!command.takes(argument === "" ? undefined : argument))
    return command.like === "" ? "takes no argument" : `must be like %${name}${command.like}%`;
  if (digits === undefined) return undefined;
  if (!command.length) return "takes no length";
  return digits.length > MAX_DIGITS ? `must have a length of at most ${MAX_DIGITS} digits` : undefined;
}

/**
 * Why Envoy would refuse a text as a format; undefined when it takes it. Of what it takes, commands whose argument is a
 * program (`CEL`, `COALESCE`) are refused here, and a few rare spellings of others' arguments. `log` is for access logs. The sentence follows the name of the field.
 */
export function formatFault(format: string, log: boolean): string | undefined {
  for (let at = format.indexOf("%"); at >= 0; at = format.indexOf("%", at)) {
    if (format[at + 1] === "%") {
      at += 2;
      continue;
    }
    COMMAND.lastIndex = at;
    const found = COMMAND.exec(format);
    if (found === null)
      return `has a % at character ${at + 1} that begins no command of Envoy (${quote(format.slice(at, at + 30))}); a % itself is written %%`;
    const [written, name = "", argument, digits] = found;
    const fault =
      LOG_ONLY.has(name) && !log ? "is for access logs only" : commandFault(name, argument, digits);
    if (fault !== undefined)
      return `has ${quote(written)} at character ${at + 1}, which ${fault}; a % itself is written %%`;
    at += written.length;
  }
  return undefined;
}

/** A text of at most `max` characters that Envoy reads as a format; it may be empty if `min` is 0. */
export function formatText(max: number, min: number, log: boolean): Check {
  const asText = text(max, min);
  return (value, place) => {
    asText(value, place);
    const fault = typeof value === "string" && value.length <= max ? formatFault(value, log) : undefined;
    if (fault !== undefined) place.error(fault);
  };
}
