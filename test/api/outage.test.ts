import { setTimeout as pause } from "node:timers/promises";
import { expect } from "chai";
import type { Fault } from "../support/faulty-api";
import { OutsideMesh } from "../support/outside-mesh";
import { verdict } from "../support/verdict";
import { waitFor } from "../support/wait";

const FULL = process.env["OSM_FULL"] === "1";
/** How long a fault lasts, milliseconds; the API server is away for ten minutes at full counts. */
const FAULT_MS = FULL ? 30_000 : 1_500;
const AWAY_MS = FULL ? 600_000 : 1_500;
/** From the end of a fault to the change at every proxy: what is aimed at, and where a test fails. */
const AIM_MS = 3_000;
const LIMIT_MS = 90_000;

describe("the control plane while the API is away (R-05, R-06, R-08)", function () {
  this.timeout(FULL ? 1_800_000 : 300_000);
  let outside: OutsideMesh;
  let round = 0;

  before(async () => {
    outside = await OutsideMesh.start(2);
    await outside.settled();
    await moved("first");
  });
  after(() => outside.stop());

  /** Changes the endpoints of the first Service behind the back of whatever stands between. */
  const change = async (): Promise<void> => {
    round += 1;
    await outside.mesh.patchSlice(0, outside.mesh.endpointsOf(0, round % 2 === 1 ? 0 : -1));
  };
  const here = (): string[] => outside.proxies.map(proxy => outside.endpointsAt(proxy, 0));
  /** Changes, and gives the milliseconds until every proxy has been told. */
  const moved = async (what: string): Promise<number> => {
    const before = here();
    await change();
    return arrived(what, before);
  };
  const arrived = async (what: string, before: readonly string[]): Promise<number> => {
    const began = performance.now();
    await waitFor(
      `${what}: the change at every proxy`,
      () => here().every((now, n) => now !== before[n]),
      LIMIT_MS,
    );
    return Math.round(performance.now() - began);
  };

  interface Outage {
    readonly begin: () => void | Promise<void>;
    readonly end: () => void | Promise<void>;
    readonly lastsMs: number;
    /** Whether the API server can be written to meanwhile. */
    readonly writable: boolean;
  }
  const answered = (fault: Fault): Outage => ({
    begin: () => {
      outside.api.set(fault);
    },
    end: () => {
      outside.api.set({ kind: "none" });
    },
    lastsMs: FAULT_MS,
    writable: true,
  });
  const signalled = (which: "etcd" | "apiserver", lastsMs = FULL ? 60_000 : FAULT_MS): Outage => ({
    begin: () => void process.kill(outside.mesh.api.server.pids[which], "SIGSTOP"),
    end: () => void process.kill(outside.mesh.api.server.pids[which], "SIGCONT"),
    lastsMs,
    writable: false,
  });
  const OUTAGES: Readonly<Record<string, () => Outage>> = {
    "answers 503": () => answered({ kind: "status", status: 503 }),
    "answers 429, to come again in a second": () => answered({ kind: "status", status: 429, retryAfter: 1 }),
    "is frozen": () => signalled("apiserver"),
    "has a frozen etcd": () => signalled("etcd"),
    "is ended and started again": () => ({
      begin: () => outside.mesh.api.server.stopApiServer(),
      end: () => outside.mesh.api.server.startAgain(),
      lastsMs: AWAY_MS,
      writable: false,
    }),
    "has an etcd that is ended and started again": () => ({
      begin: () => outside.mesh.api.server.stopEtcd(),
      end: () => outside.mesh.api.server.startEtcdAgain(),
      lastsMs: AWAY_MS,
      writable: false,
    }),
    "shows another certificate": () => ({
      begin: () => {
        outside.api.renew();
      },
      end: () => undefined,
      lastsMs: 0,
      writable: true,
    }),
    ...(FULL
      ? {
          "asks to come again in ten seconds": () =>
            answered({ kind: "status", status: 429, retryAfter: 10 }),
          "says nothing more on any connection": () => answered({ kind: "silence" }),
        }
      : {}),
  };

  for (const [what, of] of Object.entries(OUTAGES))
    it(`loses no proxy and follows again when the API server ${what}`, async () => {
      const outage = of();
      outside.api.counted();
      const before = here();
      await outage.begin();
      if (outage.writable) await change();
      await pause(outage.lastsMs);
      await outage.end();
      if (!outage.writable) await change();
      const tookMs = await arrived(what, before);
      const lists = outside.api.counted();
      const lost = outside.proxies.filter(({ ended }) => ended !== undefined).length;
      verdict(
        `the API server ${what}, ${outage.lastsMs / 1000} s`,
        lost === 0 && tookMs <= AIM_MS && lists <= 2,
        {
          count: outside.proxies.length,
          failed: lost,
          longestMs: tookMs,
          bound: `0 streams lost, ${AIM_MS} ms after it is back, at most 2 lists of a kind; was ${lists}`,
        },
      );
      expect(lost, "proxies that lost their stream").to.equal(0);
      expect(outside.isAlive, "the process").to.equal(true);
    });

  it("calls nobody but the API server through all that (P-11)", () => {
    const { hostname, port } = new URL(outside.api.url);
    const told = [`name ${hostname}`, `tcp 127.0.0.1:${port}`, `tcp ::1:${port}`];
    const called = outside.called();
    const others = called.filter(each => !told.includes(each));
    verdict("P-11: whom the control plane calls", others.length === 0, {
      count: called.length,
      failed: others.length,
      bound: `the API server alone; called: ${called.join(", ")}`,
    });
    expect(others).to.deep.equal([]);
    expect(called, "what is noted").to.include(`tcp 127.0.0.1:${port}`);
  });

  it("holds what the API holds after all that", async () => {
    await moved("last");
    expect(new Set(here().map(held => held.split("=").at(-1))).size).to.equal(1);
  });
});
