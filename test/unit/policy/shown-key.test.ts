import { expect } from "chai";
import { shownKey, type Shown } from "../../../src/policy/policy";

describe("the key of what is shown to clients", () => {
  it("is another for whatever differs, and the same for the same", () => {
    const keys = ["shop/a", "shop/b"];
    const retries = [undefined, "web/one", "web/two"];
    const telemetries = [
      undefined,
      { logs: "web/one" },
      { traces: "web/one" },
      { logs: "web/one", traces: "web/two" },
    ];
    const shown = keys.flatMap(key =>
      retries.flatMap(retry =>
        telemetries.flatMap(telemetry =>
          [false, true].map(
            (direct): Shown => ({
              key,
              ...(retry === undefined ? {} : { retry }),
              ...(telemetry === undefined ? {} : { telemetry }),
              ...(direct ? { direct } : {}),
            }),
          ),
        ),
      ),
    );
    expect(new Set(shown.map(shownKey)).size)
      .to.equal(shown.length)
      .and.equal(48);
    expect(shown.map(each => shownKey({ ...each }))).to.deep.equal(shown.map(shownKey));
    expect(shownKey({ key: "shop/a" }), "most of them").to.equal("shop/a");
  });
});
