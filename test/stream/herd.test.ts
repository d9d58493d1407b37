import { expect } from "chai";
import { ChildProgram } from "../support/child-program";
import type { FloodServer } from "../support/flood-server-app";
import type { Flooder } from "../support/flooder-app";
import { quantile, verdict } from "../support/verdict";

const FULL = process.env["OSM_FULL"] === "1";
/** More than are let in at once, so that some give up while they wait. */
const SIDECARS = FULL ? 2_000 : 700;
/** What is aimed at: 500 at once and 250 a second are let in. */
const AIM_MS = FULL ? 15_000 : 5_000;
/** What every listener of a mesh of 400 Services is together, and how much memory that may take on its way. */
const CHANGE_BYTES = FULL ? 1_200_000 : 400_000;
const AIM_MEGABYTES = 300;

describe(`a herd of ${SIDECARS} sidecars that give up after two seconds and come again`, function () {
  this.timeout(20 * AIM_MS);
  let server: ChildProgram<FloodServer>;
  let sidecars: ChildProgram<Flooder>;
  before(() => {
    server = ChildProgram.start("test/support/flood-server-app.ts");
    sidecars = ChildProgram.start("test/support/flooder-app.ts");
  });
  after(() => Promise.all([server.stop(), sidecars.stop()]));

  it("is let in as fast as may be, and those that have gone take nobody's turn", async () => {
    const target = await server.ask("start", {
      pods: Array.from({ length: SIDECARS }, (_, index) => `herd-${index}`),
    });
    await server.ask("push", { version: "1", size: 1_000 });
    const limitMs = 18 * AIM_MS;
    const { inMs, lost } = await sidecars.ask("herd", { target, sidecars: SIDECARS, limitMs });
    const { lagP99Ms, lagLongestMs } = await server.ask("read", undefined as never);
    const longestMs = Math.max(...inMs);
    verdict(
      `a herd of ${SIDECARS} sidecars, each with an address of its own`,
      inMs.length === SIDECARS && longestMs <= AIM_MS,
      {
        count: SIDECARS,
        failed: SIDECARS - inMs.length,
        p50Ms: quantile(inMs, 0.5),
        p99Ms: quantile(inMs, 0.99),
        longestMs,
        bound: `all in after ${AIM_MS} ms; ${lost} connections were given up, event loop p99 ${Math.round(lagP99Ms)} ms, longest ${Math.round(lagLongestMs)} ms`,
      },
    );
    expect(inMs).to.have.length(SIDECARS);
  });

  it("is told of a change of a megabyte each, and the server does not hold it for all of them at once", async () => {
    await server.ask("peak", undefined as never);
    const { rssMegabytes: before } = await server.ask("read", undefined as never);
    const began = performance.now();
    await server.ask("push", { version: "2", size: CHANGE_BYTES });
    const { lost } = await sidecars.ask("everybodyHas", { bytes: CHANGE_BYTES });
    const tookMs = Math.round(performance.now() - began);
    const grown = Math.round((await server.ask("peak", undefined as never)) - before);
    const { lagLongestMs } = await server.ask("read", undefined as never);
    verdict(`a change of ${CHANGE_BYTES} bytes to ${SIDECARS} sidecars at once`, grown <= AIM_MEGABYTES, {
      count: SIDECARS,
      failed: lost,
      longestMs: tookMs,
      bound: `+${AIM_MEGABYTES} MB of the 1 GiB of a pod; was +${grown} MB at most, event loop ${Math.round(lagLongestMs)} ms late at most`,
    });
    expect(lost).to.equal(0);
    expect(grown).to.be.below(2 * AIM_MEGABYTES);
    await sidecars.ask("disperse", undefined as never);
  });
});
