import { createPublicKey } from "node:crypto";
import { expect } from "chai";
import { isP256Key } from "../../../src/model/p256";
import { newPublicKey } from "../../support/external-workload";

const HEADER = 27;

/** What the platform takes for a key. */
function isTaken(text: string): boolean {
  try {
    createPublicKey({ key: Buffer.from(text, "base64"), format: "der", type: "spki" });
    return true;
  } catch {
    return false;
  }
}

describe("a P-256 public key as text", () => {
  it("is one that the platform makes", () => {
    for (let count = 0; count < 50; count += 1) {
      const key = newPublicKey();
      expect(isP256Key(key), key).to.equal(true);
    }
  });

  it("is none when its point is not on the curve or has no coordinates, as for the platform", () => {
    for (const start of [HEADER, HEADER + 32]) {
      const turned = Buffer.from(newPublicKey(), "base64");
      turned[start + 20] = (turned[start + 20] ?? 0) ^ 1;
      const beyond = Buffer.from(newPublicKey(), "base64").fill(0xff, start, start + 32);
      const origin = Buffer.from(newPublicKey(), "base64").fill(0, HEADER);
      for (const bytes of [turned, beyond, origin]) {
        const text = bytes.toString("base64");
        expect(isTaken(text), text).to.equal(false);
        expect(isP256Key(text), text).to.equal(false);
      }
    }
  });

  it("is written in one way only", () => {
    const key = newPublicKey();
    const last = key.charAt(121);
    const next = String.fromCharCode(last.charCodeAt(0) + 1);
    const same = `${key.slice(0, 121)}${next}==`;
    expect(Buffer.from(same, "base64").equals(Buffer.from(key, "base64"))).to.equal(true);
    for (const text of [same, `${key}\n`, ` ${key}`, key.slice(0, -1), key.slice(4), ""]) {
      expect(isP256Key(text), JSON.stringify(text)).to.equal(false);
    }
  });
});
