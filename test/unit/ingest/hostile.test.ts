import { expect } from "chai";
import fc from "fast-check";
import { API_KINDS, validateCustomObject } from "../../../src/api/kinds";
import type { IngestKind } from "../../../src/ingest/index";
import { createProjectors } from "../../../src/ingest/index";
import { judgeObject } from "../../../src/runtime/control-plane/admission";
import { EDGE_VALUES, hostileObject, placesOf, replaced } from "../../support/hostile-objects";
import { RIGHT_OBJECTS } from "../../support/right-objects";

const RUNS = process.env["OSM_FULL"] === "1" ? 10_000 : 1_000;
/** Longest time for one object, milliseconds, with room for a busy machine. */
const MAX_MS = 2_000;

const projectors = createProjectors("osm");

/** What pollution would leave behind. */
function prototypes(): string {
  const all = [Object.prototype, Array.prototype, String.prototype, Function.prototype];
  return JSON.stringify(all.map(prototype => Object.getOwnPropertyNames(prototype).sort()));
}

/** Puts an object through everything that reads it; it must come out plain, quickly, and without an exception. */
function read(kind: string, object: unknown): void {
  const start = performance.now();
  const findings = validateCustomObject(kind, object);
  judgeObject(kind, object as Record<string, unknown>);
  const projector = projectors[kind as IngestKind];
  const { value, diagnostics } = projector.project(object);
  expect(projector.key(object)).to.be.a("string");
  expect(performance.now() - start, JSON.stringify(object).slice(0, 2_000)).to.be.lessThan(MAX_MS);
  const voided = findings.some(finding => finding.severity === "error");
  if (value === undefined) expect(voided, JSON.stringify(object).slice(0, 2_000)).to.equal(true);
  // Whatever is kept survives as JSON does, so it compares, prints and is sent like any other value.
  else expect(JSON.stringify(value)).to.be.a("string");
  for (const finding of diagnostics) expect(finding.message.length).to.be.lessThan(2_000);
}

describe("hostile objects", function () {
  this.timeout(240_000);

  it("right objects of every kind are read without a complaint", () => {
    for (const object of RIGHT_OBJECTS) {
      const metadata = { name: "it", namespace: "shop" };
      const { value, diagnostics } = projectors[object.kind as IngestKind].project({ ...object, metadata });
      const errors = diagnostics.filter(({ severity }) => severity === "error");
      expect(errors, JSON.stringify(object)).to.deep.equal([]);
      expect(value).to.not.equal(undefined);
    }
  });

  it("no edge value at any place of any kind throws or pollutes a prototype", () => {
    const before = prototypes();
    let tried = 0;
    const metadata = { name: "it", namespace: "shop", labels: { a: "b" }, annotations: { a: "b" } };
    for (const object of RIGHT_OBJECTS) {
      const whole = { ...object, metadata };
      for (const place of placesOf(whole)) {
        // A tenth of the values at each place, others at the next one: all of them reach each reader.
        const values = EDGE_VALUES.filter((_, index) => (index + place.length + tried) % 10 === 0);
        for (const value of values) read(object.kind, replaced(whole, place, value));
        tried += 1;
      }
    }
    for (const { kind } of API_KINDS.filter(row => row.kind in projectors))
      for (const value of EDGE_VALUES)
        for (const object of [value, { spec: value }, { metadata: value, spec: value }, { matches: value }])
          read(kind, object);
    for (const projector of Object.values(projectors))
      for (const value of EDGE_VALUES) projector.project({ metadata: value, spec: value, status: value });
    expect(prototypes()).to.equal(before);
    expect(({} as Record<string, unknown>)["polluted"]).to.equal(undefined);
    expect(tried).to.be.greaterThan(500);
  });

  it(`${RUNS} random objects never throw`, () => {
    fc.assert(
      fc.property(hostileObject(), object => {
        read(object.kind, object);
      }),
      { numRuns: RUNS },
    );
  });

  it("validation never throws, whatever the JSON", () => {
    fc.assert(
      fc.property(fc.constantFrom(...API_KINDS), fc.jsonValue(), ({ kind }, value) => {
        const json = value as unknown;
        expect(validateCustomObject(kind, json)).to.be.an("array");
        expect(validateCustomObject(kind, { spec: json })).to.be.an("array");
      }),
      { numRuns: 1_000 },
    );
  });
});
