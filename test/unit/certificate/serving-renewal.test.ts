import { expect } from "chai";
import { planServing, type Lifetime } from "../../../src/certificate/plan";
import type { IssuedPair } from "../../../src/runtime/issuers/issuer";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { keepServingRenewed } from "../../../src/runtime/secrets/serving-renewal";
import { TURNED_START, TurnedClock } from "../../support/turned-clock";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const root = createRoot(TURNED_START);
const authority = loadAuthority(root.certPem, root.keyPem);

describe("renewal of a running server's own certificate", () => {
  function server(validityMs = DAY) {
    const clock = new TurnedClock();
    const issue = (lifetime: Lifetime): IssuedPair => authority.issue(planServing(["a.svc"], lifetime));
    const presented = [issue({ now: clock.now(), validityMs })];
    const renewal = keepServingRenewed(presented[0] as IssuedPair, {
      clock,
      validityMs,
      present: lifetime => {
        const next = issue(lifetime);
        presented.push(next);
        return next;
      },
    });
    const left = (): number => (presented.at(-1)?.notAfter ?? 0) - clock.now();
    return { clock, presented, left, renewal };
  }

  it("is at half of its life at the latest, again and again", () => {
    const { clock, presented, left } = server();
    for (let hour = 0; hour < 20 * 24; hour += 1) {
      clock.pass(HOUR);
      expect(left()).to.be.at.least(DAY / 2 - 60_000);
    }
    expect(presented.length).to.be.within(40, 51);
  });

  it("follows the wall clock: a machine that has slept for a week presents a new one within a minute", () => {
    const { clock, presented, left } = server();
    clock.jump(7 * DAY);
    clock.pass(60_000);
    expect(presented).to.have.length(2);
    expect(left()).to.be.above(DAY / 2);
  });

  it("is not twice as often because a clock was set back, and ends when told to", () => {
    const { clock, presented, renewal } = server();
    clock.jump(-DAY);
    clock.pass(HOUR);
    expect(presented).to.have.length(1);
    renewal.stop();
    expect(clock.pending).to.equal(0);
  });
});
