/** HashiCorp Vault's PKI engine at `pki/`, asked to sign requests: keys never go there. */
import http from "node:http";
import https from "node:https";
import { IssuerError, type Signer, type SignerAnswer, type SigningRequest } from "../../certificate/issuer";
import { SECRET_MARK, type Secret } from "../../model/secret";

/** Where a Vault is, and as whom it signs. */
export interface VaultPlace {
  readonly host: string;
  readonly port: number;
  readonly role: string;
  readonly protocol: "http" | "https";
}

/** What is needed to talk to it. */
export interface VaultAccess {
  readonly token: Secret<string>;
  /** What its server certificate is verified with, PEM; undefined: the roots that Node knows. */
  readonly caPem: string | undefined;
}

/** An answer is a handful of certificates; beyond this it is none, bytes. */
const MAX_BODY = 1024 * 1024;
/** Longest part of an answer's text in an error. */
const QUOTED = 300;

interface Answer {
  readonly status: number;
  readonly body: string;
}

function exchange(
  place: VaultPlace,
  access: VaultAccess,
  call: { readonly body: string; readonly signal: AbortSignal },
): Promise<Answer> {
  const options: https.RequestOptions = {
    host: place.host,
    port: place.port,
    method: "POST",
    path: `/v1/pki/sign/${encodeURIComponent(place.role)}`,
    headers: {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(call.body),
      "x-vault-request": "true",
      "x-vault-token": access.token.reveal(),
    },
    // A connection for each: leaves are asked for seldom, and none of them meets one that is being closed.
    agent: false,
    signal: call.signal,
    ...(access.caPem === undefined ? {} : { ca: access.caPem }),
  };
  return new Promise((resolve, reject) => {
    const request = (place.protocol === "https" ? https : http).request(options, response => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > MAX_BODY) request.destroy(new IssuerError("garbage", "the answer is too long"));
        else parts.push(part);
      });
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") });
      });
    });
    request.on("error", reject);
    request.end(call.body);
  });
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return undefined;
  }
}

/** Vault's own words about an error, without control characters and without the token, should they quote it. */
function reasonOf(body: string, token: Secret<string>): string {
  const errors = (parse(body) as { errors?: unknown } | null | undefined)?.errors;
  const text = Array.isArray(errors) ? errors.filter(each => typeof each === "string").join("; ") : "";
  const secret = token.reveal();
  const safe = secret === "" ? text : text.replaceAll(secret, SECRET_MARK);
  return safe.replace(/\p{Cc}+/gu, " ").slice(0, QUOTED);
}

/** What the status of an answer that is no success means: too many requests and a sealed or standby Vault pass by. */
function troubleOf(status: number): "unavailable" | "refused" {
  const passing = status < 400 || status === 408 || status === 412 || status === 429 || status >= 472;
  return passing ? "unavailable" : "refused";
}

function text(value: unknown): readonly string[] {
  return typeof value === "string" ? [value] : [];
}

/** `data.certificate`, then whatever else Vault says of the chain. */
function certificatesOf(body: string): string | undefined {
  const data = (parse(body) as { data?: Readonly<Record<string, unknown>> | null } | null | undefined)?.data;
  const [leaf] = text(data?.["certificate"]);
  if (leaf === undefined) return undefined;
  const chain: unknown = data?.["ca_chain"];
  const above = [...(Array.isArray(chain) ? chain.flatMap(text) : []), ...text(data?.["issuing_ca"])];
  return [leaf, ...new Set(above)].join("\n");
}

/** The request in Vault's words. The lifetime is in seconds: OSM's hours made "0h" of anything below one. */
function bodyOf({ plan, csrPem, lifetimeSeconds }: SigningRequest): string {
  return JSON.stringify({
    csr: csrPem,
    ...(plan.commonName === undefined ? {} : { common_name: plan.commonName }),
    alt_names: plan.dnsNames.join(","),
    uri_sans: plan.uris.join(","),
    exclude_cn_from_sans: true,
    ttl: `${lifetimeSeconds}s`,
    format: "pem",
  });
}

/**
 * A signer that asks Vault. Redirects are not followed: the token goes nowhere else. `read` gives the token; it is read
 * again after Vault has refused it, so that a new one is taken without a restart.
 */
export function vaultSigner(place: VaultPlace, read: () => Promise<VaultAccess>): Signer {
  const title = `Vault role ${place.role} at ${place.host}:${place.port}`;
  let known: VaultAccess | undefined;
  const sign = async (request: SigningRequest, signal: AbortSignal): Promise<SignerAnswer> => {
    const access = (known ??= await read());
    let answer: Answer;
    try {
      answer = await exchange(place, access, { body: bodyOf(request), signal });
    } catch (error) {
      if (error instanceof IssuerError) throw new IssuerError(error.trouble, `${title}: ${error.message}`);
      const { code, message } = error as NodeJS.ErrnoException;
      throw new IssuerError("unavailable", `${title} cannot be reached: ${code ?? message}`);
    }
    if (answer.status === 403) known = undefined;
    if (answer.status !== 200) {
      const reason = reasonOf(answer.body, access.token);
      throw new IssuerError(troubleOf(answer.status), `${title} answered ${answer.status}: ${reason}`);
    }
    const certificatesPem = certificatesOf(answer.body);
    if (certificatesPem === undefined)
      throw new IssuerError("garbage", `${title} answered without a certificate`);
    return { certificatesPem };
  };
  return { title, sign };
}
