import { expect } from "chai";
import fc from "fast-check";
import { createGraph } from "../../src/graph/graph";
import type { Cell, Read, Watch } from "../../src/graph/graph";

/** Share of the full counts that `npm test` runs; `OSM_TEST_RUNS` scales all property tests. */
const scale = Number(process.env["OSM_TEST_RUNS"] ?? "1");

/** A random computation: sums of what it reads, with reads that depend on values read before. */
interface Recipe {
  readonly reads: readonly number[];
  /** Reads the second half only while the first sum is odd. */
  readonly conditional: boolean;
  /** Results are taken modulo this, so that changes often stop. */
  readonly modulus: number;
}

type Step =
  | { readonly kind: "set"; readonly input: number; readonly value: number }
  | { readonly kind: "read"; readonly cell: number }
  | { readonly kind: "watch"; readonly cell: number }
  | { readonly kind: "close"; readonly watch: number };

const INPUTS = 5;

const recipe: fc.Arbitrary<Recipe> = fc.record({
  reads: fc.array(fc.nat(40), { minLength: 1, maxLength: 5 }),
  conditional: fc.boolean(),
  modulus: fc.integer({ min: 1, max: 6 }),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("set" as const), input: fc.nat(INPUTS - 1), value: fc.nat(4) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("read" as const), cell: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("watch" as const), cell: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("close" as const), watch: fc.nat(10) }) },
);

function evaluate(recipe: Recipe, get: (source: number) => number): number {
  const half = recipe.conditional ? Math.ceil(recipe.reads.length / 2) : recipe.reads.length;
  let sum = 1;
  for (const source of recipe.reads.slice(0, half)) sum += get(source);
  if (sum % 2 === 1) for (const source of recipe.reads.slice(half)) sum += 2 * get(source);
  return sum % recipe.modulus;
}

/** Sources of recipe i are inputs or earlier recipes, so there is no cycle. */
function sourceOf(index: number, i: number): number {
  return index % (INPUTS + i);
}

interface Watched {
  readonly source: number;
  readonly watch: Watch<number>;
  told: number;
  seen: number;
}

/** A graph of random recipes next to the same recipes computed from nothing each time. */
class Bench {
  readonly graph = createGraph();
  private readonly values = Array.from({ length: INPUTS }, () => 0);
  private readonly inputs = this.values.map((value, i) => this.graph.input(`in${i}`, value));
  private readonly family = this.graph.family<number, number>({
    label: "cell",
    keyOf: String,
    compute: (read: Read, i) => evaluate(this.recipe(i), index => read(this.cellOf(sourceOf(index, i)))),
  });
  private readonly watched: Watched[] = [];

  constructor(private readonly recipes: readonly Recipe[]) {}

  take(step: Step): void {
    switch (step.kind) {
      case "set":
        this.values[step.input] = step.value;
        this.inputs[step.input]?.set(step.value);
        return;
      case "read":
        expect(this.graph.peek(this.cellOf(this.pick(step.cell)))).to.equal(this.fresh(this.pick(step.cell)));
        for (const entry of this.watched) this.catchUp(entry);
        return;
      case "watch":
        this.watch(this.pick(step.cell));
        return;
      case "close":
        this.watched.splice(step.watch, 1)[0]?.watch.close();
    }
  }

  /** Whoever watches a value that is not what it was must have been told. */
  checkTold(): void {
    for (const { source, seen, told } of this.watched) {
      if (this.fresh(source) !== seen) expect(told).to.be.greaterThan(0);
    }
  }

  closeAll(): void {
    for (const { watch } of this.watched) watch.close();
  }

  private recipe(i: number): Recipe {
    const found = this.recipes[i];
    if (found === undefined) throw new Error("no such recipe");
    return found;
  }

  private pick(cell: number): number {
    return cell % (INPUTS + this.recipes.length);
  }

  private cellOf(source: number): Cell<number> {
    return this.inputs[source] ?? this.family(source - INPUTS);
  }

  private fresh(source: number): number {
    if (source < INPUTS) return this.values[source] ?? NaN;
    const i = source - INPUTS;
    return evaluate(this.recipe(i), index => this.fresh(sourceOf(index, i)));
  }

  private watch(source: number): void {
    const entry: Watched = {
      source,
      watch: this.graph.watch(this.cellOf(source), () => {
        entry.told++;
      }),
      told: 0,
      seen: 0,
    };
    entry.seen = entry.watch.read();
    this.watched.push(entry);
  }

  private catchUp(entry: Watched): void {
    if (entry.told === 0) return;
    entry.seen = entry.watch.read();
    entry.told = 0;
    expect(entry.seen).to.equal(this.fresh(entry.source));
  }
}

describe("graph", () => {
  it("gives what computing from nothing gives, for any graph and any order of changes and reads", () => {
    fc.assert(
      fc.property(
        fc.array(recipe, { minLength: 1, maxLength: 12 }),
        fc.array(step, { maxLength: 60 }),
        (recipes, steps) => {
          const bench = new Bench(recipes);
          for (const current of steps) {
            bench.take(current);
            bench.checkTold();
          }
          bench.closeAll();
          expect(bench.graph.stats().computedCells, "cells kept though nobody watches").to.equal(0);
        },
      ),
      { numRuns: 500 * scale },
    );
  });
});
