import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A CA made and worked by OpenSSL: a root, an intermediate below it, and certificates for requests. */
export interface OpensslCa {
  readonly folder: string;
  /** PEM. */
  readonly rootPem: string;
  readonly intermediatePem: string;
  readonly intermediateKeyPem: string;
  /** PEM; a P-256 key of the root, PKCS #8. */
  readonly rootKeyPem: string;
  /**
   * A certificate of the intermediate, with a life to the second; OpenSSL checks the request's own signature. It has the
   * names that the request asks for, or those of a thief.
   */
  sign(csrPem: string, seconds: number, as?: "asked" | "thief"): Promise<string>;
  /** A request for the names of the contract, with a key of its own. */
  foreignRequest(): Promise<string>;
  /** What OpenSSL says of a leaf that is verified with an intermediate chain and a trust anchor; rejects when it is not OK. */
  verify(chainPem: string, anchorsPem: string, purpose: "sslserver" | "sslclient"): Promise<string>;
  remove(): void;
}

const NAMES =
  "URI:spiffe://cluster.local/ns/bookbuyer/sa/bookbuyer.v1,DNS:bookbuyer.v1.bookbuyer.cluster.local";
const CONFIG = `
[req]
distinguished_name = any
[ca]
default_ca = issuing
[issuing]
database = index.txt
new_certs_dir = issued
default_md = sha256
rand_serial = yes
unique_subject = no
policy = any
copy_extensions = copy
[any]
organizationName = optional
commonName = optional
[asked]
basicConstraints = critical,CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[thief]
basicConstraints = critical,CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = URI:spiffe://cluster.local/ns/bookbuyer/sa/thief
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`;

/** The form of a time that `openssl ca` reads. */
function asn1Time(ms: number): string {
  return `${new Date(ms).toISOString().replace(/[-:T]|\.\d+Z$/g, "")}Z`;
}

/** Makes a root and an intermediate in a folder of its own; `name` goes into their subjects. */
export async function createOpensslCa(name: string): Promise<OpensslCa> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-openssl-ca-"));
  const file = (part: string): string => path.join(folder, part);
  const read = (part: string): string => readFileSync(file(part), "utf8");
  const openssl = async (...args: readonly string[]): Promise<string> =>
    (await run("openssl", [...args], { cwd: folder })).stdout;
  writeFileSync(file("ca.cnf"), CONFIG);
  writeFileSync(file("index.txt"), "");
  mkdirSync(file("issued"));
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const extensions = ["-config", "ca.cnf", "-extensions", "authority"];
  await openssl(
    "req",
    "-x509",
    ...key,
    "-days",
    "30",
    "-subj",
    `/O=${name}/CN=root`,
    ...extensions,
    "-keyout",
    "root.key",
    "-out",
    "root.pem",
  );
  await openssl(
    "req",
    ...key,
    "-subj",
    `/O=${name}/CN=intermediate`,
    "-config",
    "ca.cnf",
    "-keyout",
    "intermediate.key",
    "-out",
    "intermediate.csr",
  );
  const signed = async (csr: string, end: number, by: string, extra: readonly string[]): Promise<string> => {
    const out = `${csr}.pem`;
    const times = ["-startdate", asn1Time(Date.now() - 60_000), "-enddate", asn1Time(end)];
    const issuer = ["-cert", `${by}.pem`, "-keyfile", `${by}.key`];
    await openssl(
      "ca",
      "-batch",
      "-notext",
      "-config",
      "ca.cnf",
      ...extra,
      ...issuer,
      ...times,
      "-in",
      csr,
      "-out",
      out,
    );
    return read(out);
  };
  await signed("intermediate.csr", Date.now() + 20 * 86_400_000, "root", ["-extensions", "authority"]);
  writeFileSync(file("intermediate.pem"), read("intermediate.csr.pem"));
  let count = 0;
  // OpenSSL's database is a file: one after the other.
  let last: Promise<unknown> = Promise.resolve();
  return {
    folder,
    rootPem: read("root.pem"),
    rootKeyPem: read("root.key"),
    intermediatePem: read("intermediate.pem"),
    intermediateKeyPem: read("intermediate.key"),
    sign: (csrPem, seconds, as = "asked") => {
      const csr = `${(count += 1)}.csr`;
      const next = last
        .catch(() => undefined)
        .then(() => {
          writeFileSync(file(csr), csrPem);
          return signed(csr, Date.now() + seconds * 1000, "intermediate", ["-extensions", as]);
        });
      last = next;
      return next;
    },
    foreignRequest: async () => {
      const id = (count += 1);
      const extensions = [
        "-addext",
        `subjectAltName=${NAMES}`,
        "-addext",
        "extendedKeyUsage=serverAuth,clientAuth",
      ];
      const asked = ["-subj", "/CN=foreign", ...extensions, "-config", "ca.cnf"];
      await openssl("req", ...key, ...asked, "-keyout", `${id}.key`, "-out", `${id}.csr`);
      return read(`${id}.csr`);
    },
    verify: async (chainPem, anchorsPem, purpose) => {
      const id = (count += 1);
      writeFileSync(file(`${id}.leaf`), chainPem);
      writeFileSync(file(`${id}.anchors`), anchorsPem);
      // OpenSSL reads the leaf from the file it verifies and what is between from the same one.
      const files = ["-CAfile", `${id}.anchors`, "-untrusted", `${id}.leaf`, `${id}.leaf`];
      return openssl("verify", "-partial_chain", "-purpose", purpose, ...files);
    },
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
