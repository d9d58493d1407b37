import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { pepr } from "../../../package.json";

/** What a Node with the environment of the control plane's pods says of an expression. */
function inPod(expression: string): unknown {
  const program = `console.log(JSON.stringify(${expression}))`;
  const printed = execFileSync(process.execPath, ["-e", program], {
    env: { PATH: process.env["PATH"], ...pepr.env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return JSON.parse(printed);
}

describe("the environment of the control plane's pods", () => {
  it("gives no object a way to the prototype of all objects by name", () => {
    expect(inPod(`"__proto__" in {}`)).to.equal(false);
    expect(
      inPod(`(() => { const o = {}; o["__proto__"] = { admin: true }; return o.admin ?? null })()`),
    ).to.equal(null);
    // What is read of others stays data.
    expect(inPod(`Object.keys(JSON.parse('{"__proto__":{"admin":true}}'))`)).to.deep.equal(["__proto__"]);
  });

  it("bounds the young generation, which fills before it is collected, however little lives", () => {
    const space = `require("node:v8").getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")`;
    const grown = `(() => { let kept = []; for (let i = 0; i < 3e6; i++) { kept.push({ i }); if (kept.length > 1e5) kept = []; } return ${space}.space_size })()`;
    // Two halves of 8 MiB.
    expect(inPod(grown)).to.be.at.most(2 * 8 * 1024 ** 2);
  });
});
