import { expect } from "chai";
import { Judge, type FlowPlan, type FlowRule } from "../../chaos/judge";
import { secretsIn } from "../../chaos/secrets";
import type { FlowOutcome } from "../../support/flow-operations";
import { trendOf } from "../../soak/trend";

const flow = (rule: FlowRule, through: readonly string[] = ["client", "server"]): FlowPlan => ({
  name: rule,
  from: "client",
  host: "10.0.0.1",
  port: 80,
  rule,
  through,
});
const outcome = (begunAt: number, endedAt: number, status: number, what = ""): FlowOutcome => ({
  begunAt,
  endedAt,
  path: "/x",
  status,
  what,
});
const CUT = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";

/** A judge in whose mesh the rules hold and nothing is granted, since a time. */
function decided(at: number): Judge {
  const judge = new Judge();
  judge.decided("granted", false, at);
  judge.decided("permissive", false, at);
  return judge;
}
const invariants = (judge: Judge): readonly string[] => judge.breaches.map(({ invariant }) => invariant);

describe("judge of a chaos run", () => {
  it("has both errors be errors", () => {
    const judge = decided(0);
    judge.take(flow("always"), outcome(1_000, 1_010, 503));
    judge.take(flow("never"), outcome(1_000, 1_010, 200));
    judge.take(flow("granted"), outcome(1_000, 1_010, 200));
    judge.take(flow("permissive"), outcome(1_000, 1_010, 200));
    expect(invariants(judge)).to.deep.equal(["I2", "I1", "I1", "I1"]);
  });

  it("takes what is as it should be", () => {
    const judge = decided(0);
    judge.take(flow("always"), outcome(1_000, 1_010, 200));
    judge.take(flow("never"), outcome(1_000, 1_010, 0));
    judge.take(flow("granted"), outcome(1_000, 1_010, 403));
    expect(judge.breaches).to.deep.equal([]);
    expect(judge.counts).to.include({ requests: 3, allowed: 1, refused: 2 });
  });

  it("leaves open what is changing, and nothing before or after it", () => {
    const judge = decided(0);
    judge.changing("granted", 2_000);
    judge.decided("granted", true, 5_000);
    judge.take(flow("granted"), outcome(1_900, 2_100, 403));
    judge.take(flow("granted"), outcome(3_000, 3_100, 200));
    judge.take(flow("granted"), outcome(4_990, 5_100, 403));
    expect(judge.counts.undecided).to.equal(3);
    judge.take(flow("granted"), outcome(1_000, 1_100, 200));
    judge.take(flow("granted"), outcome(6_000, 6_100, 403));
    expect(invariants(judge)).to.deep.equal(["I1", "I2"]);
    judge.take(flow("always"), outcome(3_000, 3_100, 503));
    judge.take(flow("never"), outcome(3_000, 3_100, 200));
    expect(invariants(judge).slice(2)).to.deep.equal(["I2", "I1"]);
  });

  it("excuses failures through an Envoy that was disturbed, while it was", () => {
    const judge = decided(0);
    const window = judge.disturbed("server", "killed", 2_000);
    judge.take(flow("always"), outcome(2_500, 2_600, 503));
    window.to = 4_000;
    judge.take(flow("always"), outcome(3_900, 4_500, 503));
    expect(judge.breaches).to.deep.equal([]);
    judge.take(flow("always", ["client", "other"]), outcome(2_500, 2_600, 503));
    judge.take(flow("always"), outcome(4_200, 4_300, 503));
    judge.take(flow("never"), outcome(2_500, 2_600, 200));
    expect(invariants(judge)).to.deep.equal(["I2", "I2", "I1"]);
  });

  it("excuses what is cut when chains have drained, and not what fails sooner or otherwise", () => {
    const judge = decided(0);
    judge.drains("mode", 2_000);
    judge.take(flow("always"), outcome(2_400, 3_010, 503, CUT));
    expect(judge.breaches).to.deep.equal([]);
    judge.take(flow("always"), outcome(2_400, 2_900, 503, CUT));
    judge.take(flow("always"), outcome(2_400, 3_010, 403, "RBAC: access denied"));
    expect(invariants(judge)).to.deep.equal(["I2", "I2"]);
  });

  it("excuses no more of a flow than may be cut at once", () => {
    const judge = decided(0);
    judge.drains("mode", 2_000);
    for (let count = 0; count < 25; count += 1) judge.take(flow("always"), outcome(2_400, 3_010, 503, CUT));
    expect(judge.counts.excused).to.equal(20);
    expect(judge.breaches).to.have.length(5);
  });
});

describe("secrets in output", () => {
  it("are found by their form and by their text", () => {
    const pem = ["-----BEGIN EC PRIVATE", "KEY-----"].join(" ");
    const token = ["eyJhbGciOiJSUzI1NiJ9", "eyJpc3MiOiJrdWJlcm5ldGVzIn0", "c2lnbmF0dXJlMTIz"].join(".");
    expect(secretsIn(`x ${pem}`)).to.have.length(1);
    expect(secretsIn(`token ${token}`)).to.have.length(1);
    expect(secretsIn("an unusual word", ["unusual"])).to.have.length(1);
    expect(secretsIn("-----BEGIN CERTIFICATE----- and Bearer of news")).to.deep.equal([]);
  });
});

describe("trend of readings", () => {
  const HOUR = 3_600_000;

  it("is exact on a line, and says how far others are from one", () => {
    const line = trendOf([0, 1, 2, 3].map(hour => ({ at: hour * HOUR, value: 5 + 2 * hour })));
    expect(line.perHour).to.be.closeTo(2, 1e-9);
    expect(line.noise).to.be.closeTo(0, 1e-6);
    const jagged = trendOf([5, 7, 5, 7].map((value, hour) => ({ at: hour * HOUR, value })));
    expect(jagged.perHour).to.be.closeTo(0.4, 1e-9);
    expect(jagged.noise).to.be.closeTo(Math.sqrt(3.2 / 2 / 5), 1e-9);
  });

  it("knows nothing of two readings", () => {
    const two = [0, 1].map(hour => ({ at: hour * HOUR, value: hour }));
    expect(trendOf(two).noise).to.equal(Infinity);
  });
});
