import { expect } from "chai";
import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { parseCidr } from "../../../src/model/cidr";
import { parseQuantity } from "../../../src/model/quantity";

describe("address ranges", () => {
  it("agree with the system about what an address is", () => {
    const text = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.string({ unit: fc.constantFrom("0", "1", "25", "9", "a", "F", ":", "::", ".") }),
    );
    fc.assert(
      fc.property(text, address => {
        const parsed = parseCidr(`${address}/32`);
        expect(parsed?.family, address).to.equal(
          isIPv4(address) ? "ipv4" : isIPv6(address) ? "ipv6" : undefined,
        );
      }),
      { numRuns: 2_000 },
    );
  });

  const rows: readonly (readonly [string, string | undefined])[] = [
    ["0.0.0.0/0", "ipv4 0"],
    ["10.1.2.3/32", "ipv4 32"],
    ["10.1.2.3/33", undefined],
    ["10.1.2.3", undefined],
    ["10.1.2/8", undefined],
    ["010.1.2.3/8", undefined],
    ["10.1.2.3/08", undefined],
    ["::/0", "ipv6 0"],
    ["fd00::1/128", "ipv6 128"],
    ["fd00::1/129", undefined],
    ["::ffff:1.2.3.4/96", "ipv6 96"],
    ["1:2:3:4:5:6:7:8/64", "ipv6 64"],
    ["1:2:3:4:5:6:7:8:9/64", undefined],
    ["1::2::3/64", undefined],
    ["fe80::1%eth0/64", undefined],
    ["", undefined],
  ];
  for (const [text, want] of rows) {
    it(`${want === undefined ? "refuses" : "reads"} "${text}"`, () => {
      const got = parseCidr(text);
      expect(got === undefined ? undefined : `${got.family} ${got.prefix}`).to.equal(want);
    });
  }
});

describe("quantities", () => {
  const rows: readonly (readonly [string, number | undefined])[] = [
    ["100m", 0.1],
    ["64Mi", 64 * 2 ** 20],
    ["1.5", 1.5],
    [".5", 0.5],
    ["5.", 5],
    ["1e3", 1_000],
    ["1E3", 1_000],
    ["2E", 2e18],
    ["-1", -1],
    ["+1k", 1_000],
    ["1Ei", 2 ** 60],
    ["", undefined],
    ["m", undefined],
    ["1 Gi", undefined],
    ["1gi", undefined],
    ["1e", undefined],
    ["0x10", undefined],
    ["1e999", undefined],
  ];
  for (const [text, want] of rows) {
    it(`${want === undefined ? "refuses" : "reads"} "${text}"`, () => {
      expect(parseQuantity(text)).to.equal(want);
    });
  }
});
