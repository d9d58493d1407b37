import { expect } from "chai";
import { worthTelling } from "../../../hack/cluster/progress";

describe("what a long step tells of the program that it runs", () => {
  it("is its line without colours and cursor movements", () => {
    expect(worthTelling("\u001b[32mINFO\u001b[39m: applying\u001b[K ")).to.equal("INFO: applying");
  });

  it("is no warning of npm about its own settings, and no empty line", () => {
    for (const line of ["npm warn Unknown user config", "npm notice new version", "\u001b[0m", "  "])
      expect(worthTelling(line), line).to.equal(undefined);
    expect(worthTelling("npm error code E404")).to.equal("npm error code E404");
  });
});
