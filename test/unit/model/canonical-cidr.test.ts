import { expect } from "chai";
import { canonicalCidr, canonicalCidrs, RangeMap } from "../../../src/model/canonical-cidr";

describe("one spelling of address ranges", () => {
  const spellings: readonly (readonly [string, string | undefined])[] = [
    ["10.0.9.7/24", "10.0.9.0/24"],
    ["10.255.9.7/9", "10.128.0.0/9"],
    ["10.0.9.7/0", "0.0.0.0/0"],
    ["255.255.255.255/31", "255.255.255.254/31"],
    ["1.2.3.4/32", "1.2.3.4/32"],
    ["FD00::/8", "fd00::/8"],
    ["fdff:1::2/8", "fd00::/8"],
    ["fd00:0:0:0::1/64", "fd00::/64"],
    ["abcd::/0", "::/0"],
    ["0:0:0:0:0:0:0:1/128", "::1/128"],
    ["2001:db8:0:0:1:0:0:1/128", "2001:db8::1:0:0:1/128"],
    ["1:0:3:4:5:6:7:8/128", "1:0:3:4:5:6:7:8/128"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/65", "ffff:ffff:ffff:ffff:8000::/65"],
    ["::ffff:10.1.2.3/104", "::ffff:10.0.0.0/104"],
    ["::FFFF:a01:203/128", "::ffff:10.1.2.3/128"],
    ["::ffff:10.0.0.0/90", "::ffc0:0:0/90"],
    ["10.0.0.1", undefined],
    ["10.0.0.0/33", undefined],
    ["fd00::/129", undefined],
    ["host/8", undefined],
  ];
  for (const [text, expected] of spellings)
    it(`${text} is ${expected ?? "none"}`, () => {
      expect(canonicalCidr(text)).to.equal(expected);
      if (expected !== undefined) expect(canonicalCidr(expected), "once more").to.equal(expected);
    });

  it("is said once, in the order given", () => {
    expect(canonicalCidrs(["10.0.9.7/24", "FD00::/8", "10.0.9.0/24", "x", "fd01::/8"])).to.deep.equal([
      "10.0.9.0/24",
      "fd00::/8",
    ]);
  });
});

describe("values by address range", () => {
  it("are found around a range of the same family, and not within it", () => {
    const ranges = new RangeMap<string>();
    for (const cidr of ["10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "0.0.0.0/0", "::/0", "fd00::/8"])
      ranges.set(cidr, cidr);
    const around = (cidr: string): readonly string[] => [...ranges.around(cidr)].sort();
    expect(around("10.1.0.0/16")).to.deep.equal(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16"]);
    expect(around("10.1.1.9/32")).to.have.members(["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24"]);
    expect(around("0.0.0.0/0")).to.deep.equal(["0.0.0.0/0"]);
    expect(around("fd00:1::/64")).to.deep.equal(["::/0", "fd00::/8"]);
    expect(ranges.get("10.1.0.0/16")).to.equal("10.1.0.0/16");
    expect(ranges.get("10.1.0.0/17")).to.equal(undefined);
    expect([...ranges.entries()]).to.have.length(6);
  });
});
