/** What attackers write to get past rules about paths, hosts and headers (P-01 to P-03). Each character is one byte. */

const hex = (byte: number): string => `%${byte.toString(16).padStart(2, "0")}`;

/** Every percent-encoded byte but 0 at six positions of a path that the caller may, or that it may not use. */
export function encodedBytes(): readonly string[] {
  const positions: readonly ((byte: string) => string)[] = [
    byte => `/${byte}protected/secret`,
    byte => `/protected${byte}`,
    byte => `/open${byte}/../protected/secret`,
    byte => `/open/${byte}..${byte}protected/secret`,
    byte => `/open/..${byte}protected/secret`,
    byte => `${byte}/protected/secret`,
  ];
  const bytes = Array.from({ length: 255 }, (_, index) => hex(index + 1));
  return positions.flatMap(position => bytes.map(position));
}

/** Ways up from a folder: dots, slashes and what some take for them. */
const DOTS = [
  "..",
  "%2e%2e",
  ".%2e",
  "%2E.",
  "%252e%252e",
  "..;",
  "..;x=1",
  "..%00",
  "..%20",
  "%c0%ae%c0%ae",
];
const SLASHES = ["/", "//", "%2f", "%5c", "\\", "%252f", "/./", "/%2e/", ";/", "%c0%af"];

/** Traversal, fragments, semicolons, backslashes and double encoding. */
export function traversals(): readonly string[] {
  const upwards = DOTS.flatMap(dots => SLASHES.map(slash => `/open${slash}${dots}${slash}protected/secret`));
  return [
    ...upwards,
    "/open#/../protected/secret",
    "/protected/secret#/open",
    "/open?/../protected/secret",
    "/protected/secret?/open",
    "/open;/../protected/secret",
    "/protected;/open/secret",
    "//protected/secret",
    "///protected/secret",
    "/./protected/secret",
    "/Protected/secret",
    "/PROTECTED/secret",
    "/%70rotected/secret",
    "/prot%65cted/secret",
    "/%2570rotected/secret",
    "http://shop/protected/secret",
    "http://shop/open/../protected/secret",
    "HTTP://SHOP//protected/secret",
    "http://open/protected/secret",
    "*",
    "/open/\t/../protected/secret",
    "/open\x00/../protected/secret",
    "/open/\xe2\x80\xa5/protected/secret",
  ];
}

const PATH = "/protected/secret";

/** Whole requests for the protected file that differ in Host, form and version. */
export function hosts(): readonly string[] {
  const values = [
    "shop",
    "SHOP",
    "shop:80",
    "shop:8080",
    "shop.",
    "public.shop",
    "PUBLIC.SHOP",
    "public.shop:80",
  ];
  const odd = [
    "public.shop.",
    "[::1]",
    "[::1]:80",
    "127.0.0.1",
    "localhost",
    "shop@public.shop",
    "a,public.shop",
    "",
  ];
  const named = [...values, ...odd].flatMap(host => [
    `GET ${PATH} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
    `GET http://public.shop${PATH} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`,
  ]);
  return [
    ...named,
    `GET ${PATH} HTTP/1.0\r\n\r\n`,
    `GET ${PATH} HTTP/1.0\r\nhost: public.shop\r\n\r\n`,
    `GET ${PATH}\r\n\r\n`,
    `GET ${PATH} HTTP/1.1\r\nconnection: close\r\n\r\n`,
    `GET ${PATH} HTTP/1.1\r\nhost: shop\r\nhost: public.shop\r\nconnection: close\r\n\r\n`,
    `GET ${PATH} HTTP/1.1\r\nhost: public.shop\r\nhost: shop\r\nconnection: close\r\n\r\n`,
    `GET ${PATH} HTTP/1.1\r\nhost: shop\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n`,
    `GET ${PATH} HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`,
    `CONNECT shop:8080 HTTP/1.1\r\nhost: shop\r\n\r\nGET ${PATH} HTTP/1.1\r\nhost: shop\r\n\r\n`,
    `get ${PATH} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n`,
    `GET ${PATH} HTTP/2.0\r\nhost: shop\r\nconnection: close\r\n\r\n`,
  ];
}

const HIDDEN = `GET ${PATH} HTTP/1.1\r\nhost: shop\r\n\r\n`;

/** Ways to say a length twice, or a coding that only some see. */
const CODINGS = [
  "transfer-encoding: chunked",
  "Transfer-Encoding : chunked",
  "transfer-encoding:\tchunked",
  "transfer-encoding: xchunked",
  "transfer-encoding: chunked, identity",
  "transfer-encoding: identity, chunked",
  "transfer-encoding: chunked\r\ntransfer-encoding: x",
  "transfer-encoding: Chunked",
  "x: y\ntransfer-encoding: chunked",
  "transfer-encoding:\x0bchunked",
  'transfer-encoding: "chunked"',
  " transfer-encoding: chunked",
  "transfer_encoding: chunked",
];
const LENGTHS = ["5", "0", "+5", "05", "5, 5", "5\r\ncontent-length: 0", "0x5", "-1", "99999999999999999999"];

/** Requests of an allowed path that hide one of the protected path where two parsers may disagree. */
export function smuggled(): readonly string[] {
  const head = "POST /open/x HTTP/1.1\r\nhost: shop\r\n";
  const both = CODINGS.flatMap(coding =>
    ["5", "0", `${HIDDEN.length + 5}`].map(
      length => `${head}content-length: ${length}\r\n${coding}\r\n\r\n0\r\n\r\n${HIDDEN}`,
    ),
  );
  const lengths = LENGTHS.map(length => `${head}content-length: ${length}\r\n\r\n${HIDDEN}`);
  const chunks = [
    "0;x\r\n\r\n",
    "00000\r\n\r\n",
    "0\n\n",
    "0 \r\n\r\n",
    "0x0\r\n\r\n",
    "-0\r\n\r\n",
    "1\r\nZZ\r\n0\r\n\r\n",
  ];
  const chunked = chunks.map(chunk => `${head}transfer-encoding: chunked\r\n\r\n${chunk}${HIDDEN}`);
  const lines = ["\n", "\r", "\r\r\n", "\x00\r\n", " \r\n\t", "\x0b"];
  const folded = lines.map(end => `${head}x: y${end}${HIDDEN}`);
  return [...both, ...lengths, ...chunked, ...folded];
}

/** Headers by which proxies tell each other who asked for what. */
const TRUSTED = [
  "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-client-cert", "x-forwarded-prefix",
  "x-forwarded-uri", "forwarded", "via", "x-real-ip", "x-original-url", "x-rewrite-url", "x-original-host",
  "x-http-method-override", "x-method-override", "x-envoy-original-path", "x-envoy-original-dst-host",
  "x-envoy-internal", "x-envoy-external-address", "x-envoy-decorator-operation", "x-envoy-force-trace",
  "x-envoy-upstream-rq-timeout-ms", "x-envoy-max-retries", "x-envoy-retry-on", "x-envoy-peer-metadata",
  "x-envoy-upstream-alt-stat-name", "x-envoy-downstream-service-cluster", "x-envoy-ip-tags", "x-client-trace-id",
  "x-b3-traceid", "traceparent", "x-request-id", "osm-caller-gate", "osm-stats-namespace", "osm-stats-pod",
  "x-spiffe-id", "authorization", "l5d-client-id", "x-osm-identity", ":path", ":authority",
]; // prettier-ignore

/** Requests for the protected file that say by a header that they are somebody else's, or something else. */
export function forged(clerk: string): readonly string[] {
  const values = [clerk, `inbound|8080|${clerk}`, "/open/x", `URI=${clerk}`, "\xff\xfe"];
  const request = (lines: string): string =>
    `GET ${PATH} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n${lines}\r\n\r\n`;
  const single = TRUSTED.flatMap(name => values.map(value => request(`${name}: ${value}`)));
  const twice = TRUSTED.map(name => request(`${name}: x\r\n${name}: ${clerk}`));
  const underscored = TRUSTED.map(name => request(`${name.replaceAll("-", "_")}: ${clerk}`));
  return [...single, ...twice, ...underscored, request(`x: ${"y".repeat(100 * 1024)}`)];
}
