import { Writable } from "node:stream";
import { expect } from "chai";
import { createLog } from "../../../src/runtime/log";
import { takeConsole } from "../../../src/runtime/log/console";
import { systemClock } from "../../../src/runtime/clock";

describe("what libraries print", () => {
  it("is one line of the log each, nine a second, and goes back to where it was", () => {
    const lines: string[] = [];
    const stream = new Writable({
      write: (chunk: Buffer, _, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const said: unknown[] = [];
    const target = { error: (...all: unknown[]) => void said.push(...all), warn: () => undefined };
    const before = target.error;
    const clock = { now: () => 0, setTimeout: systemClock.setTimeout.bind(systemClock) };
    const taken = takeConsole(createLog({ level: "info", clock, stream }).child("console"), target);
    for (let n = 0; n < 20_000; n += 1) target.error(`SyntaxError: ${n}\n    at parse (json.js:92:19)`);
    expect(lines).to.have.length(9);
    expect(JSON.parse(lines[8] ?? "")).to.deep.include({
      level: "warn",
      component: "console",
      message: "printed by a library",
      text: "SyntaxError: 8\n    at parse (json.js:92:19)",
    });
    expect(lines.every(line => line.indexOf("\n") === line.length - 1)).to.equal(true);
    taken.stop();
    expect(target.error).to.equal(before);
    target.error("x");
    expect(said).to.deep.equal(["x"]);
  });
});
