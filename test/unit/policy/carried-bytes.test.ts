import { expect } from "chai";
import { meshAuthorization } from "../../../src/policy/authorization";
import { carriedBytes, grantsNoMore } from "../../../src/policy/carried-bytes";
import type { AppProtocol, Grant } from "../../../src/policy/types";

const buyer = { namespace: "web", serviceAccount: "buyer" };
const thief = { namespace: "web", serviceAccount: "thief" };
const grant = (...identities: Grant["identities"]): Grant => ({
  name: "g",
  identities,
  matches: [],
  origins: [],
});

describe("whether connections may be open that began as bytes", () => {
  const front = (service: string, port: number) => ({ service, port });
  const was = (key: string): readonly number[] => (key === "shop/cart" ? [80, 81] : []);
  const off = meshAuthorization({ kind: "off" });
  const asked = (
    frontends: readonly ReturnType<typeof front>[],
    more: { protocol?: AppProtocol; deny?: true; forgotten?: true } = {},
  ): boolean =>
    carriedBytes(
      { protocol: more.protocol ?? "http", frontends },
      {
        authorization: more.deny ? meshAuthorization({ kind: "deny" }) : off,
        ...(more.forgotten ? {} : { carriedBytes: was }),
      },
    );

  it("is so where some Service carried bytes to the port a while ago", () => {
    for (const protocol of ["http", "grpc"] as const) {
      expect(asked([front("shop/cart", 80)], { protocol })).to.equal(true);
      expect(asked([front("shop/other", 80), front("shop/cart", 81)], { protocol })).to.equal(true);
      expect(asked([front("shop/cart", 82), front("shop/other", 80)], { protocol })).to.equal(false);
    }
    expect(asked([])).to.equal(false);
    expect(asked([front("shop/cart", 80)], { forgotten: true })).to.equal(false);
  });

  it("is not so where it carries bytes still, or somebody is to be asked about requests", () => {
    expect(asked([front("shop/cart", 80)], { protocol: "tcp" })).to.equal(false);
    expect(asked([front("shop/cart", 80)], { deny: true })).to.equal(false);
  });
});

describe("whether all who are granted requests are granted bytes", () => {
  it("is so where each of them is, by whatever grant", () => {
    expect(grantsNoMore([grant(buyer, thief)], [grant(buyer), grant(thief)])).to.equal(true);
    expect(grantsNoMore([], [grant(buyer)])).to.equal(true);
    expect(grantsNoMore([], [])).to.equal(true);
  });

  it("is not so where one of them is not", () => {
    expect(grantsNoMore([grant(buyer, thief)], [grant(buyer)])).to.equal(false);
    expect(grantsNoMore([grant(buyer), grant(thief)], [grant(buyer)])).to.equal(false);
    expect(grantsNoMore([grant(buyer)], [])).to.equal(false);
  });
});
