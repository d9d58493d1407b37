import { expect } from "chai";
import { structurallyEqual } from "../../../src/graph/equality";
import { createGraph } from "../../../src/graph/graph";
import type { Family, Read } from "../../../src/graph/graph";

describe("graph", () => {
  it("rescues what was good when a computation throws, not what never was, and goes on when it is right again", () => {
    const graph = createGraph();
    const input = graph.input("in", -1);
    const rescued: unknown[] = [];
    const root = graph.family<string, number>({
      label: "root",
      keyOf: key => key,
      compute: read => {
        const value = read(input);
        if (value < 0) throw new Error(`negative: ${value}`);
        return Math.sqrt(value);
      },
      rescue: (error, key, last) => {
        rescued.push([String(error), key, last]);
        return last;
      },
    });
    const watch = graph.watch(root("a"), () => undefined);
    expect(() => watch.read()).to.throw("negative: -1");
    expect(rescued).to.deep.equal([]);
    input.set(9);
    expect(watch.read()).to.equal(3);
    input.set(-4);
    expect(watch.read()).to.equal(3);
    expect(rescued).to.deep.equal([["Error: negative: -4", "a", 3]]);
    input.set(16);
    expect(watch.read()).to.equal(4);
  });

  it("computes nothing until it is read, and once for many readers", () => {
    const graph = createGraph();
    const input = graph.input("in", 1);
    let runs = 0;
    const double = graph.derive("double", read => {
      runs++;
      return read(input) * 2;
    });
    const sum = graph.derive("sum", read => read(double) + read(double));
    expect(runs).to.equal(0);
    const watch = graph.watch(sum, () => undefined);
    expect(watch.read()).to.equal(4);
    expect(watch.read()).to.equal(4);
    expect(runs).to.equal(1);
  });

  it("stops where a result equals the one before", () => {
    const graph = createGraph();
    const input = graph.input("in", 1);
    let runs = 0;
    const parity = graph.derive("parity", read => read(input) % 2);
    const text = graph.derive("text", read => {
      runs++;
      return `parity ${read(parity)}`;
    });
    const watch = graph.watch(text, () => undefined);
    watch.read();
    input.set(3);
    expect(watch.read()).to.equal("parity 1");
    expect(runs).to.equal(1);
    input.set(4);
    expect(watch.read()).to.equal("parity 0");
    expect(runs).to.equal(2);
  });

  it("tells a watch once until it reads again, and not at all when nothing was set", () => {
    const graph = createGraph();
    const input = graph.input("in", 1);
    let told = 0;
    const watch = graph.watch(
      graph.derive("copy", read => read(input)),
      () => {
        told++;
      },
    );
    watch.read();
    expect(input.set(1)).to.equal(false);
    expect(told).to.equal(0);
    expect(input.set(2)).to.equal(true);
    input.set(3);
    expect(told).to.equal(1);
    watch.read();
    input.set(4);
    expect(told).to.equal(2);
  });

  it("forgets a dependency that is no longer read", () => {
    const graph = createGraph();
    const flag = graph.input("flag", true);
    const left = graph.input("left", 1);
    const right = graph.input("right", 2);
    let told = 0;
    const watch = graph.watch(
      graph.derive("choice", read => (read(flag) ? read(left) : read(right))),
      () => {
        told++;
      },
    );
    watch.read();
    flag.set(false);
    expect(watch.read()).to.equal(2);
    told = 0;
    left.set(9);
    expect(told).to.equal(0);
    right.set(8);
    expect(told).to.equal(1);
    expect(watch.read()).to.equal(8);
  });

  it("releases cells of a family that nobody reads any more", () => {
    const graph = createGraph();
    const count = graph.input("count", 3);
    const square = graph.family<number, number>({
      label: "square",
      keyOf: String,
      compute: (_read, n) => n * n,
    });
    const sum = graph.derive("sum", read => {
      let total = 0;
      for (let n = 1; n <= read(count); n++) total += read(square(n));
      return total;
    });
    const watch = graph.watch(sum, () => undefined);
    expect(watch.read()).to.equal(14);
    expect(graph.stats().computedCells).to.equal(4);
    count.set(1);
    expect(watch.read()).to.equal(1);
    expect(graph.stats().computedCells).to.equal(2);
    watch.close();
    expect(graph.stats().computedCells).to.equal(0);
  });

  it("keeps cells that move between readers within one batch", () => {
    const graph = createGraph();
    const owner = graph.input("owner", "a");
    let runs = 0;
    const costly = graph.derive("costly", () => ++runs);
    const watches = ["a", "b"].map(name =>
      graph.watch(
        graph.derive(name, read => (read(owner) === name ? read(costly) : 0)),
        () => undefined,
      ),
    );
    expect(watches.map(watch => watch.read())).to.deep.equal([1, 0]);
    owner.set("b");
    expect(graph.batch(() => watches.map(watch => watch.read()))).to.deep.equal([0, 1]);
    expect(runs).to.equal(1);
  });

  it("keeps an exception as the outcome: every reader gets it, and an input change tries again", () => {
    const graph = createGraph();
    const input = graph.input("in", 0);
    const inverse = graph.derive("inverse", read => {
      if (read(input) === 0) throw new Error("division by zero");
      return 1 / read(input);
    });
    let told = 0;
    const watch = graph.watch(inverse, () => {
      told++;
    });
    expect(() => watch.read()).to.throw("division by zero");
    expect(() => watch.read()).to.throw("division by zero");
    input.set(4);
    expect(told).to.equal(1);
    expect(watch.read()).to.equal(0.25);
  });

  it("refuses cycles, reads after the computation and inputs set inside one", () => {
    const graph = createGraph();
    const self: Family<string, number> = graph.family({
      label: "self",
      keyOf: key => key,
      compute: (read, key): number => read(self(key)) + 1,
    });
    expect(() => graph.peek(self("x"))).to.throw("self(x) depends on itself");
    let kept: Read | undefined;
    const input = graph.input("in", 1);
    graph.peek(
      graph.derive("leaky", read => {
        kept = read;
        return 0;
      }),
    );
    expect(() => kept?.(input)).to.throw("kept its reader");
    expect(() => graph.peek(graph.derive("writer", () => input.set(2)))).to.throw("set inside a computation");
  });
});

describe("structural equality", () => {
  const rows: readonly (readonly [string, unknown, unknown, boolean])[] = [
    ["same primitive", 1, 1, true],
    ["NaN", NaN, NaN, true],
    ["number and text", 1, "1", false],
    ["nested", { a: [{ b: 1 }] }, { a: [{ b: 1 }] }, true],
    ["nested difference", { a: [{ b: 1 }] }, { a: [{ b: 2 }] }, false],
    ["order of properties", { a: 1, b: 2 }, { b: 2, a: 1 }, true],
    ["missing and undefined", { a: 1, b: undefined }, { a: 1 }, true],
    ["undefined and missing", { a: 1 }, { a: 1, b: undefined }, true],
    ["one property more", { a: 1 }, { a: 1, b: 2 }, false],
    ["array and object", [], {}, false],
    ["array prefix", [1], [1, 2], false],
    ["null and object", null, {}, false],
    ["maps", new Map([["a", [1]]]), new Map([["a", [1]]]), true],
    ["maps that differ", new Map([["a", [1]]]), new Map([["a", [2]]]), false],
    ["map and object", new Map(), {}, false],
  ];
  for (const [name, a, b, want] of rows) {
    it(name, () => {
      expect(structurallyEqual(a, b)).to.equal(want);
    });
  }
});
