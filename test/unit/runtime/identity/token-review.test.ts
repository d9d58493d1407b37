import { expect } from "chai";
import { AuthenticationError } from "../../../../src/runtime/identity/errors";
import { createTokenReviewer } from "../../../../src/runtime/identity/token-review";
import { TurnedClock } from "../../../support/turned-clock";

interface Status {
  readonly authenticated?: boolean;
  readonly audiences?: readonly string[];
  readonly user?: { readonly username?: string };
}

const GOOD: Status = { authenticated: true, audiences: ["other", "osm-mesh"], user: { username: "one" } };

function start(options: { readonly status?: Status | undefined; readonly username?: string } = {}) {
  const clock = new TurnedClock();
  const asked: unknown[] = [];
  let { status } = { status: GOOD, ...options };
  let fails = false;
  const create = <T>(path: string, body: T): Promise<T> => {
    asked.push({ path, body });
    return fails
      ? Promise.reject(new Error(`no answer to ${JSON.stringify(body)}`))
      : Promise.resolve({ ...body, status });
  };
  const { username } = options;
  const review = createTokenReviewer({
    kube: { create },
    clock,
    audience: "osm-mesh",
    ...(username === undefined ? {} : { username }),
  });
  return {
    clock,
    asked,
    review,
    says: (said: Status | undefined): void => void (status = said),
    fail: (): void => void (fails = true),
  };
}

/** How a review ends: as it says, or why there is none. */
function end(answer: Promise<boolean>): Promise<string> {
  return answer.then(String, (error: unknown) =>
    error instanceof AuthenticationError ? `${error.failure}: ${error.message}` : String(error),
  );
}

describe("a review of a token", () => {
  it("asks the API server about the token and the audience", async () => {
    const { asked, review } = start();
    expect(await review("abc")).to.equal(true);
    expect(asked).to.deep.equal([
      {
        path: "/apis/authentication.k8s.io/v1/tokenreviews",
        body: {
          apiVersion: "authentication.k8s.io/v1",
          kind: "TokenReview",
          spec: { token: "abc", audiences: ["osm-mesh"] },
        },
      },
    ]);
  });

  const rows: readonly (readonly [string, Status | undefined, boolean])[] = [
    ["what is good for this audience", GOOD, true],
    ["nothing said", undefined, false],
    ["not authenticated", { ...GOOD, authenticated: false }, false],
    ["said nothing of it", { audiences: ["osm-mesh"] }, false],
    ["good for others", { ...GOOD, audiences: ["osm-mesh-2"] }, false],
    ["good for nobody in particular", { authenticated: true }, false],
  ];
  for (const [what, status, good] of rows) {
    it(`believes the answer: ${what}`, async () => {
      expect(await start({ status }).review("abc")).to.equal(good);
    });
  }

  it("may want the token to be somebody's", async () => {
    expect(await start({ username: "one" }).review("abc")).to.equal(true);
    expect(await start({ username: "two" }).review("abc")).to.equal(false);
    expect(await start({ username: "one", status: { ...GOOD, user: {} } }).review("abc")).to.equal(false);
    const nobody: Status = { authenticated: true, audiences: ["osm-mesh"] };
    expect(await start({ username: "one", status: nobody }).review("abc")).to.equal(false);
    expect(await start({ username: "one", status: undefined }).review("abc")).to.equal(false);
  });

  it("is believed for ten seconds, good or bad, of that token alone", async () => {
    for (const first of [GOOD, { authenticated: false }]) {
      const { clock, asked, review, says } = start({ status: first });
      const good = first === GOOD;
      expect(await review("abc")).to.equal(good);
      says(good ? { authenticated: false } : GOOD);
      clock.pass(9_999);
      expect(await review("abc")).to.equal(good);
      expect(asked).to.have.length(1);
      expect(await review("abd")).to.equal(!good);
      expect(await review("abc")).to.equal(good);
      clock.pass(1);
      expect(await review("abc")).to.equal(!good);
      expect(asked).to.have.length(3);
    }
  });

  it("is one of fifty a second, which do not add up", async () => {
    const { clock, asked, review } = start();
    let made = 0;
    const burst = async (count: number): Promise<readonly string[]> =>
      Promise.all(Array.from({ length: count }, () => end(review(`t${(made += 1)}`))));
    expect((await burst(50)).every(each => each === "true")).to.equal(true);
    expect(await burst(1)).to.deep.equal(["unavailable: too many token reviews at once"]);
    clock.pass(19);
    expect(await burst(1)).to.deep.equal(["unavailable: too many token reviews at once"]);
    clock.pass(1);
    expect(await burst(1)).to.deep.equal(["true"]);
    clock.pass(3_600_000);
    const later = await burst(60);
    expect(later.filter(each => each === "true")).to.have.length(50);
    expect(asked).to.have.length(101);
  });

  it("cannot be had while the API server does not answer, which says nothing of the token and is not remembered", async () => {
    const { asked, review, fail } = start();
    fail();
    expect(await end(review("secret-words"))).to.equal(
      "unavailable: the API server cannot review tokens now",
    );
    await end(review("secret-words"));
    expect(asked).to.have.length(2);
  });
});
