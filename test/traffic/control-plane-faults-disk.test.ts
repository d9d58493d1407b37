import { execFileSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { MESH_CONFIG_NAME } from "../../src/model/mesh-words";
import { OSM } from "../chaos/objects";
import { Scene, type Tally } from "../chaos/scene";
import { quantile, verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
const FULL_MS = FULL ? 60_000 : 3_000;
const MESH_CONFIG = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${OSM}/meshconfigs/${MESH_CONFIG_NAME}`;
const LOST = "lines were lost: the output did not take them";

/** Bytes that the file system gives at a time: a line may yet fill the last of them. */
const PAGE = 4_096;
/** Each pod may open a stream a second in the long run, milliseconds. */
const OPEN_MS = 1_500;

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/** A small file system of its own that can be filled. */
class Disk {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "osm-disk-"));
  private readonly filler = path.join(this.folder, "filler");

  constructor() {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "osm-test", this.folder]);
  }

  /** Not a byte is left. */
  fill(): void {
    for (const bytes of [65_536, 4_096, 64, 1])
      try {
        for (;;) appendFileSync(this.filler, Buffer.alloc(bytes));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      }
  }

  free(): void {
    rmSync(this.filler, { force: true });
  }

  remove(): void {
    execFileSync("umount", [this.folder]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

interface Line {
  readonly message: string;
  readonly lost?: number;
}

describe("a full disk under everything that the control plane writes (R-21)", function () {
  this.timeout(FULL_MS + 600_000);
  let disk: Disk;
  let scene: Scene;
  let log: string;

  before(async () => {
    disk = new Disk();
    log = path.join(disk.folder, "log");
    scene = await Scene.start({ env: { TMPDIR: disk.folder, HOME: disk.folder } });
    // From the next process on its log is there, too, and is much.
    rmSync(scene.plane.logFile);
    symlinkSync(log, scene.plane.logFile);
    await scene.stage.api.kube.mergePatch(MESH_CONFIG, { spec: { observability: { osmLogLevel: "debug" } } });
    await scene.plane.disturb("kill");
    await scene.plane.heal("kill");
    await scene.everybodyThere();
  });
  after(async () => {
    await (scene as Scene | undefined)?.stop();
    (disk as Disk | undefined)?.remove();
  });

  const text = (): string => readFileSync(log, "utf8");
  /** Every simulated proxy comes again, and each is a line or two of the log. */
  const reconnect = async (): Promise<void> => {
    for (const link of scene.crowd) link.disturb("reset");
    await pause(OPEN_MS);
    await scene.everybodyThere();
  };
  /** Room again: resolves with how many lines are said to be lost, and after how long that is said, milliseconds. */
  const told = async (): Promise<{ readonly lost: number; readonly afterMs: number }> => {
    const before = text().length;
    disk.free();
    const began = performance.now();
    const line = await waitFor("the line that tells of the lost ones", () => {
      const lines = text().slice(before).split("\n");
      return lines.find(each => each.includes(LOST) && each.endsWith("}"));
    });
    const afterMs = Math.round(performance.now() - began);
    // What follows is whole lines again.
    await scene.turnGrant();
    const [, after = ""] = text().split(line);
    const whole = after.split("\n").filter(each => each !== "");
    for (const each of whole.slice(0, -1)) expect(() => JSON.parse(each) as Line, each).to.not.throw();
    return { lost: (JSON.parse(line) as Line).lost ?? 0, afterMs };
  };

  it("ends nothing and holds up nothing, and is told of once there is room", async () => {
    await scene.turnGrant();
    await waitFor("something in the log", () => statSync(log).size > 0);
    await scene.tally(true);
    const [before, { pid }] = [await scene.connections(), scene.plane];
    disk.fill();
    const size = statSync(log).size;
    const tallies: Tally[] = [];
    const tookMs: number[] = [];
    const end = Date.now() + FULL_MS;
    while (Date.now() < end || statSync(log).size % PAGE > 0) {
      tookMs.push(await scene.turnGrant(), await scene.turnGrant());
      // What was asked until here told of the grants; from here on it is judged.
      await reconnect();
      tallies.push(await scene.tally(true));
    }
    await reconnect();
    const begun = (await scene.connections()) - before;
    expect(statSync(log).size - size, "written to a full disk").to.be.at.most(PAGE);
    expect(scene.plane.pid, "the same process").to.equal(pid);
    const first = await told();
    // One that begins on a full disk.
    disk.fill();
    await scene.plane.disturb("kill");
    await scene.plane.heal("kill");
    const backMs = await scene.everybodyThere();
    tookMs.push(await scene.turnGrant(), await scene.turnGrant());
    await reconnect();
    tallies.push(await scene.tally(true));
    const second = await told();
    const failed = tallies.flatMap(tally => [...tally.failed, ...tally.passed]);
    const count = tallies.reduce((sum, { all }) => sum + all, 0);
    verdict(
      `R-21: a full disk for ${FULL_MS / 1_000} s, and a start on it`,
      failed.length + begun === 0 && first.lost > 0 && second.lost > 0,
      {
        count,
        failed: failed.length,
        p50Ms: Math.round(quantile(tookMs, 0.5)),
        p99Ms: Math.round(quantile(tookMs, 0.99)),
        bound: `0 requests, 0 connections begun anew (were ${begun}); times: ${tookMs.length} changes of a grant until requests show them; ${first.lost} lines lost, told ${first.afterMs} ms after there was room, and ${second.lost}, ${second.afterMs} ms, by one that began on a full disk, whose proxies were back after ${backMs} ms`,
      },
    );
    expect(failed).to.deep.equal([]);
    expect(count, "requests").to.be.above(10);
    expect(begun).to.equal(0);
    expect(first.lost).to.be.above(0);
    expect(second.lost).to.be.above(0);
  });
});
