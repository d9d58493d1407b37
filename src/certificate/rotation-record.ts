/** The persisted form of a rotation: JSON, which a later release may add to. */
import { fieldsOf, itemsOf, textOf } from "../api/field";
import type { MeshRootCertificateSpec } from "../api/mesh-root-certificate";
import type { MadeMove, RotationState, TrustedRoot } from "./root-rotation";

const FINGERPRINT = /^[0-9a-f]{16}$/;

/** A rotation as text; what need not survive is left out. */
export function printRotation({ roots, issuing, absent, made, past }: RotationState): string {
  return JSON.stringify({ version: 1, roots, issuing, absent, made, past });
}

/**
 * Reads what {@link printRotation} wrote. Throws when it is something else: to go on as if there had been no rotation would
 * take trust away from certificates in use.
 */
export function parseRotation(text: string): RotationState {
  const record = fieldsOf(JSON.parse(text) as unknown);
  const roots = itemsOf(record["roots"]).map(readRoot);
  const issuing = textOf(record["issuing"]) ?? "";
  if (record["version"] !== 1) throw new Error("the record of the root's rotation is of another version");
  if (!roots.some(({ fingerprint }) => fingerprint === issuing))
    throw new Error("the record of the root's rotation does not know the root that issues");
  const absent = Object.fromEntries(Object.entries(fieldsOf(record["absent"])).filter(isNumber));
  const past = Object.entries(fieldsOf(record["past"])).filter(isNumber);
  const state = { roots, issuing, absent, made: itemsOf(record["made"]).map(readMove) };
  return past.length === 0 ? state : { ...state, past: Object.fromEntries(past) };
}

const isNumber = (entry: [string, unknown]): entry is [string, number] => typeof entry[1] === "number";

function readRoot(value: unknown): TrustedRoot {
  const root = fieldsOf(value);
  const fingerprint = textOf(root["fingerprint"]) ?? "";
  const anchorsPem = textOf(root["anchorsPem"]) ?? "";
  if (!FINGERPRINT.test(fingerprint) || !anchorsPem.includes("-----BEGIN CERTIFICATE-----"))
    throw new Error("the record of the root's rotation holds something that is no root");
  // Written by the mesh itself from an object that was valid.
  const provider = root["provider"] as MeshRootCertificateSpec["provider"] | undefined;
  const trustDomain = textOf(root["trustDomain"]);
  const known = { fingerprint, owner: textOf(root["owner"]), anchorsPem, provider };
  return trustDomain === undefined ? known : { ...known, trustDomain };
}

const KINDS: Readonly<Record<string, MadeMove["kind"]>> = { trust: "trust", issue: "issue", drop: "drop" };

function readMove(value: unknown): MadeMove {
  const move = fieldsOf(value);
  return {
    at: Number(move["at"]),
    kind: KINDS[textOf(move["kind"]) ?? ""] ?? "trust",
    fingerprint: textOf(move["fingerprint"]) ?? "",
    without: itemsOf(move["without"]).flatMap(name => textOf(name) ?? []),
  };
}
