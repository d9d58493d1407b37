/** Where nodes stand: callers before those they call, in columns; pure, so the picture does not jump. */
import type { Graph } from "./graph";

/** A place in columns and rows, from 0. */
export interface Place {
  readonly column: number;
  readonly row: number;
}

/** Rounds of bringing callers and called into line. */
const SWEEPS = 6;

function columnsOf({ nodes, edges }: Graph): Map<string, number> {
  const column = new Map(nodes.map(({ id }) => [id, 0]));
  // As many rounds as there are nodes end every chain; a cycle is cut by the bound.
  for (let round = 0; round < Math.min(nodes.length, 12); round += 1) {
    for (const { from, to } of edges) {
      const next = (column.get(from) ?? 0) + 1;
      if (next > (column.get(to) ?? 0) && next <= round + 1) column.set(to, next);
    }
  }
  return column;
}

/** Places by node; nodes without any edge stand in a last row of their own. */
export function placesOf(graph: Graph): ReadonlyMap<string, Place> {
  const { nodes, edges } = graph;
  const linked = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const column = columnsOf(graph);
  const columns: string[][] = [];
  for (const { id } of nodes.filter(node => linked.has(node.id)))
    (columns[column.get(id) ?? 0] ??= []).push(id);
  const row = new Map<string, number>();
  const settle = (ids: readonly string[]): void => {
    ids.forEach((id, at) => row.set(id, at - (ids.length - 1) / 2));
  };
  for (const ids of columns) settle(ids.sort());
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    for (const ids of columns) {
      const middle = (id: string): number => {
        const rows = edges.flatMap(({ from, to }) =>
          to === id ? (row.get(from) ?? 0) : from === id ? (row.get(to) ?? 0) : [],
        );
        return rows.length === 0 ? (row.get(id) ?? 0) : rows.reduce((a, b) => a + b, 0) / rows.length;
      };
      const wish = new Map(ids.map(id => [id, middle(id)]));
      settle(ids.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0) || (a < b ? -1 : 1)));
    }
  }
  const last = Math.max(0, ...row.values()) + 1.4;
  const apart = nodes.filter(({ id }) => !linked.has(id));
  return new Map([
    ...[...row].map(([id, at]) => [id, { column: column.get(id) ?? 0, row: at }] as const),
    ...apart.map(({ id }, at) => [id, { column: at % 4, row: last + Math.floor(at / 4) }] as const),
  ]);
}
