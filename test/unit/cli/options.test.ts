import { expect } from "chai";
import { adsAddressOf, portsOf, rangesOf } from "../../../src/cli/options";
import { CommandError } from "../../../src/cli/failure";

describe("options of commands", () => {
  it("are lists of ports and ranges, and an address with its port", () => {
    expect(portsOf(" 22, 8080,", "inbound-exclude")).to.deep.equal([22, 8080]);
    expect(rangesOf("10.96.0.0/12, fd00::/8", "outbound-ranges")).to.deep.equal(["10.96.0.0/12", "fd00::/8"]);
    expect([portsOf("", "inbound-exclude"), rangesOf("", "outbound-ranges")]).to.deep.equal([[], []]);
    expect(adsAddressOf("mesh.example")).to.equal("mesh.example:15128");
    expect(adsAddressOf("mesh.example:443")).to.equal("mesh.example:443");
    expect(adsAddressOf("[fd00::1]")).to.equal("[fd00::1]:15128");
  });

  const wrong: readonly (readonly [string, () => unknown, string])[] = [
    ...["ssh", "0", "65536", "22x", "-1", "1e3", "0x16", "22 80"].map(
      text =>
        [
          `the port ${text}`,
          () => portsOf(`443,${text}`, "inbound-exclude"),
          `--inbound-exclude: "${text}"`,
        ] as const,
    ),
    ["a port of the proxy", () => portsOf("15003", "inbound-exclude"), "--inbound-exclude: port 15003"],
    ...["10.96.0.0", "10.96.0.0/33", "fd00::/129", "10.96.0/12", "cluster", "10.0.0.0/8;fd00::/8"].map(
      text =>
        [
          `the range ${text}`,
          () => rangesOf(`10.96.0.0/12,${text}`, "outbound-ranges"),
          `--outbound-ranges: "${text}"`,
        ] as const,
    ),
    ["no port of an address", () => adsAddressOf("mesh.example:65536"), '--ads: "65536"'],
  ];
  for (const [what, read, words] of wrong) {
    it(`are refused, by name: ${what}`, () => {
      expect(read).to.throw(CommandError, words);
    });
  }
});
