import { expect } from "chai";
import type { IngestKind } from "../../../src/ingest/index";
import { createProjectors } from "../../../src/ingest/index";
import { SAME_MEANING } from "../../support/smi-versions";

const projectors = createProjectors("osm");
const metadata = { name: "it", namespace: "shop", creationTimestamp: "2026-01-02T03:04:05Z" };

/** The value of an object, with what is only said about its form taken out. */
function valueOf(kind: string, object: object): unknown {
  const { value, diagnostics } = projectors[kind as IngestKind].project({ metadata, ...object });
  expect(diagnostics).to.deep.equal([]);
  expect(value).to.not.equal(undefined);
  return JSON.parse(JSON.stringify(value).replaceAll(/"field":"(spec\.)?(rules|specs)/g, '"field":"rules'));
}

describe("an object means the same in every version and shape", () => {
  for (const { title, objects } of SAME_MEANING) {
    it(title, () => {
      const [first, ...others] = objects.map(object => valueOf(object.kind, object));
      expect(first).to.be.an("object");
      others.forEach((value, index) => {
        expect(value, JSON.stringify(objects[index + 1])).to.deep.equal(first);
      });
    });
  }

  it("and the meaning is what SMI says", () => {
    const read = (title: string): unknown => {
      const row = SAME_MEANING.find(candidate => candidate.title === title);
      return valueOf(row?.objects[0]?.kind ?? "", row?.objects[0] ?? {});
    };
    expect(read("TrafficTarget of one port")).to.deep.equal({
      ref: { group: "access.smi-spec.io", kind: "TrafficTarget", namespace: "shop", name: "it" },
      createdAt: Date.UTC(2026, 0, 2, 3, 4, 5),
      destination: { kind: "identity", identity: { namespace: "shop", serviceAccount: "bookstore" } },
      port: 8080,
      sources: [{ kind: "identity", identity: { namespace: "buyers", serviceAccount: "bookbuyer" } }],
      rules: [
        { kind: "http", group: "shop/routes", matches: ["buy"], field: "rules[0]" },
        { kind: "tcp", route: "shop/ports", field: "rules[1]" },
      ],
    });
    expect(read("HTTPRouteGroup with headers as map, as list and in other words")).to.have.deep.property(
      "matches",
      [
        {
          name: "insiders",
          methods: [],
          headers: [
            { name: "cookie", pattern: "^(.*?;)?(type=insider)(;.*)?$" },
            { name: "user-agent", pattern: ".*Android.*" },
          ],
        },
      ],
    );
    expect(read("TCPRoute of some ports, as object and as list")).to.have.deep.property(
      "ports",
      [3306, 6446],
    );
    expect(read("TCPRoute of all ports")).to.have.deep.property("ports", []);
    expect(read("TrafficSplit with quantities")).to.have.deep.property("backends", [
      { service: "shop/bookstore-v1", weight: 900 },
      { service: "shop/bookstore-v2", weight: 1500 },
    ]);
    expect(read("TrafficSplit of some requests")).to.deep.include({
      root: "shop/bookstore",
      matches: ["shop/ab"],
    });
  });
});
