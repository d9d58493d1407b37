import { expect } from "chai";
import { requestPath } from "../../../src/policy/request-path";

describe("the path of a request, as rules see it", () => {
  const rows: readonly (readonly [string, string | undefined, string, string])[] = [
    ["/a/b?c=%2F", "/a/b", "/a/b", "/a/b"],
    ["/a//./x/../b", "/a/b", "/a/b", "/a/b"],
    ["/a%2Fb", undefined, "/a%2Fb", "/a/b"],
    ["/a%5cb", undefined, "/a%5cb", "/a/b"],
    ["/a%2f%2Fb", undefined, "/a%2f%2Fb", "/a/b"],
    ["/open/..%2Fadmin", undefined, "/open/..%2Fadmin", "/admin"],
    ["/open%5C..%5Cadmin", undefined, "/open%5C..%5Cadmin", "/admin"],
    ["/open/%2e%2e%2fadmin", undefined, "/open/%2e%2e%2fadmin", "/admin"],
    // Only once: what comes out is not read again.
    ["/a%252Fb", "/a%252Fb", "/a%252Fb", "/a%252Fb"],
    ["*", "*", "*", "*"],
  ];
  for (const [sent, refused, kept, unescaped] of rows) {
    it(sent, () => {
      expect([requestPath(sent), requestPath(sent, "keep"), requestPath(sent, "unescape")]).to.deep.equal([
        refused,
        kept,
        unescaped,
      ]);
    });
  }

  it("is the same when it is read again, as a server's proxy does after a client's", () => {
    for (const [sent] of rows) {
      for (const slashes of ["keep", "unescape"] as const) {
        const once = requestPath(sent, slashes) ?? "";
        expect(requestPath(once, slashes), `${sent} (${slashes})`).to.equal(once);
      }
    }
  });
});
