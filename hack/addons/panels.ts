/** Dashboards of Grafana, as far as they are made here: rows of panels, each with queries. */

/** One query. */
export interface Query {
  readonly expr: string;
  readonly legend: string;
}

/** What is asked for when a board is opened. */
export interface Variable {
  readonly name: string;
  /** `label_values(metric, label)`, given as its two parts. */
  readonly metric: string;
  readonly label: string;
}

/** One picture. */
export interface Panel {
  readonly title: string;
  readonly kind: "timeseries" | "stat";
  /** A unit of Grafana's, like `reqps`, `ms` or `bytes`. */
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Of 24; default 8. */
  readonly width?: number;
}

/** A board. */
export interface Board {
  /** Also its uid and the name of its file. */
  readonly name: string;
  readonly title: string;
  readonly folder: string;
  readonly refresh: string;
  readonly variables: readonly Variable[];
  readonly panels: readonly Panel[];
}

/** The data source, which is chosen at the top of each board. */
const SOURCE = { type: "prometheus", uid: "${datasource}" } as const;
const HEIGHT = 8;
const FULL = 24;

/** A picture over time. */
export const graph = (
  title: string,
  unit: string,
  ...queries: readonly (readonly [expr: string, legend: string])[]
): Panel => ({
  title,
  kind: "timeseries",
  unit,
  queries: queries.map(([expr, legend]) => ({ expr, legend })),
});

/** One number. */
export const figure = (title: string, unit: string, expr: string): Panel => ({
  title,
  kind: "stat",
  unit,
  queries: [{ expr, legend: title }],
  width: 4,
});

function panelJson(panel: Panel, id: number, at: { readonly x: number; readonly y: number }): object {
  return {
    id,
    title: panel.title,
    type: panel.kind,
    datasource: SOURCE,
    gridPos: { ...at, w: panel.width ?? 8, h: HEIGHT },
    fieldConfig: { defaults: { unit: panel.unit, min: 0 }, overrides: [] },
    options:
      panel.kind === "stat"
        ? { reduceOptions: { calcs: ["lastNotNull"] } }
        : { legend: { displayMode: "list", placement: "bottom" } },
    targets: panel.queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode("A".charCodeAt(0) + index),
      datasource: SOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}

function placed(panels: readonly Panel[]): readonly object[] {
  let x = 0;
  let y = 0;
  return panels.map((panel, index) => {
    const width = panel.width ?? 8;
    if (x + width > FULL) [x, y] = [0, y + HEIGHT];
    const made = panelJson(panel, index + 1, { x, y });
    x += width;
    return made;
  });
}

function variableJson({ name, metric, label }: Variable): object {
  return {
    name,
    label: name.replaceAll("_", " "),
    type: "query",
    datasource: SOURCE,
    query: { query: `label_values(${metric}, ${label})`, refId: name },
    refresh: 2,
    multi: true,
    includeAll: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
    sort: 1,
  };
}

/** The board as Grafana reads it. */
export function boardJson({ name, title, refresh, variables, panels }: Board): object {
  const datasource = { name: "datasource", label: "Prometheus", type: "datasource", query: "prometheus" };
  return {
    uid: name,
    title,
    tags: ["openservicemesh"],
    schemaVersion: 39,
    editable: false,
    refresh,
    time: { from: "now-30m", to: "now" },
    timezone: "browser",
    templating: { list: [datasource, ...variables.map(variableJson)] },
    panels: placed(panels),
  };
}
