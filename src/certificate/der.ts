/** X.509 certificates as DER (RFC 5280). No key is touched here: the caller signs the bytes to be signed. */
import asn1 from "node-forge/lib/asn1";
import type { asn1 as Asn1 } from "node-forge";
import type { CertificatePlan } from "./plan";

type Node = Asn1.Asn1;

/** How the issuer signs. */
export type SignatureKind = "ecdsa-sha256" | "rsa-sha256";

/** What the issuer and the key add to a plan. */
export interface Issuance {
  /** Subject of the issuer, DER, byte for byte as in its certificate; undefined for a self-signed root. */
  readonly issuerName: Uint8Array | undefined;
  /** Key identifier of the issuer; undefined when its certificate has none. */
  readonly issuerKeyId: Uint8Array | undefined;
  readonly signature: SignatureKind;
  /** See {@link serialOf}. */
  readonly serial: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** SHA-1 of the public key bits, or any other identifier of the key. */
  readonly keyId: Uint8Array;
}

const { Class, Type } = asn1;
const OID = {
  commonName: "2.5.4.3",
  organisation: "2.5.4.10",
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  extensionRequest: "1.2.840.113549.1.9.14",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ecdsaSha256: "1.2.840.10045.4.3.2",
  rsaSha256: "1.2.840.113549.1.1.11",
} as const;

function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
function encode(node: Node): Uint8Array {
  return Buffer.from(asn1.toDer(node).getBytes(), "latin1");
}
function decode(der: Uint8Array): Node {
  return asn1.fromDer(binary(der));
}
function sequence(...parts: readonly Node[]): Node {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...parts]);
}
function primitive(type: Asn1.Type, value: string): Node {
  return asn1.create(Class.UNIVERSAL, type, false, value);
}
function context(tag: number, constructed: boolean, value: string | Node[]): Node {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag as Asn1.Type, constructed, value);
}
function oid(name: string): Node {
  return primitive(Type.OID, asn1.oidToDer(name).getBytes());
}

function algorithm(kind: SignatureKind): Node {
  // RFC 5758 §3.2: ECDSA has no parameters; RFC 4055 §5: RSA has NULL.
  return kind === "ecdsa-sha256"
    ? sequence(oid(OID.ecdsaSha256))
    : sequence(oid(OID.rsaSha256), primitive(Type.NULL, ""));
}

function relativeName(type: string, value: string): Node {
  const text = primitive(Type.UTF8, Buffer.from(value, "utf8").toString("latin1"));
  return asn1.create(Class.UNIVERSAL, Type.SET, true, [sequence(oid(type), text)]);
}

function subjectOf(plan: CertificatePlan): Node {
  const common = plan.commonName === undefined ? [] : [relativeName(OID.commonName, plan.commonName)];
  return sequence(relativeName(OID.organisation, plan.organisation), ...common);
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime afterwards; no fractions of a second. */
function time(ms: number): Node {
  const date = new Date(ms);
  return date.getUTCFullYear() < 2050
    ? primitive(Type.UTCTIME, asn1.dateToUtcTime(date))
    : primitive(Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

/** A serial number of random bytes: positive, never zero, of full length (RFC 5280 §4.1.2.2). */
export function serialOf(random: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(random);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

function extension(id: string, critical: boolean, value: Node): Node {
  const flag = critical ? [primitive(Type.BOOLEAN, "\xff")] : [];
  return sequence(oid(id), ...flag, primitive(Type.OCTETSTRING, binary(encode(value))));
}

function altNames(plan: CertificatePlan): readonly Node[] {
  const names = [
    ...plan.uris.map(uri => context(6, false, uri)),
    ...plan.dnsNames.map(name => context(2, false, name)),
  ];
  return names.length === 0 ? [] : [extension(OID.subjectAltName, false, sequence(...names))];
}

/** Bits of KeyUsage: digitalSignature for leaves; keyCertSign and cRLSign for the root. */
function keyUsage(root: boolean): Node {
  return primitive(Type.BITSTRING, root ? "\x01\x06" : "\x07\x80");
}

/** Extended key usages by purpose: gateways and external proxies only call, a server only answers, the others do both. */
const USAGES: Readonly<Record<CertificatePlan["purpose"], readonly string[]>> = {
  workload: [OID.serverAuth, OID.clientAuth],
  serving: [OID.serverAuth],
  "control-plane": [OID.serverAuth, OID.clientAuth],
  gateway: [OID.clientAuth],
  external: [OID.clientAuth],
  root: [],
};

/** Extended key usages of a purpose, as object identifiers; none for a root. */
export function usagesOf(purpose: CertificatePlan["purpose"]): readonly string[] {
  return USAGES[purpose];
}

function extensionsOf(plan: CertificatePlan, issuance: Issuance): readonly Node[] {
  const root = plan.purpose === "root";
  const constraints = root ? sequence(primitive(Type.BOOLEAN, "\xff")) : sequence();
  const issuerKeyId = issuance.issuerKeyId ?? (root ? issuance.keyId : undefined);
  const authority =
    issuerKeyId === undefined
      ? []
      : [extension(OID.authorityKeyId, false, sequence(context(0, false, binary(issuerKeyId))))];
  return [
    extension(OID.basicConstraints, true, constraints),
    extension(OID.keyUsage, true, keyUsage(root)),
    ...(root ? [] : [extension(OID.extendedKeyUsage, false, sequence(...USAGES[plan.purpose].map(oid)))]),
    extension(OID.subjectKeyId, false, primitive(Type.OCTETSTRING, binary(issuance.keyId))),
    ...authority,
    ...altNames(plan),
  ];
}

/** The bytes the issuer has to sign (TBSCertificate). */
export function toBeSigned(plan: CertificatePlan, issuance: Issuance): Uint8Array {
  const version3 = context(0, true, [primitive(Type.INTEGER, "\x02")]);
  const issuer = issuance.issuerName === undefined ? subjectOf(plan) : decode(issuance.issuerName);
  return encode(
    sequence(
      version3,
      primitive(Type.INTEGER, binary(issuance.serial)),
      algorithm(issuance.signature),
      issuer,
      sequence(time(plan.notBefore), time(plan.notAfter)),
      subjectOf(plan),
      decode(issuance.publicKey),
      context(3, true, [sequence(...extensionsOf(plan, issuance))]),
    ),
  );
}

/**
 * The bytes that the key to certify has to sign for a PKCS #10 request (RFC 2986). The request asks for the plan's names
 * and usages; when it ends is said to the issuer in another way.
 */
export function requestToBeSigned(plan: CertificatePlan, publicKey: Uint8Array): Uint8Array {
  const extensions = sequence(
    extension(OID.keyUsage, true, keyUsage(false)),
    extension(OID.extendedKeyUsage, false, sequence(...USAGES[plan.purpose].map(oid))),
    ...altNames(plan),
  );
  const attribute = sequence(
    oid(OID.extensionRequest),
    asn1.create(Class.UNIVERSAL, Type.SET, true, [extensions]),
  );
  return encode(
    sequence(
      primitive(Type.INTEGER, "\0"),
      subjectOf(plan),
      decode(publicKey),
      context(0, true, [attribute]),
    ),
  );
}

/** A whole certificate, or a whole request, DER. */
export function assemble(tbs: Uint8Array, kind: SignatureKind, signature: Uint8Array): Uint8Array {
  return encode(sequence(decode(tbs), algorithm(kind), primitive(Type.BITSTRING, `\0${binary(signature)}`)));
}

function children(node: Node | undefined): readonly Node[] {
  return node !== undefined && Array.isArray(node.value) ? node.value : [];
}

/** Fields of a TBSCertificate; a version 1 certificate lacks the version. */
function fieldsOf(der: Uint8Array): readonly Node[] {
  const fields = children(children(decode(der))[0]);
  return fields[0]?.tagClass === Class.CONTEXT_SPECIFIC ? fields.slice(1) : fields;
}

/** Value of an extension as binary string; undefined when the certificate does not have it. */
function extensionValue(fields: readonly Node[], id: string): string | undefined {
  const wrapper = fields.find(
    field => field.tagClass === Class.CONTEXT_SPECIFIC && (field.type as number) === 3,
  );
  for (const item of children(children(wrapper)[0])) {
    const parts = children(item);
    const [type, value] = [parts[0]?.value, parts.at(-1)?.value];
    if (typeof type === "string" && typeof value === "string" && asn1.derToOid(type) === id) return value;
  }
  return undefined;
}

/** The parts of an issuer's certificate that its leaves repeat. Throws when `der` is not a certificate. */
export function readIssuer(der: Uint8Array): {
  readonly name: Uint8Array;
  readonly keyId: Uint8Array | undefined;
} {
  const fields = fieldsOf(der);
  const subject = fields[4];
  if (subject === undefined) throw new Error("not a certificate: no subject");
  const value = extensionValue(fields, OID.subjectKeyId);
  const inner = value === undefined ? undefined : asn1.fromDer(value).value;
  return {
    name: encode(subject),
    keyId: typeof inner === "string" ? Buffer.from(inner, "latin1") : undefined,
  };
}
