import { Writable } from "node:stream";
import { expect } from "chai";
import { lossyOutput, TELL_EVERY_MS } from "../../../src/runtime/log/output";
import { TurnedClock } from "../../support/turned-clock";

/** Standard output into a file: it takes lines again after it has refused some. A real full disk is in test/traffic. */
class Disk extends Writable {
  isFull = false;
  text = "";

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    const done = rest.at(-1) as (error?: Error) => void;
    if (this.isFull) process.nextTick(done, new Error("ENOSPC"));
    else {
      this.text += String(chunk);
      process.nextTick(done);
    }
    return !this.isFull;
  }
}

describe("lines on a full disk (R-21)", () => {
  const start = () => {
    const [disk, clock] = [new Disk(), new TurnedClock()];
    const output = lossyOutput({ stream: disk, clock, lostLine: lost => `lost ${lost}` });
    const say = async (...lines: readonly string[]): Promise<void> => {
      for (const line of lines) output.write(`${line}\n`);
      await new Promise(resolve => setImmediate(resolve));
    };
    return { disk, clock, say };
  };

  it("are written as they come while there is room", async () => {
    const { disk, clock, say } = start();
    await say("a", "b");
    expect(disk.text).to.equal("a\nb\n");
    expect(clock.pending).to.equal(0);
  });

  it("are counted, and told of once, before the first line that is taken again", async () => {
    const { disk, say } = start();
    await say("a");
    disk.isFull = true;
    await say("b", "c");
    await say("d");
    await say("e");
    disk.isFull = false;
    await say("f", "g");
    expect(disk.text).to.equal("a\n\nlost 4\nf\ng\n");
  });

  it("are told of by themselves where nothing else is logged", async () => {
    const { disk, clock, say } = start();
    disk.isFull = true;
    await say("a", "b", "c");
    clock.pass(TELL_EVERY_MS);
    await say();
    expect(disk.text).to.equal("");
    disk.isFull = false;
    clock.pass(TELL_EVERY_MS);
    await say();
    expect(disk.text).to.equal("\nlost 3\n");
    expect(clock.pending).to.equal(0);
  });
});
