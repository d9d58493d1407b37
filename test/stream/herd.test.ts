import { expect } from "chai";
import { ChildProgram } from "../support/child-program";
import type { FloodServer } from "../support/flood-server-app";
import type { Flooder } from "../support/flooder-app";
import { quantile, verdict } from "../support/verdict";

const FULL = process.env["OSM_FULL"] === "1";
/** More than are let in at once, so that some give up while they wait. */
const SIDECARS = FULL ? 2_000 : 900;
/** What is aimed at: 500 at once and 250 a second are let in. */
const AIM_MS = FULL ? 15_000 : 5_000;

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
    const limitMs = 10 * AIM_MS;
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
});
