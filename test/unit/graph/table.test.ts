import { expect } from "chai";
import { structurallyEqual } from "../../../src/graph/equality";
import type { Cell, GraphInternals } from "../../../src/graph/graph";
import { createGraph } from "../../../src/graph/graph";
import type { Table } from "../../../src/graph/table";
import { createTable } from "../../../src/graph/table";

interface Row {
  readonly color: string;
  readonly tags: readonly string[];
}

function colors(graph: GraphInternals): Table<Row, "color" | "tag"> {
  return createTable<Row, "color" | "tag">(graph, {
    label: "rows",
    equals: structurallyEqual,
    indexes: { color: row => [row.color], tag: row => row.tags },
  });
}

function watching<T>(graph: GraphInternals, cell: Cell<T>): { read(): T; told(): number } {
  let told = 0;
  const watch = graph.watch(
    graph.derive("watched", read => read(cell)),
    () => {
      told++;
    },
  );
  watch.read();
  return { read: () => watch.read(), told: () => told };
}

describe("table", () => {
  it("tells readers of a row of that row only, also when it appears later", () => {
    const graph = createGraph();
    const table = colors(graph);
    const a = watching(graph, table.row("a"));
    table.set("b", { color: "red", tags: [] });
    expect(a.told()).to.equal(0);
    table.set("a", { color: "blue", tags: [] });
    expect(a.told()).to.equal(1);
    expect(a.read()).to.deep.equal({ color: "blue", tags: [] });
    table.set("a", undefined);
    expect(a.read()).to.equal(undefined);
  });

  it("keeps indexes through changes, and tells readers of the index keys concerned only", () => {
    const graph = createGraph();
    const table = colors(graph);
    table.set("b", { color: "red", tags: ["x", "y"] });
    table.set("a", { color: "red", tags: ["y", "y"] });
    const red = watching(graph, table.by("color", "red"));
    const blue = watching(graph, table.by("color", "blue"));
    const y = watching(graph, table.by("tag", "y"));
    expect([red.read(), blue.read(), y.read()]).to.deep.equal([["a", "b"], [], ["a", "b"]]);
    table.set("a", { color: "blue", tags: ["y"] });
    expect([red.read(), blue.read(), y.read()]).to.deep.equal([["b"], ["a"], ["a", "b"]]);
    expect(y.told()).to.equal(0);
    table.set("b", undefined);
    expect([red.read(), blue.read(), y.read()]).to.deep.equal([[], ["a"], ["a"]]);
  });

  it("stops at the door when a row equals the one before", () => {
    const table = colors(createGraph());
    expect(table.set("a", { color: "red", tags: ["x"] })).to.equal(true);
    expect(table.set("a", { color: "red", tags: ["x"] })).to.equal(false);
    expect(table.set("b", undefined)).to.equal(false);
  });

  it("resets to exactly the rows given, touching only what differs", () => {
    const graph = createGraph();
    const table = colors(graph);
    const same: Row = { color: "red", tags: [] };
    table.set("kept", same);
    table.set("gone", same);
    table.set("changed", same);
    const kept = watching(graph, table.row("kept"));
    const changed = table.reset(
      new Map([
        ["kept", { color: "red", tags: [] }],
        ["changed", { color: "blue", tags: [] }],
        ["new", same],
      ]),
    );
    expect([...changed].sort()).to.deep.equal(["changed", "gone", "new"]);
    expect(kept.told()).to.equal(0);
    expect(graph.peek(table.keys)).to.deep.equal(["changed", "kept", "new"]);
    expect([...table.rows.keys()].sort()).to.deep.equal(["changed", "kept", "new"]);
  });

  it("refuses an index it does not have", () => {
    const table = createTable<Row, string>(createGraph(), {
      label: "rows",
      equals: structurallyEqual,
      indexes: {},
    });
    expect(() => table.by("color", "red")).to.throw("rows has no index color");
  });
});
