/** Public keys on the curve P-256, as text: told without any cryptography, wherever objects are judged. */

/** The prime of the field (SP 800-186 §3.2.1.3). */
const P = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
/**
 * Every SubjectPublicKeyInfo with an uncompressed point is these 27 bytes and 64 more (RFC 5480 §2). Of the last digit only two
 * bits count; the others are zero, so that a key is written in one way only (RFC 4648 §3.5).
 */
const P256_KEY = /^MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{85}[AQgw]==$/;
const HEADER_BYTES = 27;
const COORDINATE_BYTES = 32;

/** Whether a text is a P-256 SubjectPublicKeyInfo (DER in canonical base64) of a point that is on the curve. */
export function isP256Key(text: string): boolean {
  if (!P256_KEY.test(text)) return false;
  const bytes = Buffer.from(text, "base64");
  const coordinate = (start: number): bigint =>
    BigInt(`0x${bytes.subarray(start, start + COORDINATE_BYTES).toString("hex")}`);
  const [x, y] = [coordinate(HEADER_BYTES), coordinate(HEADER_BYTES + COORDINATE_BYTES)];
  return x < P && y < P && (y * y - (x * x * x - 3n * x + B)) % P === 0n;
}
