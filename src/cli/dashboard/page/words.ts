import type { EdgeState, GraphEdge } from "../graph";

/** `12.3/s`. */
export function rateText(rate: number): string {
  return `${rate >= 100 ? Math.round(rate).toString() : rate.toFixed(rate >= 10 ? 0 : 1)}/s`;
}

/** `48 ms`, `1.2 s`. */
export function timeText(ms: number): string {
  return ms >= 1000
    ? `${(ms / 1000).toFixed(1)}\u00a0s`
    : `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toString()}\u00a0ms`;
}

/** A share as whole percent; one that is not all is never told as 100 %. */
export function shareText(share: number): string {
  const percent = share * 100;
  if (share < 1 && percent > 99) return `${(Math.floor(percent * 10) / 10).toFixed(1)}\u00a0%`;
  return `${Math.round(percent)}\u00a0%`;
}

/** Share of the requests that did not fail. */
export function successOf({ rate, failed }: Pick<GraphEdge, "rate" | "failed">): number {
  return rate <= 0 ? 1 : 1 - failed / rate;
}

/** What stands beside an edge. */
export function edgeLabel(edge: GraphEdge): string {
  const { weight, measured, rate, state, refused, p99 } = edge;
  if (weight !== undefined) {
    const seen = measured === undefined ? "" : `\nmeasured ${shareText(measured)}`;
    return `${shareText(weight)}${seen}`;
  }
  if (state === "idle" || rate <= 0) return "";
  const success = state === "refused" ? `${shareText(refused / rate)} refused` : shareText(successOf(edge));
  return `${rateText(rate)} · ${success}${p99 === undefined ? "" : `\np99 ${timeText(p99)}`}`;
}

/** A state in a word. */
export const STATE_WORDS: Readonly<Record<EdgeState, string>> = {
  well: "well",
  failing: "failing",
  refused: "refused",
  idle: "no calls",
};

/** The name of a workload or Service without its namespace. */
export function shortName(id: string): string {
  return id.split("/").at(-1) ?? id;
}
